"""One look for every plot: readable on the light and on the dark theme."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec

from fr_ensemble_assets.foundation.wording import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

#: Colour-blind safe, after Okabe and Ito (2008); a lighter blue, and violet for their black, which
#: a dark page hides.
PALETTE = (
    "#1D86C9",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#8E63CE",
    "#7F7F7F",
)
PASS_COLOUR, FAIL_COLOUR = "#009E73", "#D55E00"
#: Lines and letters: as far from white as from Dagster's dark ground.
LINE_COLOUR = "#757b85"
#: What a page of 1280 pixels shows whole beside Dagster's columns.
WIDTH = 9.8
#: So many sources one panel names (:func:`sources_named`); the others are counted.
NAMED_SOURCES = 20
_NAME_LIMIT = 26
_LEGEND_LETTERS = 130

_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": LINE_COLOUR,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": LINE_COLOUR,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": LINE_COLOUR,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    # Where it ends up by itself, since our axes have nothing on top; it needn't be looked for.
    "axes.titley": 1.0,
    # The page shines through: what is opaque is a slab on one of the two themes.
    "figure.facecolor": "none",
    "font.size": 9.5,
    "grid.alpha": 0.25,
    "grid.color": LINE_COLOUR,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "legend.labelcolor": LINE_COLOUR,
    "text.color": LINE_COLOUR,
    "xtick.color": LINE_COLOUR,
    "ytick.color": LINE_COLOUR,
    # A name with dollar signs is a name, not a formula.
    "text.parse_math": False,
}
_DOTS_PER_INCH = 100
_FEWER_DOTS, _COLOURS = 80, 96
#: For an event that has much else to hold: smaller, and still to be read.
COARSE_DOTS = 64

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
    width: float = WIDTH, height: float = 4.0, columns: int = 1
) -> tuple[Figure, list[Axes]]:
    """A figure (inches) with ``columns`` axes side by side, bound to no window."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(1, columns, squeeze=False)[0])


def stacked_figure(heights: Sequence[float]) -> tuple[Figure, list[SubFigure]]:
    """A figure of panels on each other, each ``heights`` inches high."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
    return figure, list(
        figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    )


def legend_below(figure: Figure | SubFigure, title: str | None = None) -> None:
    """One legend for all axes of a figure, under them: it covers nothing, and nothing cuts it."""
    entries: dict[str, Any] = {}
    for axis in figure.axes:
        handles, labels = axis.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    if entries:
        widest = max(map(len, entries)) + 6
        columns = max(1, min(len(entries), _LEGEND_LETTERS // widest))
        look: dict[str, Any] = {"ncols": columns, "title": title, "title_fontsize": 9}
        figure.legend([*entries.values()], [*entries], loc="outside lower center", **look)


def sources_named(count: int) -> int:
    """How many of ``count`` sources one panel names; to count one takes no less room than it."""
    return count if count <= NAMED_SOURCES + 1 else NAMED_SOURCES


def named_height(count: int) -> float:
    """Inches that a panel takes which names ``count`` sources."""
    return 1.2 + 0.2 * sources_named(count)


def name_sources(axis: Axes, names: Sequence[str], of: int) -> None:
    """Name the rows of a panel, the first at the top, and count those that it doesn't show."""
    axis.set_yticks(range(len(names)), [shown(name, _NAME_LIMIT) for name in names])
    axis.tick_params(axis="y", labelsize=8.5)
    axis.set_ylim(max(1, len(names)) - 0.5, -0.5)
    if of > len(names):
        axis.set_ylabel(f"{of - len(names)} easier sources not shown")


def png_bytes(figure: Figure, dots_per_inch: int = _DOTS_PER_INCH) -> bytes:
    """The figure as PNG."""
    with _in_our_style():
        return drawn_png(figure, dots_per_inch)


@contextmanager
def _in_our_style() -> Iterator[None]:
    """While a figure is drawn: some texts are made only then, the labels of ticks among them."""
    import matplotlib

    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # Names that the font can't show, or that leave no room, make a poorer plot and no noise.
        warnings.simplefilter("ignore", UserWarning)
        yield


def drawn_png(figure: Figure, dots_per_inch: int = _DOTS_PER_INCH) -> bytes:
    """The figure as PNG in the style at hand.

    The same bytes as ``savefig`` gives (a test compares), which draws everything once more before.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    rendered = io.BytesIO()
    figure.set_dpi(dots_per_inch)
    FigureCanvasAgg(figure).print_png(rendered)  # type: ignore[no-untyped-call]
    return rendered.getvalue()


def small_png(figure: Figure, dots_per_inch: int = _FEWER_DOTS) -> bytes:
    """The figure in few colours and a little smaller, a fifth of the bytes: for a database."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    figure.set_dpi(dots_per_inch)
    canvas: Any = FigureCanvasAgg(figure)
    with _in_our_style():
        canvas.draw()
    drawn = canvas.buffer_rgba()
    # Of few dots, too, the colour is kept: those that lie furthest apart are taken.
    # With its alpha: the page shines through, and edges stay smooth on any ground.
    few = Image.frombuffer("RGBA", (drawn.shape[1], drawn.shape[0]), drawn).quantize(
        _COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
    )
    written = io.BytesIO()
    few.save(written, format="png", optimize=True)
    return written.getvalue()
