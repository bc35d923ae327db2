"""What the encodes of a clip look like: mean VMAF against size, an encoder a line."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from fr_ensemble_assets.encodes.score import Scored
from fr_ensemble_assets.foundation.figures import PALETTE, legend_below, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def rate_curves(scored: Sequence[Scored]) -> Figure:
    """Left: mean VMAF against bits a pixel. Right: against each encoder's own quality."""
    from matplotlib.ticker import LogLocator, NullFormatter

    figure, (by_size, by_quality) = new_figure(height=4.4, columns=2)
    encodes = sorted(scored, key=lambda encode: (encode.cell.encoder.name, encode.cell.quality))
    by_encoder = groupby(encodes, key=lambda encode: encode.cell.encoder.name)
    for number, (encoder, group) in enumerate(by_encoder):
        line = list(group)
        means = [float(np.mean(encode.vmaf)) for encode in line]
        bits = [_bits_a_pixel(encode) for encode in line]
        colour = PALETTE[number % len(PALETTE)]
        by_size.plot(bits, means, marker="o", color=colour, label=encoder)
        by_quality.plot([e.cell.quality for e in line], means, marker="o", color=colour)
    by_size.set_xscale("log")
    by_size.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    by_size.xaxis.set_major_formatter("{x:g}")
    by_size.xaxis.set_minor_formatter(NullFormatter())
    by_size.set_title("Mean VMAF against size")
    by_size.set_xlabel("bits a pixel")
    by_quality.set_title("Mean VMAF against quality")
    by_quality.set_xlabel("quality (CRF, CQ or QP, each encoder's own scale)")
    for axis in (by_size, by_quality):
        axis.set_ylabel("VMAF")
    legend_below(figure)
    return figure


def _bits_a_pixel(encode: Scored) -> float:
    clip = encode.cell.clip
    return encode.enc_bytes * 8 / (clip.width * clip.height * len(encode.vmaf))
