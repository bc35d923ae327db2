"""Per-fold PLCC, and predictions against targets of sources that were never seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fr_ensemble_assets.contract.thresholds import ADR_0303
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.evidence.measure import FoldResult, SeedResult
from fr_ensemble_assets.foundation.figures import (
    FAIL_COLOUR,
    LINE_COLOUR,
    PALETTE,
    PASS_COLOUR,
    legend_below,
    name_sources,
    named_height,
    new_figure,
    sources_named,
    styled,
)
from fr_ensemble_assets.foundation.schema import VMAF_MAX
from fr_ensemble_assets.foundation.wording import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: So many sources are listed one by one; of more, the folds with the lowest PLCC.
SOURCES_DRAWN, WORST_FOLDS = 64, 25


def worst_folds(folds: Sequence[FoldResult]) -> list[FoldResult]:
    """The lowest PLCC first; one that is undefined is lower than all."""
    return sorted(folds, key=lambda f: -2.0 if f.agreement.plcc is None else f.agreement.plcc)


#: So many sources have a colour of their own among the frames.
_COLOURED = 3
_FRAMES_SHOWN = 20_000


@styled
def fold_figure(corpus: Corpus, result: SeedResult) -> Figure:
    """Left: PLCC a held-out source, hardest first. Right: out-of-fold predictions."""
    ordered = worst_folds(result.folds)
    height = max(4.6, 0.6 + named_height(len(ordered)))
    figure, (bars, scatter) = new_figure(height=height, columns=2)
    _draw_folds(bars, ordered)
    _draw_frames(scatter, corpus, result, [fold.held_out for fold in ordered[:_COLOURED]])
    bars.set_title(f"Seed {result.seed}: PLCC a held-out source")
    scatter.set_title(f"Seed {result.seed}: frames of sources never seen")
    legend_below(figure)
    return figure


def _draw_frames(axis: Axes, corpus: Corpus, result: SeedResult, hardest: Sequence[str]) -> None:
    groups = np.full(corpus.n_rows, -1)
    for number, name in enumerate(hardest):
        groups[corpus.source_index == corpus.sources.index(name)] = number
    every = max(1, corpus.n_rows // _FRAMES_SHOWN)
    for number, name in enumerate(("other sources", *hardest), start=-1):
        rows = np.flatnonzero(groups == number)[::every]
        axis.plot(
            corpus.target[rows],
            result.prediction[rows],
            linestyle="none",
            marker=".",
            markersize=3,
            color=PALETTE[7 if number < 0 else (1, 0, 2)[number]],
            alpha=0.5 if number < 0 else 1.0,
            label=shown(name, 40),
        )
    low = float(min(corpus.target.min(), result.prediction.min()))
    axis.plot([low, VMAF_MAX], [low, VMAF_MAX], color=LINE_COLOUR, linewidth=0.8)
    axis.set_xlabel("VMAF")
    axis.set_ylabel("predicted VMAF" + (f" (every {every}th frame)" if every > 1 else ""))


def _draw_folds(axis: Axes, ordered: Sequence[FoldResult]) -> None:
    worst = ordered[: sources_named(len(ordered))]
    plccs = [fold.agreement.plcc or 0.0 for fold in worst]
    passed = [plcc >= ADR_0303.each_plcc_min for plcc in plccs]
    colours = [PASS_COLOUR if above else FAIL_COLOUR for above in passed]
    axis.scatter(plccs, range(len(worst)), c=colours, s=28, zorder=3)
    axis.axvline(
        ADR_0303.each_plcc_min,
        color=LINE_COLOUR,
        linestyle="--",
        linewidth=1,
        label=f"threshold of their mean, {ADR_0303.each_plcc_min:g}",
    )
    axis.set_xlim(left=max(-1.05, min(*plccs, ADR_0303.each_plcc_min) - 0.02), right=1.005)
    axis.set_xlabel("PLCC")
    name_sources(axis, [fold.held_out for fold in worst], len(ordered))
