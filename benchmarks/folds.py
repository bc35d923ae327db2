"""Leave-one-source-out against grouped folds, on the bundled corpus.

``.venv/bin/python -m benchmarks.folds`` trains all five seeds under each plan, some minutes on two
cores. A group's models train on fewer sources, so that their figures say less of the ensemble that
ships, which is trained on all; what it costs to be that far off is told beside what it spares.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from upath import UPath

from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS, read_corpus
from fr_ensemble_assets.evidence.measure import SeedResult
from fr_ensemble_assets.foundation.progress import Silent
from fr_ensemble_assets.loso.run import evaluate_seeds
from fr_ensemble_assets.training.trainer import Trainer

PLANS = (None, 21, 10, 7, 5)


@dataclass(frozen=True)
class Outcome:
    """Each seed's result under one plan, and the processor seconds that they took together."""

    groups: int | None
    results: Sequence[SeedResult]

    @property
    def by_source(self) -> np.ndarray:
        """PLCC, shape (n_seeds, n_sources)."""
        return np.array([[fold.agreement.plcc for fold in r.folds] for r in self.results])

    @property
    def seconds(self) -> float:
        return sum(result.wall_time_s for result in self.results)

    def same_bits(self, other: Outcome) -> bool:
        pairs = zip(self.results, other.results, strict=True)
        return all(np.array_equal(a.prediction, b.prediction) for a, b in pairs)


def evaluate(corpus: Corpus, groups: int | None) -> Outcome:
    contract = ENSEMBLE.grouped(groups)
    with tempfile.TemporaryDirectory() as folder:
        outcomes = evaluate_seeds(
            UPath(Path(folder)), corpus, ENSEMBLE.units, contract, Trainer("cpu"), Silent()
        )
        results = sorted((o.result for o in outcomes), key=lambda result: result.seed)
    return Outcome(groups, results)


def row_of(outcome: Outcome, reference: Outcome) -> tuple[str, ...]:
    plccs, means = outcome.by_source, outcome.by_source.mean(axis=1)
    rmse = np.mean([[fold.agreement.rmse for fold in r.folds] for r in outcome.results])
    changed = np.abs(plccs.mean(axis=0) - reference.by_source.mean(axis=0))
    told = "same bits" if outcome.same_bits(reference) else f"{changed.max():.4f}"
    return (
        "one source" if outcome.groups is None else f"{outcome.groups} groups",
        f"{means.mean():.5f}",
        f"{np.ptp(means):.5f}",
        f"{plccs.min():.5f}",
        f"{rmse:.3f}",
        "" if outcome is reference else told,
        f"{outcome.seconds:.0f}",
    )


def main() -> None:
    corpus = read_corpus(BUNDLED_CORPUS).corpus
    outcomes = [evaluate(corpus, groups) for groups in track(PLANS, "plans")]
    table = Table(title=f"{len(corpus.sources)} sources, five seeds")
    for heading in ("held out", "mean PLCC", "spread", "lowest", "RMSE", "largest change", "s"):
        table.add_column(heading, justify="right")
    for outcome in outcomes:
        table.add_row(*row_of(outcome, outcomes[0]))
    Console().print(table)


if __name__ == "__main__":
    main()
