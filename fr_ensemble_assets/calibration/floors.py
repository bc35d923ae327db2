"""Which residual an interval is built on: decided by width, where coverage is the same.

Divided by ``max(sigma, floor)``, residuals are normalised where the floor is low and absolute where
it is above every sigma: one number decides both questions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fr_ensemble_assets.calibration.pooling import OutOfFold
from fr_ensemble_assets.calibration.rules import (
    WeightedScores,
    bounds,
    highest_source_level,
    normalised_scores,
)
from fr_ensemble_assets.foundation.schema import VMAF_MAX

#: Above any deviation that members can have within VMAF's range: the absolute residual.
ABSOLUTE = VMAF_MAX
#: Coarse on purpose: a finer grid would choose by noise.
CANDIDATES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.0, ABSOLUTE)
#: The levels that people act on.
DECIDING_LEVELS = (0.9, 0.95)


@dataclass(frozen=True)
class FloorWidth:
    """What one floor costs.

    Attributes
    ----------
    floor
        In VMAF.
    frame_widths, encode_widths
        Mean width of the source-level intervals at each deciding level, in VMAF; every source
        weighs the same.
    """

    floor: float
    frame_widths: tuple[float, ...]
    encode_widths: tuple[float, ...]

    @property
    def overall(self) -> float:
        """The geometric mean of all widths, so that no level or unit outweighs another."""
        widths = (*self.frame_widths, *self.encode_widths)
        return math.prod(widths) ** (1 / len(widths))


def compare_floors(frames: OutOfFold, encodes: OutOfFold) -> tuple[FloorWidth, ...]:
    """Every candidate's widths at equal coverage, the narrowest first.

    Coverage is equal by construction: whatever the floor, the source-level quantile takes in the
    same share of the rows that it is calibrated on. Deciding levels that the sources don't carry
    are replaced with the highest that they do.

    The winner on the bundled corpus is :data:`~fr_ensemble_assets.calibration.rules.SIGMA_FLOOR`,
    for every corpus: chosen anew on each, it would be fitted to the residuals that it is
    calibrated on, and the guarantee would no longer be exact.
    """
    found = [
        FloorWidth(floor, _widths(frames, floor), _widths(encodes, floor)) for floor in CANDIDATES
    ]
    return tuple(sorted(found, key=lambda candidate: candidate.overall))


def _widths(rows: OutOfFold, floor: float) -> tuple[float, ...]:
    scores = WeightedScores.of(
        normalised_scores(rows.residual, rows.sigma, floor), rows.source_index
    )
    highest = highest_source_level(scores.n_sources)
    levels = np.minimum(DECIDING_LEVELS, highest)
    widths = []
    for quantile in scores.quantiles(levels):
        lower, upper = bounds(rows.mu, rows.sigma, float(quantile), floor)
        total = np.bincount(rows.source_index, weights=upper - lower)
        widths.append(float(np.mean(total / np.bincount(rows.source_index))))
    return tuple(widths)
