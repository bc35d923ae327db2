"""The gate's thresholds (ADR-0303): their one home. What compares with them is ``gate/rule.py``."""

#: An ensemble below this generalises too poorly to steer an encoder.
MEAN_PLCC_MIN = 0.95
#: Members further apart than this disagree by luck of the seed: the mean can't be trusted.
PLCC_SPREAD_MAX = 0.005
#: A single weak member would widen every interval.
PER_SEED_PLCC_MIN = 0.95

#: A final fit scores rows that it was trained on, so it has no reason to err more there than the
#: same seed did on sources that it never saw. The last steps of training make both figures swing:
#: the factors leave room for that, and none for a fit that diverged or was shifted.
FIT_RMSE_RATIO_MAX = 3.0
#: Of the same RMSE; the mean error is a part of the RMSE, so its limit is the tighter one.
FIT_BIAS_SHARE_MAX = 2.0
