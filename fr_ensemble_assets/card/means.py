"""Means over sources with their uncertainty: sources are what is counted, not frames."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fr_ensemble_assets.card.facts import Mean

_CONFIDENCE = 0.95


def mean_over(values: Sequence[float]) -> Mean:
    """Mean of one value a source, and half the width of its 95 % interval (Student's t)."""
    from scipy.special import stdtrit

    n = len(values)
    half = None
    if n > 1:
        error = float(np.std(values, ddof=1)) / math.sqrt(n)
        half = float(stdtrit(n - 1, (1 + _CONFIDENCE) / 2)) * error
    return Mean(float(np.mean(values)), half, n)


def mean_of_defined(values: Sequence[float | None]) -> Mean | None:
    """The same over those that are defined; ``None`` where none is."""
    defined = [value for value in values if value is not None]
    return mean_over(defined) if defined else None
