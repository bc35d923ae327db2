"""Three pictures of a card, drawn from its facts alone, for a light and for a dark page."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from fr_ensemble_assets.card.facts import Facts, Group
from fr_ensemble_assets.foundation.figures import PALETTE, drawn_png, legend_below, new_figure
from fr_ensemble_assets.foundation.wording import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = ("light", "dark")
#: Sources that one picture can name.
_SHOWN_SOURCES = 30
_NAME_LIMIT = 26
_RULE_COLOURS = {"gaussian": "#8a8f98", "frame": PALETTE[1], "source": PALETTE[0]}

_INK: Mapping[Theme, tuple[str, str, str]] = {
    "light": ("#1b1e23", "#e3e5e9", "#ffffff"),
    "dark": ("#e6e8ec", "#343942", "#16181d"),
}
#: Black and dark blue vanish on a dark page.
_DARK_COLOURS = {PALETTE[0]: "#4aa8e8", PALETTE[6]: "#f0e442"}


def card_plots(facts: Facts, theme: Theme = "light") -> dict[str, bytes]:
    """The three pictures as PNG, by file name; the same facts give the same bytes."""
    drawn: dict[str, Callable[[Facts, Theme], Figure]] = {
        "model_card_encodes.png": encodes_figure,
        "model_card_sources.png": sources_figure,
        "model_card_intervals.png": intervals_figure,
    }
    import matplotlib

    made = {}
    for name, draw in drawn.items():
        with matplotlib.rc_context(_style(theme)), warnings.catch_warnings():
            # Names that the font can't show make a poorer plot and no noise.
            warnings.simplefilter("ignore", UserWarning)
            made[name] = drawn_png(draw(facts, theme))
    return made


def _style(theme: Theme) -> dict[Any, Any]:
    ink, grid, page = _INK[theme]
    return {
        "axes.axisbelow": True,
        "axes.edgecolor": ink,
        "axes.facecolor": page,
        "axes.grid": True,
        "axes.labelcolor": ink,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlecolor": ink,
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "figure.facecolor": page,
        "font.size": 9,
        "grid.color": grid,
        "legend.fontsize": 8,
        "legend.frameon": False,
        "legend.labelcolor": ink,
        "text.color": ink,
        "text.parse_math": False,
        "xtick.color": ink,
        "ytick.color": ink,
    }


def _colour(place: int, theme: Theme) -> str:
    colour = PALETTE[place % len(PALETTE)]
    return _DARK_COLOURS.get(colour, colour) if theme == "dark" else colour


def encodes_figure(facts: Facts, theme: Theme) -> Figure:
    """Left: encodes of unseen sources, predicted against measured. Right: how far off."""
    figure, (scatter, errors) = new_figure(9.0, 4.4, columns=2)
    ink = _INK[theme][0]
    for place, encoder in enumerate(sorted({point.encoder for point in facts.points})):
        shown = [point for point in facts.points if point.encoder == encoder]
        measured = [point.measured for point in shown]
        look: dict[str, Any] = {"marker": ".", "markersize": 4, "linestyle": "none"}
        look |= {"color": _colour(place, theme), "label": encoder}
        scatter.plot(measured, [point.predicted for point in shown], **look)
        errors.plot(measured, [point.predicted - point.measured for point in shown], **look)
    ends = [min(point.measured for point in facts.points), 100.0]
    scatter.plot(ends, ends, color=ink, linewidth=0.8, linestyle="--")
    errors.axhline(0.0, color=ink, linewidth=0.8, linestyle="--")
    scatter.set_title("Encodes of sources never seen")
    scatter.set_ylabel("predicted VMAF, mean of the encode")
    errors.set_title("How far off")
    errors.set_ylabel("predicted less measured VMAF")
    for axis in (scatter, errors):
        axis.set_xlabel("measured VMAF, mean of the encode")
    legend_below(figure)
    return figure


def sources_figure(facts: Facts, theme: Theme) -> Figure:
    """Each source when it was held out, hardest at the top: PLCC left, RMSE right."""
    hardest = sorted(facts.sources, key=lambda group: group.rmse or 0.0)[-_SHOWN_SOURCES:]
    figure, (plcc, rmse) = new_figure(9.0, 1.7 + 0.17 * max(8, len(hardest)), columns=2)
    _draw_groups(plcc, hardest, [(g.plcc, g.plcc_seeds) for g in hardest], theme)
    _draw_groups(rmse, hardest, [(g.rmse, g.rmse_seeds) for g in hardest], theme)
    plcc.set_xlabel("PLCC of frames")
    rmse.set_xlabel("RMSE of frames, VMAF")
    plcc.set_title("PLCC when held out")
    rmse.set_title("RMSE when held out")
    rmse.set_xlim(left=0)
    legend_below(figure)
    return figure


def _draw_groups(
    axis: Axes,
    groups: Sequence[Group],
    figures: Sequence[tuple[float | None, tuple[float, ...]]],
    theme: Theme,
) -> None:
    for place, (value, seeds) in enumerate(figures):
        if len(seeds) == 2:
            label = "single seeds, least to greatest" if place == 0 else None
            axis.plot(seeds, [place, place], color=_colour(5, theme), linewidth=3, label=label)
        if value is not None:
            label = "the ensemble" if place == 0 else None
            axis.plot([value], [place], "D", color=_colour(1, theme), markersize=4, label=label)
    axis.set_yticks(range(len(groups)), [shown(group.name, _NAME_LIMIT) for group in groups])
    axis.tick_params(axis="y", labelsize=7)


def intervals_figure(facts: Facts, theme: Theme) -> Figure:
    """Level asked for against share covered on sources left out, per frame and per encode."""
    figure, axes = new_figure(9.0, 4.2, columns=2)
    ink = _INK[theme][0]
    for axis, unit in zip(axes, ("frame", "encode"), strict=True):
        for rule, colour in _RULE_COLOURS.items():
            shown = [c for c in facts.coverages if (c.unit, c.rule) == (unit, rule) and c.measured]
            if not shown:
                continue
            drawn = _DARK_COLOURS.get(colour, colour) if theme == "dark" else colour
            levels = [c.level for c in shown]
            means = [c.coverage for c in shown]
            axis.plot(levels, means, "o-", color=drawn, markersize=3, label=rule)
            axis.plot(levels, [c.lowest.coverage for c in shown], ":", color=drawn)
        axis.plot([0.5, 1.0], [0.5, 1.0], color=ink, linewidth=0.8, linestyle="--")
        axis.set_title(f"Intervals per {unit}, sources left out")
        axis.set_xlabel("level asked for")
        axis.set_ylabel("share of the source covered")
    legend_below(figure, title="mean over the sources (dotted: the worst of them)")
    return figure
