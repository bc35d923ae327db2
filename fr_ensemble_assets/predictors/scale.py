"""VMAF on a scale where curves over quality are nearly straight, and curves that never rise.

Near 100 VMAF saturates: ``t = -sqrt(100.5 - vmaf)`` spreads what is crowded there, and has no
infinity at 100.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fr_ensemble_assets.foundation.schema import VMAF_MAX, VMAF_MIN

Array = npt.NDArray[np.float64]

#: Half a point above the best score, so that 100 is an ordinary value.
CEILING = VMAF_MAX + 0.5
#: Scores are kept off the end of the logit by this much.
_LEAST = 0.05


def to_t(vmaf: Array) -> Array:
    """VMAF 0..100 to t; increasing."""
    return np.asarray(-np.sqrt(CEILING - vmaf))


def to_vmaf(t: Array) -> Array:
    """Back from t; what lies outside 0..100 is put on its end."""
    return np.clip(CEILING - np.minimum(t, 0.0) ** 2, VMAF_MIN, VMAF_MAX)


def to_logit(vmaf: Array) -> Array:
    """The logit of ``vmaf / CEILING``."""
    kept = np.clip(vmaf, _LEAST, VMAF_MAX)
    return np.asarray(np.log(kept / (CEILING - kept)))


def from_logit(logit: Array) -> Array:
    """Back from the logit, not clipped."""
    return np.asarray(CEILING / (1.0 + np.exp(-np.clip(logit, -50.0, 50.0))))


def never_rising(values: Array) -> Array:
    """The nearest sequence, by least squares, that never rises (pool adjacent violators)."""
    means: list[float] = []
    sizes: list[int] = []
    for value in values.tolist():
        means.append(value)
        sizes.append(1)
        while len(means) > 1 and means[-2] < means[-1]:
            mean, size = means.pop(), sizes.pop()
            together = sizes[-1] + size
            means[-1] += (mean - means[-1]) * size / together
            sizes[-1] = together
    # A mean of pooled values can come out a rounding above its neighbour's.
    return np.minimum.accumulate(np.repeat(means, sizes))
