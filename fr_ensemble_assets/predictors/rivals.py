"""What people search with today, to be measured against: two rules, as their makers describe them.

``interpolating_bisection``
    As ab-av1's ``crf-search`` works: the middle of the range first, then half-way to the end in
    whose direction the target lies, then that end, and once the target is bracketed linear
    interpolation of VMAF between the brackets. It stops at a score above the target by less than
    a tolerance that starts at 0.1 and doubles with every encode, or at neighbouring qualities.
``four_probes``
    As Av1an's target quality works with its default of four probes: the middle, the end in whose
    direction the target lies, then two interpolations in ``-log(1 - vmaf/100)``; the answer is
    interpolated linearly, rounded to the finer side, and encoded unless it was a probe.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

#: VMAF of the encode at a whole quality.
Score = Callable[[int], float]


@dataclass
class Trail:
    """The encodes that a search made, in order, and its answer; ``None`` where it has none."""

    score: Score
    made: dict[int, float] = field(default_factory=dict)
    answer: int | None = None

    def encode(self, quality: int) -> float:
        """Score ``quality``; what was made before costs nothing."""
        if quality not in self.made:
            self.made[quality] = self.score(quality)
        return self.made[quality]


def interpolating_bisection(
    score: Score, target: float, least: int, most: int, tolerance: float | None = 0.1
) -> Trail:
    """``tolerance`` of the first encode, doubling; ``None`` goes on to neighbouring qualities."""
    trail = Trail(score)
    quality, allowed = (least + most) // 2, tolerance
    while True:
        vmaf = trail.encode(quality)
        if vmaf > target and allowed is not None and vmaf < target + allowed:
            trail.answer = quality
            return trail
        allowed = None if allowed is None else allowed * 2
        keeps, misses = _brackets(trail, target)
        if keeps is not None and (keeps == most or misses == keeps + 1):
            trail.answer = keeps
            return trail
        if keeps is None and misses == least:
            return trail
        quality = _between(trail, target, keeps, misses, least, most)


def _brackets(trail: Trail, target: float) -> tuple[int | None, int | None]:
    keeps = max((q for q, vmaf in trail.made.items() if vmaf > target), default=None)
    beyond = [q for q in trail.made if keeps is None or q > keeps]
    return keeps, min(beyond, default=None)


def _between(
    trail: Trail, target: float, keeps: int | None, misses: int | None, least: int, most: int
) -> int:
    halving = len(trail.made) == 1
    if misses is None:
        assert keeps is not None
        return (keeps + most) // 2 if halving and keeps + 1 < most else most
    if keeps is None:
        return (least + misses) // 2 if halving and misses > least + 1 else least
    share = (target - trail.made[misses]) / (trail.made[keeps] - trail.made[misses])
    quality = round(misses - (misses - keeps) * share)
    return min(max(quality, keeps + 1), misses - 1)


def four_probes(score: Score, target: float, least: int, most: int, probes: int = 4) -> Trail:
    """The answer is whatever was interpolated: nothing says that it keeps the target."""
    trail = Trail(score)
    middle = (least + most) // 2
    end = least if trail.encode(middle) < target else most
    reached = trail.encode(end)
    if (end == least and reached < target) or (end == most and reached > target):
        trail.answer = end
        return trail
    low, high = max(middle, end), min(middle, end)
    for _ in range(probes - 2):
        quality = _weighted(trail, target, low, high)
        if quality in trail.made:
            break
        if trail.encode(quality) < target:
            low = quality
        else:
            high = quality
    trail.answer = _interpolated(sorted((vmaf, q) for q, vmaf in trail.made.items()), target)
    trail.encode(trail.answer)
    return trail


def _weighted(trail: Trail, target: float, low: int, high: int) -> int:
    below = abs(_log_loss(target) - _log_loss(trail.made[low]))
    above = abs(_log_loss(target) - _log_loss(trail.made[high]))
    return round((low * above + high * below) / (below + above or 1.0))


def _log_loss(vmaf: float) -> float:
    return -math.log(1.0 - vmaf / 100.0) if vmaf < 99.99 else 9.2


def _interpolated(points: Sequence[tuple[float, int]], target: float) -> int:
    for (low, coarse), (high, fine) in pairwise(points):
        if low <= target <= high:
            share = (target - low) / (high - low) if high > low else 0.0
            return math.floor(coarse + (fine - coarse) * share)
    return points[0][1] if target < points[0][0] else points[-1][1]
