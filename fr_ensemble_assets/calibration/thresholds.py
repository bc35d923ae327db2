"""When is an interval narrow enough to act on, and when too wide to trust? For a tuner's sidecar.

A tuner that steers by intervals takes a short cut where they are narrow and searches in full where
they are wide. Where these words begin is read off what the ensemble does on sources that it never
saw, a whole encode being what a tuner decides about.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fr_ensemble_assets.calibration.coverage import SHARPNESS_MAX
from fr_ensemble_assets.calibration.pooling import OutOfFold, pool_encodes
from fr_ensemble_assets.calibration.rules import (
    LEVEL_TOLERANCE,
    LEVELS,
    WeightedScores,
    bounds,
    highest_source_level,
    normalised_scores,
)
from fr_ensemble_assets.foundation.errors import UnusableInput

LEVEL = 0.95
#: What most encodes of unseen sources have is narrow: their coverage is what was measured. An
#: interval wider than any of them stands for something that was never tried, and is wide. Both
#: follow the ensemble, where fixed widths would call all of its intervals the same; and sigma's
#: floor keeps most of them close together, so that quartiles alone would part like from like.
TIGHT_QUANTILE = 0.75
#: In VMAF: what viewers just notice is put at about 6. However usual, wider than this decides
#: nothing, and is no ground for a short cut.
TIGHT_MAX = SHARPNESS_MAX


@dataclass(frozen=True)
class Thresholds:
    """Widths in VMAF between which an interval is neither narrow nor wide.

    Attributes
    ----------
    tight, wide
        At most the first is narrow, at least the second is wide.
    level
        The level of the intervals: 0.95, or the highest that the sources carry.
    n_encodes, n_sources
        What they were read off.
    """

    tight: float
    wide: float
    level: float
    n_encodes: int
    n_sources: int


def thresholds(frames: OutOfFold) -> Thresholds:
    """From the widths of encode intervals, each calibrated without its own source.

    Narrow is what three quarters of them have, but never beyond :data:`TIGHT_MAX`; wide is what
    is beyond all of them.

    Raises
    ------
    UnusableInput
        If there are fewer than two sources.
    """
    encodes = pool_encodes(frames)
    n_sources = len(encodes.sources)
    if n_sources < 2:
        raise UnusableInput(
            f"thresholds: expected at least 2 sources to read widths off, found {n_sources}; "
            "add another source."
        )
    highest = highest_source_level(n_sources - 1) + LEVEL_TOLERANCE
    level = max(level for level in LEVELS if level <= min(LEVEL, highest))
    widths = out_of_source_widths(encodes, level)
    tight = min(float(np.quantile(widths, TIGHT_QUANTILE)), TIGHT_MAX)
    return Thresholds(tight, max(tight, float(widths.max())), level, encodes.n_rows, n_sources)


def out_of_source_widths(encodes: OutOfFold, level: float) -> npt.NDArray[np.float64]:
    """Width of each encode's interval by rule ``source`` of the other sources; (n_encodes,)."""
    scores = WeightedScores.of(
        normalised_scores(encodes.residual, encodes.sigma, encodes.floor), encodes.source_index
    )
    asked = np.array([level])
    each = [scores.quantiles(asked, without=place)[0] for place in range(len(encodes.sources))]
    half = np.array(each)[encodes.source_index]
    lower, upper = bounds(encodes.mu, encodes.sigma, half, encodes.floor)
    return np.asarray(upper - lower)


def thresholds_document(thresholds: Thresholds, corpus_sha256: str) -> dict[str, Any]:
    """The sidecar: two keys that a tuner reads, and where they come from."""
    return {
        "tight_interval_max_width": thresholds.tight,
        "wide_interval_min_width": thresholds.wide,
        "source": (
            f"quantile {TIGHT_QUANTILE:g} (at most {TIGHT_MAX:g}) and greatest of the widths in "
            f"VMAF of {thresholds.n_encodes} encodes' intervals, rule 'source' at "
            f"{thresholds.level:g}, each of {thresholds.n_sources} sources calibrated on the "
            "others and predicted by members that never saw it"
        ),
        "level": thresholds.level,
        "corpus_sha256": corpus_sha256,
    }
