"""PLCC, SROCC and RMSE as the field defines them, in float64, with the undefined said aloud."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Agreement:
    """How predictions agree with targets; ``None`` where a figure is undefined."""

    plcc: float | None
    srocc: float | None
    rmse: float | None


def agreement(prediction: npt.NDArray[np.float64], target: npt.NDArray[np.float64]) -> Agreement:
    """Pearson's and Spearman's correlation and the root mean square error; shapes (n,).

    Spearman's is Pearson's over ranks in which ties share their mean rank: a sixth of the rows of
    a real corpus sit at exactly VMAF 100. A correlation is undefined where either side is
    constant, where there are fewer than two rows, or where a prediction is not finite.
    """
    if not np.isfinite(prediction).all():
        return Agreement(None, None, None)
    return Agreement(
        plcc=_pearson(prediction, target),
        srocc=_pearson(_ranks(prediction), _ranks(target)),
        rmse=float(np.sqrt(np.mean((prediction - target) ** 2))),
    )


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """From 1, ties at their mean rank, as ``scipy.stats.rankdata`` counts (a test compares)."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = count.cumsum()
    return np.asarray((last - (count - 1) / 2)[place], dtype=np.float64)


def _pearson(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float | None:
    """As ``scipy.stats.pearsonr`` computes it (a test compares), without importing all of that."""
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    from_a, from_b = a - a.mean(), b - b.mean()
    value = float((from_a / np.linalg.norm(from_a)) @ (from_b / np.linalg.norm(from_b)))
    return min(1.0, max(-1.0, value)) if math.isfinite(value) else None


def mean_or_none(values: list[float | None]) -> float | None:
    """The mean, undefined where any value is: dropping it would let a broken fold through."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if values and len(defined) == len(values) else None
