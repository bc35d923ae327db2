"""What a report tells, as its page wants it; gathered by whoever knows the home."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fr_ensemble_assets.calibration.coverage import Coverage
from fr_ensemble_assets.evidence.metrics import mean_or_none
from fr_ensemble_assets.evidence.results import FoldScore
from fr_ensemble_assets.foundation.figures import sources_named
from fr_ensemble_assets.gate.previous import Previous
from fr_ensemble_assets.gate.rule import seed_plcc
from fr_ensemble_assets.gate.verdict import Judgement
from fr_ensemble_assets.predictors.gate import CodecVerdict


@dataclass(frozen=True)
class Link:
    """Something to look at: ``address`` is empty where it is a path on a disk."""

    what: str
    place: str
    address: str = ""


@dataclass(frozen=True)
class SeedRow:
    """One seed: its PLCC, the change since the last PROMOTE, its hardest source."""

    seed: int
    plcc: float | None
    change: float | None
    lowest: float | None
    source: str


@dataclass(frozen=True)
class SourceRow:
    """One source when it was held out: means over the seeds, VMAF for ``rmse``."""

    source: str
    plcc: float | None
    rmse: float | None


@dataclass(frozen=True)
class Evidence:
    """Everything on the page; nothing in it depends on when it is written.

    Attributes
    ----------
    corpus, corpus_sha256
        What a person calls it, and what it is.
    judgement
        The gate over the results that there are, evaluated for this page.
    previous
        The last PROMOTE on another corpus.
    coverages
        What the intervals are worth on sources left out; empty before they are calibrated.
    codecs
        What the gate says of the codecs' predictors.
    worth
        Sentences on what the verdict is worth.
    """

    corpus: str
    corpus_sha256: str
    n_rows: int
    n_sources: int
    judgement: Judgement
    previous: Previous | None
    coverages: tuple[Coverage, ...]
    codecs: tuple[CodecVerdict, ...]
    links: tuple[Link, ...]
    worth: tuple[str, ...] = ()

    def seeds(self) -> Iterator[SeedRow]:
        """The judged seeds in their order."""
        before = self.previous.per_seed_plcc if self.previous else {}
        for score in self.judgement.scores:
            plcc, then = seed_plcc(score), before.get(score.seed)
            worst = min(score.folds, key=lambda fold: -2.0 if fold.plcc is None else fold.plcc)
            change = None if plcc is None or then is None else plcc - then
            yield SeedRow(score.seed, plcc, change, worst.plcc, worst.held_out)

    def hardest(self) -> list[SourceRow]:
        """As many sources as a plot names, the hardest first."""
        folds: dict[str, list[FoldScore]] = {}
        for score in self.judgement.scores:
            for fold in score.folds:
                folds.setdefault(fold.held_out, []).append(fold)
        rows = [_source(name, found) for name, found in folds.items()]
        rows.sort(key=lambda row: -2.0 if row.plcc is None else row.plcc)
        return rows[: sources_named(len(rows))]

    def intervals(self) -> list[Coverage]:
        """The rule that promises something of an unseen source, at each level measured."""
        return [c for c in self.coverages if c.rule == "source" and c.measured]


def _source(name: str, folds: Sequence[FoldScore]) -> SourceRow:
    plcc, rmse = ([f.plcc for f in folds], [f.rmse for f in folds])
    return SourceRow(name, mean_or_none(plcc), mean_or_none(rmse))
