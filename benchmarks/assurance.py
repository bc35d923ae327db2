"""What stands beside the bundled corpus' verdict, as a person reads it, and what it takes.

``.venv/bin/python -m benchmarks.assurance [HOME] [--controls]`` takes some seconds after
``make run``; the controls train one seed twice more.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from fr_ensemble_assets.assurance.assess import Assurance, assess, two_lines
from fr_ensemble_assets.assurance.breakdown import GroupAgreement
from fr_ensemble_assets.assurance.trained import train_controls
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.contract.places import Places
from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS, read_corpus
from fr_ensemble_assets.evidence.audit import load_seed_result
from fr_ensemble_assets.evidence.results import load_scores
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.foundation.progress import Silent
from fr_ensemble_assets.training.trainer import Trainer


def baseline_table(found: Assurance) -> Table:
    table = Table("baseline", "PLCC", "lowest", "RMSE", "skill of the ensemble", "sources won")
    for b in found.baselines:
        plcc = (
            "undefined" if value is None else f"{value:.5f}" for value in (b.plcc, b.lowest_plcc)
        )
        table.add_row(b.name, *plcc, f"{b.rmse:.3f}", f"{b.skill:+.2f}", f"{b.won} of {b.sources}")
    return table


def group_table(title: str, groups: Sequence[GroupAgreement]) -> Table:
    table = Table(title, "rows", "PLCC", "RMSE", "MAE", "slope", "worst source")
    for g in groups:
        plcc = "undefined" if g.plcc is None else f"{g.plcc:.5f}"
        slope = "undefined" if g.slope is None else f"{g.slope:.3f}"
        worst = f"{g.worst_source} {g.worst_rmse:.2f}"
        table.add_row(g.name, str(g.rows), plcc, f"{g.rmse:.3f}", f"{g.mae:.3f}", slope, worst)
    return table


def main() -> None:
    console = Console(width=120)
    arguments = [argument for argument in sys.argv[1:] if argument != "--controls"]
    corpus = read_corpus(BUNDLED_CORPUS).corpus
    home = Home.at(arguments[0] if arguments else None)
    folder = Places(home, ENSEMBLE, corpus.sha256).results
    scores = [score for score in load_scores(folder) if score.seed in ENSEMBLE.units]
    results = [load_seed_result(folder, corpus, ENSEMBLE, score) for score in scores]
    started = time.perf_counter()
    found = assess(corpus, results, ENSEMBLE.plan)
    taken = time.perf_counter() - started
    console.print(*two_lines(found), sep="\n")
    console.print(baseline_table(found))
    for control in found.controls:
        console.print(
            f"{control.name}: mean PLCC {control.mean:.3f}, at most {control.highest:.3f}, "
            f"{control.passed} of {control.tries} pass"
        )
    console.print(found.certainty, found.diagnosis, *found.caveats)
    parts = found.breakdown
    console.print(group_table("encoder", parts.by_encoder), group_table("format", parts.by_family))
    console.print(group_table("source, frames", parts.frames_by_source))
    console.print(group_table("source, encodes", parts.encodes_by_source))
    console.print(
        f"within cells {parts.within_cells}, Fisher {parts.fisher}, sigma {parts.sigma_rank}"
    )
    console.print(f"{taken:.1f} s")
    if "--controls" in sys.argv:
        trained = train_controls(corpus, results[0], ENSEMBLE, Trainer("cpu"), Silent())
        console.print(trained.codec_block, trained.swap, sep="\n")


if __name__ == "__main__":
    main()
