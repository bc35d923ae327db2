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
    from scipy.stats import rankdata

    if not np.isfinite(prediction).all():
        return Agreement(None, None, None)
    return Agreement(
        plcc=_pearson(prediction, target),
        srocc=_pearson(rankdata(prediction), rankdata(target)),
        rmse=float(np.sqrt(np.mean((prediction - target) ** 2))),
    )


def _pearson(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float | None:
    from scipy.stats import pearsonr

    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    value = float(pearsonr(a, b).statistic)
    return value if math.isfinite(value) else None


def mean_or_none(values: list[float | None]) -> float | None:
    """The mean, undefined where any value is: dropping it would let a broken fold through."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if values and len(defined) == len(values) else None
