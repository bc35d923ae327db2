"""Which encode would tell most, after those that were made?"""

from __future__ import annotations

import math
from collections.abc import Sequence

from fr_ensemble_assets.encodes.encoders import ENCODERS
from fr_ensemble_assets.prediction.recommendation import Rung

#: How far beyond what was encoded a straight line is trusted, and where there is none to draw.
_FARTHEST, _BLIND_STEP = 12.0, 4.0
#: In VMAF a quality. A flatter curve says nothing of where it ends.
_FLAT = 0.05


def next_probe(
    encoder: str, measured: Sequence[Rung], choice: Rung | None, target: float
) -> float | None:
    """A whole quality, on the encoder's scale where that is known; ``None`` where none is left.

    ``measured`` are the qualities that were encoded, ascending. Beyond them the last two are
    drawn on, towards the target.
    """
    least, most = ENCODERS[encoder].scale if encoder in ENCODERS else (0.0, math.inf)
    if choice is None:
        if not any(rung.covered or rung.vmaf is not None for rung in measured):
            return None  # nothing is known of any of them
        wanted = math.floor(_drawn_on(measured[:2], measured[0], target))
        wanted = min(wanted, math.ceil(measured[0].quality) - 1)
        return float(max(wanted, least)) if measured[0].quality > least else None
    if choice.vmaf is None:
        return choice.quality
    if choice == measured[-1]:
        wanted = math.floor(_drawn_on(measured[-2:], choice, target))
        wanted = max(wanted, math.floor(choice.quality) + 1)
        return float(min(wanted, most)) if choice.quality < most else None
    after = float(math.floor(choice.quality) + 1)
    coarser = next(rung for rung in measured if rung.quality > choice.quality)
    return None if coarser.quality <= after and coarser.vmaf is not None else after


def _drawn_on(pair: Sequence[Rung], end: Rung, target: float) -> float:
    """Where the line through ``pair`` meets the target, not too far from ``end``."""
    step = math.copysign(_BLIND_STEP, end.best - target)
    if len(pair) == 2:
        first, last = pair
        fall = (first.best - last.best) / (last.quality - first.quality)
        if fall > _FLAT:
            step = (end.best - target) / fall
    return end.quality + min(max(step, -_FARTHEST), _FARTHEST)
