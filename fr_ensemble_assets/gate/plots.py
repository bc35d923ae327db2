"""All seeds in one figure: their means, the threshold, the spread allowed, the folds behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fr_ensemble_assets.foundation.figures import (
    FAIL_COLOUR,
    LINE_COLOUR,
    PALETTE,
    PASS_COLOUR,
    new_figure,
    styled,
)
from fr_ensemble_assets.gate.rule import PER_SEED_PLCC_MIN, PLCC_SPREAD_MAX, Decision
from fr_ensemble_assets.loso.results import SeedScore

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def verdict_figure(decision: Decision, scores: Sequence[SeedScore]) -> Figure:
    """Left: every fold of every seed beside its mean. Right: the means and the spread allowed."""
    figure, (all_folds, means) = new_figure(width=10.0, height=4.2, columns=2)
    colour = PASS_COLOUR if decision.promote else FAIL_COLOUR
    for score in scores:
        plccs = [fold.plcc for fold in score.folds if fold.plcc is not None]
        label = "one held-out source" if score is scores[0] else None
        places = [score.seed - 0.12] * len(plccs)
        all_folds.plot(places, plccs, ".", color=PALETTE[0], alpha=0.5, label=label)
    defined = {seed: plcc for seed, plcc in decision.per_seed_plcc.items() if plcc is not None}
    seeds, values = list(defined), list(defined.values())
    beside = [seed + 0.12 for seed in seeds]
    all_folds.plot(beside, values, "D", color=colour, markersize=5, label="mean of the folds")
    all_folds.axhline(PER_SEED_PLCC_MIN, color=LINE_COLOUR, linestyle="--", linewidth=1)
    all_folds.set_title(f"{decision.verdict}: folds and means (dashed: {PER_SEED_PLCC_MIN:g})")
    all_folds.legend(loc="best")
    means.plot(seeds, values, "D", color=colour, markersize=6)
    if decision.mean_plcc is not None:
        best = max(values)
        means.axhspan(best - PLCC_SPREAD_MAX, best, color=PASS_COLOUR, alpha=0.12, linewidth=0)
        means.axhline(decision.mean_plcc, color=LINE_COLOUR, linewidth=1)
        means.set_title(
            f"Spread {decision.plcc_spread:.5f} (band: the {PLCC_SPREAD_MAX:g} allowed)"
        )
    for axis in (all_folds, means):
        axis.set_xticks(list(decision.seeds))
        axis.set_xlabel("seed")
        axis.set_ylabel("PLCC")
    return figure
