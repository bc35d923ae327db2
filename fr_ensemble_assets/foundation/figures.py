"""One look for every plot: readable on the light and on the dark theme."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Colour-blind safe, after Okabe and Ito (2008).
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
LINE_COLOUR = "#5b5f66"

_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": LINE_COLOUR,
    "axes.facecolor": "#ffffff",
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "figure.facecolor": "#fbfbfd",
    "font.size": 9,
    "grid.color": "#e3e5e9",
    "legend.fontsize": 8,
    "legend.frameon": False,
    # A name with dollar signs is a name, not a formula.
    "text.parse_math": False,
}
_DOTS_PER_INCH = 100

_Arguments = ParamSpec("_Arguments")


def styled(draw: Callable[_Arguments, Figure]) -> Callable[_Arguments, Figure]:
    """Let ``draw`` work in our style, and leave matplotlib's global settings as they were."""

    @wraps(draw)
    def draw_in_style(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> Figure:
        import matplotlib

        with matplotlib.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return draw_in_style


def new_figure(
    width: float = 8.0, height: float = 4.0, columns: int = 1
) -> tuple[Figure, list[Axes]]:
    """A figure (inches) with ``columns`` axes side by side, bound to no window."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(1, columns, squeeze=False)[0])


def png_bytes(figure: Figure) -> bytes:
    """The figure as PNG."""
    import matplotlib

    # Some texts are made only now, the labels of ticks among them: they too are to have our style.
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # Names that the font can't show, or that leave no room, make a poorer plot and no noise.
        warnings.simplefilter("ignore", UserWarning)
        return drawn_png(figure)


def drawn_png(figure: Figure) -> bytes:
    """The figure as PNG in the style at hand.

    The same bytes as ``savefig`` gives (a test compares), which draws everything once more before.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    rendered = io.BytesIO()
    figure.set_dpi(_DOTS_PER_INCH)
    FigureCanvasAgg(figure).print_png(rendered)  # type: ignore[no-untyped-call]
    return rendered.getvalue()
