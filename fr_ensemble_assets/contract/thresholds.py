"""What the gate asks (ADR-0303) and what a final fit must show: the one home of every threshold.

What compares the first with figures is ``gate/rule.py``.
"""

from __future__ import annotations

from dataclasses import dataclass


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
ADR_0303 = Thresholds(mean_plcc_min=0.95, plcc_spread_max=0.005, each_plcc_min=0.95)

#: A final fit scores rows that it was trained on, so it has no reason to err much more there than
#: the same seed did on sources that it never saw. Training ends at a constant learning rate, and
#: its last steps shift all scores up and down by some tenths of a VMAF point: honest fits reach
#: 1.6 times that RMSE (the bundled corpus, seed 2; 0.8 on a slice of it) and 1.3 times in their
#: mean error (0.4). The limits leave twice that, and none for a fit that diverged or was shifted.
FIT_RMSE_RATIO_MAX = 4.0
#: Of the same RMSE. The mean error is a part of the RMSE, so its limit is the tighter one.
FIT_BIAS_RATIO_MAX = 3.0
#: In VMAF: below this neither figure is held against a fit, however well the folds went.
FIT_ERROR_TOLERATED = 1.0
