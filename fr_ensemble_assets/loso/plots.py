"""Per-fold PLCC, and predictions against targets of sources that were never seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fr_ensemble_assets.contract.thresholds import ADR_0303
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.evidence.measure import FoldResult, SeedResult
from fr_ensemble_assets.foundation.figures import (
    FAIL_COLOUR,
    LINE_COLOUR,
    PALETTE,
    PASS_COLOUR,
    new_figure,
    styled,
)
from fr_ensemble_assets.foundation.schema import VMAF_MAX
from fr_ensemble_assets.foundation.wording import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: So many sources are drawn one by one; of more, the folds with the lowest PLCC.
SOURCES_DRAWN, WORST_FOLDS = 64, 25
_BINS, _NAME = 80, 24


def worst_folds(folds: Sequence[FoldResult]) -> list[FoldResult]:
    """The lowest PLCC first; one that is undefined is lower than all."""
    return sorted(folds, key=lambda f: -2.0 if f.agreement.plcc is None else f.agreement.plcc)


@styled
def fold_figure(corpus: Corpus, result: SeedResult) -> Figure:
    """Left: PLCC a held-out source, best first. Right: out-of-fold predictions.

    Of many sources the left shows those with the lowest PLCC, and the right how densely rows lie.
    """
    figure, (bars, scatter) = new_figure(width=10.0, height=4.6, columns=2)
    _draw_folds(bars, result)
    if len(corpus.sources) > SOURCES_DRAWN:
        _draw_density(scatter, corpus, result)
    else:
        _draw_frames(scatter, corpus, result)
    low = float(min(corpus.target.min(), result.prediction.min()))
    scatter.plot([low, VMAF_MAX], [low, VMAF_MAX], color=LINE_COLOUR, linewidth=0.8)
    scatter.set_title(f"Seed {result.seed}: frames of sources never seen")
    scatter.set_xlabel("VMAF")
    scatter.set_ylabel("predicted VMAF")
    return figure


def _draw_frames(axis: Axes, corpus: Corpus, result: SeedResult) -> None:
    for number, source in enumerate(corpus.sources):
        rows = corpus.source_index == number
        axis.plot(
            corpus.target[rows],
            result.prediction[rows],
            linestyle="none",
            marker=".",
            markersize=3,
            color=PALETTE[number % len(PALETTE)],
            label=source,
        )


def _draw_density(axis: Axes, corpus: Corpus, result: SeedResult) -> None:
    """How many frames lie where: so many dots would hide each other."""
    axis.hist2d(corpus.target, result.prediction, bins=_BINS, cmin=1, norm="log", cmap="viridis_r")


def _draw_folds(axis: Axes, result: SeedResult) -> None:
    ordered = worst_folds(result.folds)
    told = "a held-out source"
    if len(ordered) > SOURCES_DRAWN:
        ordered, told = ordered[:WORST_FOLDS], f"of the {WORST_FOLDS} lowest of {len(ordered)}"
    plccs = [fold.agreement.plcc or 0.0 for fold in ordered]
    passed = [plcc >= ADR_0303.each_plcc_min for plcc in plccs]
    colours = [PASS_COLOUR if above else FAIL_COLOUR for above in passed]
    places = range(len(ordered))
    axis.scatter(plccs, places, c=colours, s=28, zorder=3)
    axis.set_yticks(places, [shown(fold.held_out, _NAME) for fold in ordered])
    axis.axvline(
        ADR_0303.each_plcc_min,
        color=LINE_COLOUR,
        linestyle="--",
        linewidth=1,
        label=f"threshold of their mean, {ADR_0303.each_plcc_min:g}",
    )
    axis.legend(loc="center")
    axis.set_xlim(left=max(-1.05, min(*plccs, ADR_0303.each_plcc_min) - 0.02), right=1.005)
    axis.set_title(f"Seed {result.seed}: PLCC {told}")
    axis.set_xlabel("PLCC")
    axis.tick_params(axis="y", labelsize=7)
