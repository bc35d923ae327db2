"""The gate's thresholds (ADR-0303): their one home. What compares with them is ``gate/rule.py``."""

from __future__ import annotations

from dataclasses import dataclass

from fr_ensemble_assets.foundation.thresholds import (
    MEAN_PLCC_MIN,
    PER_SEED_PLCC_MIN,
    PLCC_SPREAD_MAX,
)


@dataclass(frozen=True)
class Thresholds:
    """What the units' PLCC must reach; every comparison is inclusive.

    Attributes
    ----------
    mean_plcc_min
        An ensemble below this generalises too poorly to steer an encoder.
    plcc_spread_max
        Units further apart than this (max - min) agree by luck: the mean can't be trusted.
    each_plcc_min
        A single weak unit would widen every interval.
    """

    mean_plcc_min: float
    plcc_spread_max: float
    each_plcc_min: float


#: Both consumers of the gate are held to these: seeds of an ensemble, folds of a codec.
ADR_0303 = Thresholds(MEAN_PLCC_MIN, PLCC_SPREAD_MAX, PER_SEED_PLCC_MIN)
