"""One look for every plot: readable on the light and on the dark theme, and small."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Colour-blind safe, after Okabe and Ito (2008), darkest first.
PALETTE = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#7F7F7F",
)
PASS_COLOUR, FAIL_COLOUR = "#009E73", "#D55E00"

_STYLE: dict[Any, Any] = {
    "figure.facecolor": "#fbfbfd",
    "axes.facecolor": "#ffffff",
    "axes.edgecolor": "#5b5f66",
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "font.size": 9,
    "grid.color": "#e3e5e9",
    "legend.frameon": False,
    "legend.fontsize": 8,
}
_DOTS_PER_INCH = 100


def new_figure(
    width: float = 8.0, height: float = 4.0, columns: int = 1
) -> tuple[Figure, list[Axes]]:
    """A styled figure (inches) with ``columns`` axes side by side; no global state is touched."""
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(1, columns, squeeze=False)[0]
    for axis in axes:
        axis.set_axisbelow(True)
    return figure, list(axes)


def png_bytes(figure: Figure) -> bytes:
    """The figure as PNG, reduced to a palette so that plots in metadata stay small."""
    from PIL import Image

    rendered = io.BytesIO()
    figure.savefig(rendered, format="png", dpi=_DOTS_PER_INCH)
    image = Image.open(rendered).convert("RGB").quantize(64, dither=Image.Dither.NONE)
    reduced = io.BytesIO()
    image.save(reduced, format="png", optimize=True)
    return reduced.getvalue()
