"""VMAF against quality, an encoder a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.foundation.figures import PALETTE, legend_below, new_figure, styled
from fr_ensemble_assets.foundation.schema import TARGET

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def quality_curves(corpus: Corpus) -> Figure:
    """Mean VMAF a quality for each encoder, with the 10th to 90th percentile of its frames."""
    figure, (axis,) = new_figure()
    for number, (encoder, rows) in enumerate(corpus.frame.groupby("encoder", observed=True)):
        by_quality = rows.groupby("cq")[TARGET]
        mean, low, high = by_quality.mean(), by_quality.quantile(0.1), by_quality.quantile(0.9)
        colour = PALETTE[number % len(PALETTE)]
        axis.plot(mean.index, mean, marker="o", color=colour, label=str(encoder))
        axis.fill_between(mean.index, low, high, color=colour, alpha=0.12, linewidth=0)
    axis.set_title("VMAF against quality: mean over the frames; band: 10th to 90th percentile")
    axis.set_xlabel("quality (CRF, CQ or QP, each encoder's own scale)")
    axis.set_ylabel("VMAF")
    legend_below(figure)
    return figure
