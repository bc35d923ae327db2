"""Per-fold PLCC, and predictions against targets of sources that were never seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fr_ensemble_assets.contract.thresholds import ADR_0303
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.evidence.measure import SeedResult
from fr_ensemble_assets.foundation.figures import (
    FAIL_COLOUR,
    LINE_COLOUR,
    PALETTE,
    PASS_COLOUR,
    new_figure,
    styled,
)
from fr_ensemble_assets.foundation.schema import VMAF_MAX

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def fold_figure(corpus: Corpus, result: SeedResult) -> Figure:
    """Left: PLCC a held-out source, best first. Right: out-of-fold predictions."""
    figure, (bars, scatter) = new_figure(width=10.0, height=4.6, columns=2)
    _draw_folds(bars, result)
    for number, source in enumerate(corpus.sources):
        rows = corpus.source_index == number
        scatter.plot(
            corpus.target[rows],
            result.prediction[rows],
            linestyle="none",
            marker=".",
            markersize=3,
            color=PALETTE[number % len(PALETTE)],
            label=source,
        )
    low = float(min(corpus.target.min(), result.prediction.min()))
    scatter.plot([low, VMAF_MAX], [low, VMAF_MAX], color=LINE_COLOUR, linewidth=0.8)
    scatter.set_title(f"Seed {result.seed}: frames of sources never seen")
    scatter.set_xlabel("VMAF")
    scatter.set_ylabel("predicted VMAF")
    return figure


def _draw_folds(axis: Axes, result: SeedResult) -> None:
    ordered = sorted(result.folds, key=lambda fold: fold.agreement.plcc or -1.0)
    plccs = [fold.agreement.plcc or 0.0 for fold in ordered]
    passed = [plcc >= ADR_0303.each_plcc_min for plcc in plccs]
    colours = [PASS_COLOUR if above else FAIL_COLOUR for above in passed]
    places = range(len(ordered))
    axis.scatter(plccs, places, c=colours, s=28, zorder=3)
    axis.set_yticks(places, [fold.held_out for fold in ordered])
    axis.axvline(
        ADR_0303.each_plcc_min,
        color=LINE_COLOUR,
        linestyle="--",
        linewidth=1,
        label=f"threshold of their mean, {ADR_0303.each_plcc_min:g}",
    )
    axis.legend(loc="center")
    axis.set_xlim(left=max(-1.05, min(*plccs, ADR_0303.each_plcc_min) - 0.02), right=1.005)
    axis.set_title(f"Seed {result.seed}: PLCC a held-out source")
    axis.set_xlabel("PLCC")
    axis.tick_params(axis="y", labelsize=7)
