"""All seeds in one figure: their means, the threshold, the spread allowed, the folds behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fr_ensemble_assets.foundation.figures import FAIL_COLOUR, PALETTE, PASS_COLOUR, new_figure
from fr_ensemble_assets.gate.rule import (
    MEAN_PLCC_MIN,
    PER_SEED_PLCC_MIN,
    PLCC_SPREAD_MAX,
    Decision,
)
from fr_ensemble_assets.loso.results import SeedScore

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def verdict_figure(decision: Decision, scores: Sequence[SeedScore]) -> Figure:
    """Left: every fold of every seed and the seeds' means. Right: the means within the spread."""
    figure, (all_folds, means) = new_figure(width=10.0, height=4.2, columns=2)
    colour = PASS_COLOUR if decision.promote else FAIL_COLOUR
    for score in scores:
        plccs = [fold.plcc for fold in score.folds if fold.plcc is not None]
        all_folds.plot(
            [score.seed] * len(plccs), plccs, ".", color=PALETTE[0], alpha=0.45, markersize=5
        )
    defined = {seed: plcc for seed, plcc in decision.per_seed_plcc.items() if plcc is not None}
    seeds, values = list(defined), list(defined.values())
    for axis in (all_folds, means):
        axis.plot(seeds, values, "D", color=colour, markersize=7, label="mean of the folds")
        axis.set_xticks(list(decision.seeds))
        axis.set_xlabel("seed")
        axis.set_ylabel("PLCC")
    all_folds.axhline(MEAN_PLCC_MIN, color="#5b5f66", linestyle="--", linewidth=1)
    all_folds.set_title(f"{decision.verdict}: folds and means (dashed: {PER_SEED_PLCC_MIN:g})")
    all_folds.legend(loc="lower left")
    if decision.mean_plcc is not None and values:
        low = min(values)
        means.axhspan(low, low + PLCC_SPREAD_MAX, color=PASS_COLOUR, alpha=0.12, linewidth=0)
        means.axhline(decision.mean_plcc, color="#5b5f66", linewidth=1)
        means.set_title(
            f"Spread {decision.plcc_spread:.5f} (band: the {PLCC_SPREAD_MAX:g} allowed)"
        )
    return figure
