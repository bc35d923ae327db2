"""What the intervals are worth, in three pictures: frames left, whole encodes right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fr_ensemble_assets.calibration.calibrate import Calibration
from fr_ensemble_assets.calibration.coverage import UNITS, Coverage, leave_one_source_out
from fr_ensemble_assets.calibration.pooling import OutOfFold, pool_encodes
from fr_ensemble_assets.calibration.rules import RULES, Rule, bounds
from fr_ensemble_assets.foundation.figures import (
    LINE_COLOUR,
    PALETTE,
    legend_below,
    name_sources,
    named_height,
    new_figure,
    sources_named,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS: dict[Rule, str] = dict(zip(RULES, (PALETTE[7], PALETTE[1], PALETTE[0]), strict=True))
_CURVE_LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
_SHOWN_LEVEL = 0.95
_BINS = 12
#: Names are shortened, and of many sources so many are drawn: text is most of a picture.


@styled
def calibration_figure(frames: OutOfFold) -> Figure:
    """Level asked for against share covered, on sources left out; dotted: the worst of them."""
    figure, axes = new_figure(height=4.6, columns=2)
    for axis, unit, rows in zip(axes, UNITS, (frames, pool_encodes(frames)), strict=True):
        measured = leave_one_source_out(rows, unit, _CURVE_LEVELS)
        for rule in RULES:
            _draw_curve(axis, rule, [c for c in measured if c.rule == rule and c.measured])
        axis.plot([0.5, 1.0], [0.5, 1.0], color=LINE_COLOUR, linewidth=0.8, linestyle="--")
        axis.set_title(f"Per {unit}: {len(rows.sources)} sources, each left out")
        axis.set_xlabel("level asked for")
        axis.set_ylabel("share of the source covered")
    legend_below(figure, title="mean over the sources (dotted: the worst of them)")
    return figure


def _draw_curve(axis: Axes, rule: Rule, measured: Sequence[Coverage]) -> None:
    if not measured:
        return
    levels = [c.level for c in measured]
    axis.plot(
        levels,
        [c.coverage for c in measured],
        "o-",
        color=COLOURS[rule],
        markersize=3,
        label=rule,
    )
    axis.plot(levels, [c.lowest.coverage for c in measured], ":", color=COLOURS[rule])


@styled
def coverage_figure(coverages: Sequence[Coverage]) -> Figure:
    """Every source's coverage when it is left out, by rule, at the highest level measured."""
    level = max(c.level for c in coverages if c.rule == "source" and c.measured)
    sources = max(len(c.by_source) for c in coverages)
    figure, axes = new_figure(height=1.3 + named_height(sources), columns=2)
    for axis, unit in zip(axes, UNITS, strict=True):
        shown = {c.rule: c for c in coverages if c.unit == unit and c.level == level and c.measured}
        if shown:
            _draw_sources(axis, shown)
        axis.axvline(level, color=LINE_COLOUR, linestyle="--", linewidth=0.8)
        axis.set_xlim(right=1.01)
        axis.set_title(f"Per {unit} at {level:.0%}")
    legend_below(figure)
    return figure


def _draw_sources(axis: Axes, shown: dict[Rule, Coverage]) -> None:
    """One line a source, the one that the frame rule covers least at the top."""
    ordered = shown.get("frame", next(iter(shown.values())))
    names = [g.name for g in sorted(ordered.by_source, key=lambda group: group.coverage)][
        : sources_named(len(ordered.by_source))
    ]
    averages = []
    for place, (rule, c) in enumerate(shown.items()):
        share = {group.name: group.coverage for group in c.by_source}
        axis.plot(
            [share.get(name, math.nan) for name in names],
            np.arange(len(names)) + 0.24 * (place - 1),
            "o",
            color=COLOURS[rule],
            markersize=4,
            label=rule,
        )
        averages.append(f"{rule}: mean {c.coverage:.1%}, width {c.width:.2f}")
    name_sources(axis, names, ordered.n_sources)
    if any(c.over_all for c in shown.values()):  # only those covered least are known by name
        averages.append("no dot: not among those that the rule covers least")
    axis.set_xlabel("\n".join(["share covered of a source left out", *averages]))


@styled
def width_figure(calibration: Calibration, frames: OutOfFold) -> Figure:
    """Mean width of the intervals by predicted VMAF, at 95 % or the highest level supported."""
    figure, axes = new_figure(height=4.2, columns=2)
    for axis, unit, rows in zip(axes, UNITS, (frames, pool_encodes(frames)), strict=True):
        place = _bins(rows.mu)
        centre = _means(rows.mu, place)
        for rule, table in calibration.tables(unit).items():
            answer = table.at(_SHOWN_LEVEL)
            lower, upper = bounds(rows.mu, rows.sigma, answer.quantile, answer.floor)
            width = _means(upper - lower, place)
            label = f"{rule} at {answer.level:.1%} per {unit}"
            axis.plot(centre, width, "o-", color=COLOURS[rule], markersize=3, label=label)
        axis.set_ylim(bottom=0)
        axis.set_title(f"Per {unit}: width by predicted VMAF")
        axis.set_xlabel("predicted VMAF (bins of equally many rows)")
        axis.set_ylabel("mean width, VMAF")
    legend_below(figure)
    return figure


def _bins(values: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Number the values' bins, all of about the same size."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, _BINS + 1)[1:-1]))
    return np.unique(np.searchsorted(edges, values), return_inverse=True)[1]


def _means(values: npt.NDArray[np.float64], place: npt.NDArray[np.intp]) -> list[float]:
    return [float(mean) for mean in np.bincount(place, weights=values) / np.bincount(place)]
