"""Do the intervals hold on a source that they were not calibrated on? Asked of every source."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from fr_ensemble_assets.calibration.pooling import OutOfFold
from fr_ensemble_assets.calibration.rules import (
    LEVEL_TOLERANCE,
    REPORTED_LEVELS,
    RULES,
    Rule,
    WeightedScores,
    bounds,
    highest_frame_level,
    highest_source_level,
    normal_quantile,
    normalised_scores,
)
from fr_ensemble_assets.foundation.findings import Finding

Unit = Literal["frame", "encode"]
UNITS: tuple[Unit, ...] = get_args(Unit)

SHARP_LEVEL = 0.9
#: In VMAF: what viewers just notice is put at about 6; an interval wider than that decides nothing.
SHARPNESS_MAX = 6.0
#: How often chance alone may raise a warning, over all that one check compares.
FALSE_ALARMS_MAX = 0.05


@dataclass(frozen=True)
class GroupCoverage:
    """One source's or one encoder's share of rows covered, and mean width in VMAF."""

    name: str
    rows: int
    coverage: float
    width: float


#: So many sources are listed one by one; of more, those that are covered least.
SOURCES_LISTED, LEAST_COVERED = 64, 25


@dataclass(frozen=True)
class AllSources:
    """The figures over all sources, where only some of them are listed."""

    n: int
    coverage: float
    standard_error: float
    width: float


@dataclass(frozen=True)
class Coverage:
    """Leave-one-source-out coverage of one rule at one level.

    Attributes
    ----------
    unit
        Whether rows are frames or the pooled means of encodes.
    rule, level
        What the intervals promise.
    by_source, by_encoder
        Each source calibrated without itself; the same rows by encoder. Empty where the sources
        that remain when one is left out don't carry the level.
    over_all
        There where ``by_source`` lists but the sources that are covered least.
    """

    unit: Unit
    rule: Rule
    level: float
    by_source: tuple[GroupCoverage, ...]
    by_encoder: tuple[GroupCoverage, ...]
    over_all: AllSources | None = None

    @property
    def measured(self) -> bool:
        return bool(self.by_source)

    @property
    def n_sources(self) -> int:
        """How many sources were left out in turn."""
        return self.over_all.n if self.over_all else len(self.by_source)

    def shortened(self) -> Coverage:
        """The same with only the sources listed that are covered least, where there are many."""
        if len(self.by_source) <= SOURCES_LISTED:
            return self
        figures = AllSources(self.n_sources, self.coverage, self.standard_error, self.width)
        ordered = sorted(self.by_source, key=lambda group: (group.coverage, group.name))
        return replace(self, by_source=tuple(ordered[:LEAST_COVERED]), over_all=figures)

    @property
    def coverage(self) -> float:
        """Mean over the sources, each weighing the same."""
        if self.over_all:
            return self.over_all.coverage
        return float(np.mean([group.coverage for group in self.by_source]))

    @property
    def width(self) -> float:
        """Mean width over the sources, each weighing the same; in VMAF."""
        if self.over_all:
            return self.over_all.width
        return float(np.mean([group.width for group in self.by_source]))

    @property
    def lowest(self) -> GroupCoverage:
        """The source that is covered least."""
        return min(self.by_source, key=lambda group: group.coverage)

    @property
    def standard_error(self) -> float:
        """Of :attr:`coverage`, from how much the sources differ."""
        if self.over_all:
            return self.over_all.standard_error
        shares = [group.coverage for group in self.by_source]
        return float(np.std(shares, ddof=1) / math.sqrt(len(shares)))

    def chance(self, comparisons: int = 1) -> float:
        """How far :attr:`coverage` may fall below the level by chance, at this many sources.

        Student's t, one-sided: frames of a source stand or fall together, so sources are what is
        counted. Where it is one of several ``comparisons``, all of them together raise a false
        alarm in at most :data:`FALSE_ALARMS_MAX` (Bonferroni).
        """
        return student(self.n_sources, comparisons) * self.standard_error


def student(n_sources: int, comparisons: int) -> float:
    """How many standard errors chance allows in each of several one-sided ``comparisons``."""
    from scipy.special import stdtrit

    return float(stdtrit(n_sources - 1, 1 - FALSE_ALARMS_MAX / comparisons))


def leave_one_source_out(
    rows: OutOfFold,
    unit: Unit,
    levels: Sequence[float] = REPORTED_LEVELS,
    rules: Sequence[Rule] = RULES,
    floor: float | None = None,
    tried_on: OutOfFold | None = None,
) -> tuple[Coverage, ...]:
    """Calibrate each rule on all sources but one, and measure it on that one, for every source.

    Parameters
    ----------
    floor
        Under the deviation, in VMAF; that of ``rows`` unless told.
    tried_on
        Other members' predictions of the same rows, which are measured instead.
    """
    floor = rows.floor if floor is None else floor
    asked = np.array(sorted(levels))
    # An interval at the highest level of all sources can't be tried with one source less.
    fewest_rows = rows.n_rows - int(np.bincount(rows.source_index).max())
    highest: dict[Rule, float] = {
        "gaussian": 1.0,
        "frame": highest_frame_level(fewest_rows),
        "source": highest_source_level(len(rows.sources) - 1),
    }
    found = []
    for rule in rules:
        tried = asked[asked <= highest[rule] + LEVEL_TOLERANCE]
        quantiles = _quantiles(rows, rule, tried, floor)
        measured = [
            _measure(tried_on or rows, unit, rule, float(level), quantiles[:, place], floor)
            for place, level in enumerate(tried)
        ]
        open_levels = [float(level) for level in asked[len(tried) :]]
        found += [*measured, *(Coverage(unit, rule, level, (), ()) for level in open_levels)]
    return tuple(found)


def _quantiles(
    rows: OutOfFold, rule: Rule, levels: npt.NDArray[np.float64], floor: float
) -> npt.NDArray[np.float64]:
    """The quantiles for each source, from the others; shape (n_sources, n_levels)."""
    n_sources = len(rows.sources)
    if rule == "gaussian":
        return np.tile([normal_quantile(float(level)) for level in levels], (n_sources, 1))
    scores = WeightedScores.of(
        normalised_scores(rows.residual, rows.sigma, floor), rows.source_index
    )
    calibrate = scores.quantiles if rule == "source" else scores.frame_quantiles
    if not len(levels):
        return np.empty((n_sources, 0))
    return np.stack([calibrate(levels, without=source) for source in range(n_sources)])


def _measure(
    rows: OutOfFold,
    unit: Unit,
    rule: Rule,
    level: float,
    quantiles: npt.NDArray[np.float64],
    floor: float,
) -> Coverage:
    used_floor = 0.0 if rule == "gaussian" else floor
    half = quantiles[rows.source_index]
    lower, upper = bounds(rows.mu, rows.sigma, half, used_floor)
    covered = (lower <= rows.target) & (rows.target <= upper)
    encoders, encoder_index = np.unique(
        rows.keys["encoder"].to_numpy(dtype=object), return_inverse=True
    )
    width = upper - lower
    return Coverage(
        unit=unit,
        rule=rule,
        level=level,
        by_source=_by_group(rows.sources, rows.source_index, covered, width),
        by_encoder=_by_group(tuple(encoders), encoder_index, covered, width),
    )


def _by_group(
    names: Sequence[str],
    index: npt.NDArray[np.intp],
    covered: npt.NDArray[np.bool_],
    width: npt.NDArray[np.float64],
) -> tuple[GroupCoverage, ...]:
    counts = np.bincount(index, minlength=len(names))
    shares = np.bincount(index, weights=covered, minlength=len(names)) / counts
    widths = np.bincount(index, weights=width, minlength=len(names)) / counts
    return tuple(
        GroupCoverage(str(name), int(count), float(share), float(mean))
        for name, count, share, mean in zip(names, counts, shares, widths, strict=True)
    )


# --- findings for the checks -----------------------------------------------------------------


def find_coverage(coverages: Sequence[Coverage]) -> Finding:
    """Every conformal rule covers its level, but for what chance allows at this many sources.

    The Gaussian baseline is measured and shown beside them; it promises nothing to hold it to.
    """
    judged = [c for c in coverages if c.measured and c.rule != "gaussian"]
    margin = {c: c.coverage - c.level + c.chance(len(judged)) for c in judged}
    failing = [c for c in judged if margin[c] < 0]
    told = failing or [min(judged, key=lambda c: margin[c])]
    n_sources = judged[0].n_sources
    return Finding(
        passed=not failing,
        observed="; ".join(_told(c, len(judged)) for c in told),
        threshold=f"the level, less what chance allows with {n_sources} sources in "
        f"{len(judged)} comparisons (Student's t over the sources, {FALSE_ALARMS_MAX:.0%} false "
        "alarms in all)",
        next_step="nothing to do"
        if not failing
        else "look at coverage by source: add sources like those that are covered least",
    )


def _told(c: Coverage, comparisons: int) -> str:
    allowed = max(0.0, c.level - c.chance(comparisons))
    return (
        f"rule {c.rule} per {c.unit} at {c.level:.0%} covers {c.coverage:.1%} of an unseen source, "
        f"chance allows {allowed:.1%} (lowest: {c.lowest.name} "
        f"{c.lowest.coverage:.1%})"
    )


def find_sharpness(coverages: Sequence[Coverage]) -> Finding:
    """Source-level intervals at 90 % are narrow enough to decide something."""
    sharp = {c.unit: c for c in coverages if c.rule == "source" and c.level == SHARP_LEVEL}
    measured = {unit: c.width for unit, c in sharp.items() if c.measured}
    passed = len(measured) == len(UNITS) and max(measured.values()) <= SHARPNESS_MAX
    widths = [f"{width:.2f} VMAF per {unit}" for unit, width in measured.items()]
    return Finding(
        passed=passed,
        observed=", ".join(widths) or "too few sources to measure 90 % on one that is left out",
        threshold=f"mean width at {SHARP_LEVEL:.0%} <= {SHARPNESS_MAX:g} VMAF",
        next_step="nothing to do"
        if passed
        else "add sources: wide intervals come from few sources, or from one unlike the others",
    )
