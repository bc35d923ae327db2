"""Mean and deviation of the canonical-6 features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fr_ensemble_assets.foundation.schema import CANONICAL_6

#: A feature that varies less than this carries nothing; dividing by it would only carry noise.
SMALLEST_DEVIATION = 1e-8


@dataclass(frozen=True)
class Scaler:
    """Population statistics a feature, in the order of canonical-6.

    Attributes
    ----------
    mean, std
        Float64, shape (6,); ``std`` is the deviation with ddof = 0, and 1 where it is under 1e-8.
    n_rows
        How many rows they were taken over.
    """

    mean: npt.NDArray[np.float64]
    std: npt.NDArray[np.float64]
    n_rows: int

    def standardise(self, features: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        """``(features - mean) / std`` in float64, given as float32; shape (n, 6) in and out."""
        scaled = features - self.mean
        scaled /= self.std
        return scaled.astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        return {
            "feature_order": list(CANONICAL_6),
            "feature_mean": self.mean.tolist(),
            "feature_std": self.std.tolist(),
            "n_rows": self.n_rows,
        }


def fit_scaler(features: npt.NDArray[np.float64]) -> Scaler:
    """Fit on ``features``, shape (n, 6), float64; contracts section 1."""
    std = features.std(axis=0, ddof=0)
    std = np.where(std < SMALLEST_DEVIATION, 1.0, std)
    return Scaler(mean=features.mean(axis=0), std=std, n_rows=len(features))
