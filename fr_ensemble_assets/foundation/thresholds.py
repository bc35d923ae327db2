"""The gate's thresholds (ADR-0303): their one home. What compares with them is ``gate/rule.py``."""

#: An ensemble below this generalises too poorly to steer an encoder.
MEAN_PLCC_MIN = 0.95
#: Members further apart than this disagree by luck of the seed: the mean can't be trusted.
PLCC_SPREAD_MAX = 0.005
#: A single weak member would widen every interval.
PER_SEED_PLCC_MIN = 0.95
