"""Three ways from residuals to an interval, and what each of them promises.

``gaussian``
    mu ± z·sigma, z the normal quantile (Lakshminarayanan, Pritzel and Blundell 2017, "Simple and
    scalable predictive uncertainty estimation using deep ensembles"). The baseline; promises
    nothing.
``frame``
    Split conformal on normalised residuals (Lei et al. 2018, "Distribution-free predictive
    inference for regression"; Romano, Patterson and Candès 2019, "Conformalized quantile
    regression"). Holds if new frames are exchangeable with the corpus' frames. Those of another
    video are not.
``source``
    Hierarchical conformal, sources being the groups (Dunn, Wasserman and Ramdas 2022,
    "Distribution-free prediction sets for two-layer hierarchical models"; Lee, Barber and Willett
    2023, "Distribution-free inference with hierarchical data"). Holds if the new source is
    exchangeable with the corpus' sources, on average over such sources and their frames.

A score is ``|vmaf - mu| / max(sigma, floor)``; an interval is ``mu ± q·max(sigma, floor)``.
A level is the coverage asked for, ``1 - alpha``.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from fr_ensemble_assets.foundation.schema import VMAF_MAX, VMAF_MIN

Rule = Literal["gaussian", "frame", "source"]
RULES: tuple[Rule, ...] = get_args(Rule)

#: In VMAF. Below it raw members' agreement says nothing more about the error. Chosen by
#: :func:`~fr_ensemble_assets.calibration.floors.compare_floors` on the bundled corpus: of the
#: candidates there it gives the narrowest source-level intervals at equal coverage.
SIGMA_FLOOR = 0.5

#: The same under recentred members, whose errors are a third as large. Chosen by nested
#: leave-one-source-out on the bundled corpus: without the source that it is then tried on, 0.1
#: gives the narrowest intervals at equal coverage for 20 of 21 sources (``benchmarks.recentring``).
#: One for every corpus: chosen anew on each, it would be fitted to the residuals that calibrate.
RECENTRED_FLOOR = 0.1

#: What is tabulated. A level in between is answered with the next higher one.
LEVELS = (*(percent / 100 for percent in range(50, 100)), 0.995, 0.999)
#: Where coverage is measured and shown.
REPORTED_LEVELS = (0.5, 0.8, 0.9, 0.95)

#: Levels are typed as decimals: 1 - 0.95 must count as 1/20.
LEVEL_TOLERANCE = 1e-9


class UnsupportedLevel(ValueError):
    """A level that this many rows or sources can't carry: its interval would be infinite."""

    def __init__(self, level: float, highest: float) -> None:
        super().__init__(f"level {level:g} is above {highest:g}, the highest that is supported")
        self.highest = highest


# --- scores ----------------------------------------------------------------------------------


def normalised_scores(
    residual: npt.NDArray[np.float64], sigma: npt.NDArray[np.float64], floor: float
) -> npt.NDArray[np.float64]:
    """``residual / max(sigma, floor)``, shape (n,).

    Where the divisor is 0 no quantile reaches a residual: infinite, unless that is 0 too.
    """
    scale = np.maximum(sigma, floor)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(residual == 0, 0.0, residual / scale)


def bounds(
    mu: npt.NDArray[np.float64],
    sigma: npt.NDArray[np.float64],
    quantile: float | npt.NDArray[np.float64],
    floor: float,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """``mu ± quantile·max(sigma, floor)`` within VMAF's range 0..100; shapes (n,), in VMAF."""
    half = quantile * np.maximum(sigma, floor)
    return np.clip(mu - half, VMAF_MIN, VMAF_MAX), np.clip(mu + half, VMAF_MIN, VMAF_MAX)


# --- quantiles -------------------------------------------------------------------------------


def normal_quantile(level: float) -> float:
    """z with which mu ± z·sigma holds ``level`` of a normal distribution; 0 < level < 1."""
    return NormalDist().inv_cdf((1 + level) / 2)


def highest_frame_level(n: int) -> float:
    """The highest level that ``n`` exchangeable scores carry: n / (n + 1)."""
    return n / (n + 1)


def highest_source_level(sources: int) -> float:
    """The highest level that K sources carry: K / (K + 1), that is alpha >= 1 / (K + 1)."""
    return sources / (sources + 1)


def frame_quantile(scores: npt.NDArray[np.float64], level: float) -> float:
    """The ceil((n + 1)·level)-th smallest of n ``scores``.

    Raises
    ------
    UnsupportedLevel
        If that is more than n.
    """
    n = len(scores)
    rank = math.ceil((n + 1) * level - LEVEL_TOLERANCE)
    if rank > n:
        raise UnsupportedLevel(level, highest_frame_level(n))
    return float(np.partition(scores, rank - 1)[rank - 1])


def source_quantile(
    scores: npt.NDArray[np.float64], source_index: npt.NDArray[np.intp], level: float
) -> float:
    """The ``level`` quantile where each of K sources weighs 1 / (K + 1), spread over its rows.

    The unseen source weighs 1 / (K + 1) too, at plus infinity.

    Parameters
    ----------
    scores, source_index
        Score and number of the source of each row; shapes (n,).

    Raises
    ------
    UnsupportedLevel
        If alpha = 1 - level is under 1 / (K + 1).
    """
    weighted = WeightedScores.of(scores, source_index)
    return float(weighted.quantiles(np.array([level]))[0])


@dataclass(frozen=True)
class WeightedScores:
    """Scores in ascending order with the weight that each has among its source's.

    Sorted once, so that the quantiles of every level, with every source left out, cost one pass.

    Attributes
    ----------
    scores, weights, source_index
        Score, 1 / (rows of its source), number of its source; shapes (n,).
    n_sources
        How many sources there are.
    """

    scores: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64]
    source_index: npt.NDArray[np.intp]
    n_sources: int

    @classmethod
    def of(
        cls, scores: npt.NDArray[np.float64], source_index: npt.NDArray[np.intp]
    ) -> WeightedScores:
        """Sort and weigh; sources are whatever numbers occur in ``source_index``."""
        _, numbers, counts = np.unique(source_index, return_inverse=True, return_counts=True)
        order = np.argsort(scores, kind="stable")
        numbers = numbers[order]
        return cls(scores[order], 1.0 / counts[numbers], numbers, len(counts))

    def quantiles(
        self, levels: npt.NDArray[np.float64], without: int | None = None
    ) -> npt.NDArray[np.float64]:
        """The source-level quantile of each level, calibrated without one source if asked for.

        Raises
        ------
        UnsupportedLevel
            If the sources that remain don't carry the highest of ``levels``.
        """
        kept = slice(None) if without is None else self.source_index != without
        n_sources = self.n_sources - (without is not None)
        highest = highest_source_level(n_sources)
        if levels.max() > highest + LEVEL_TOLERANCE:
            raise UnsupportedLevel(float(levels.max()), highest)
        reached = np.cumsum(self.weights[kept]) / (n_sources + 1)
        places = np.searchsorted(reached, levels - LEVEL_TOLERANCE)
        return np.asarray(self.scores[kept][np.minimum(places, len(reached) - 1)])

    def frame_quantiles(
        self, levels: npt.NDArray[np.float64], without: int | None = None
    ) -> npt.NDArray[np.float64]:
        """:func:`frame_quantile` of each level over the same scores, whatever their source.

        Raises
        ------
        UnsupportedLevel
            If the rows that remain don't carry the highest of ``levels``.
        """
        kept = slice(None) if without is None else self.source_index != without
        scores = self.scores[kept]
        n = len(scores)
        ranks = np.ceil((n + 1) * levels - LEVEL_TOLERANCE).astype(np.intp)
        if ranks.max() > n:
            raise UnsupportedLevel(float(levels.max()), highest_frame_level(n))
        return np.asarray(scores[ranks - 1])


# --- tables ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """The quantile for a level that was asked for.

    Attributes
    ----------
    asked, level
        The level asked for, and the one that is answered: lower where the asked one is not
        supported, else the same.
    quantile, floor
        The interval is ``mu ± quantile·max(sigma, floor)``.
    """

    asked: float
    level: float
    quantile: float
    floor: float

    @property
    def supported(self) -> bool:
        return self.level == self.asked


@dataclass(frozen=True)
class QuantileTable:
    """One rule's quantiles.

    Attributes
    ----------
    rule
        Which rule they obey.
    floor
        Sigma's floor, in VMAF; 0 for none.
    highest_level
        The highest level that the calibrating rows or sources carry. Nothing is promised above.
    levels, quantiles
        Ascending levels up to and with ``highest_level``, and the quantile of each.
    """

    rule: Rule
    floor: float
    highest_level: float
    levels: tuple[float, ...]
    quantiles: tuple[float, ...]

    def at(self, level: float) -> Answer:
        """The quantile for ``level``, or for the highest level that is supported.

        A level that is not tabulated takes the next higher one: wider, and so still covered.
        """
        if level > self.highest_level + LEVEL_TOLERANCE:
            return Answer(level, self.highest_level, self.quantiles[-1], self.floor)
        place = min(bisect_left(self.levels, level - LEVEL_TOLERANCE), len(self.levels) - 1)
        return Answer(level, level, self.quantiles[place], self.floor)


def gaussian_table() -> QuantileTable:
    """The normal quantiles, without a floor."""
    quantiles = tuple(normal_quantile(level) for level in LEVELS)
    return QuantileTable("gaussian", 0.0, LEVELS[-1], LEVELS, quantiles)


def frame_table(scores: WeightedScores, floor: float) -> QuantileTable | None:
    """Rule ``frame`` over all rows; ``None`` where no quantile is finite."""
    levels = supported_levels(highest_frame_level(len(scores.scores)))
    return _table("frame", floor, levels, scores.frame_quantiles(levels))


def source_table(scores: WeightedScores, floor: float) -> QuantileTable | None:
    """Rule ``source`` over all sources; ``None`` where no quantile is finite."""
    levels = supported_levels(highest_source_level(scores.n_sources))
    return _table("source", floor, levels, scores.quantiles(levels))


def supported_levels(highest: float) -> npt.NDArray[np.float64]:
    """:data:`LEVELS` under ``highest``, then ``highest`` itself, which is 1/2 or more."""
    return np.array([*(level for level in LEVELS if level < highest - LEVEL_TOLERANCE), highest])


def _table(
    rule: Rule,
    floor: float,
    levels: npt.NDArray[np.float64],
    quantiles: npt.NDArray[np.float64],
) -> QuantileTable | None:
    # Without a floor, members that agree to the last digit make a score infinite: levels that
    # reach such a score are not supported.
    finite = np.isfinite(quantiles)
    if not finite.any():
        return None
    kept = levels[finite].tolist()
    return QuantileTable(rule, floor, kept[-1], tuple(kept), tuple(quantiles[finite].tolist()))
