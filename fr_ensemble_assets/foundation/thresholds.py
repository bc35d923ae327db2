"""The gate's thresholds (ADR-0303): their one home. What compares with them is ``gate/rule.py``."""

#: An ensemble below this generalises too poorly to steer an encoder.
MEAN_PLCC_MIN = 0.95
#: Members further apart than this disagree by luck of the seed: the mean can't be trusted.
PLCC_SPREAD_MAX = 0.005
#: A single weak member would widen every interval.
PER_SEED_PLCC_MIN = 0.95

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
