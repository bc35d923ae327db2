"""Are the members that ship off by more than those that the intervals were calibrated on?

How far five seeds disagree, and in which direction they err, is drawn once for all rows.
Leave-one-source-out can't see the shipped members' draw: its quantiles come from the very residuals
that it is tried on, so that its mean coverage hardly moves whatever they are. The shipped members'
own training rows show it. There they err no more than on a new source; where they leave *more* than
out-of-fold members do on the same rows, intervals calibrated on those are too narrow for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fr_ensemble_assets.calibration.coverage import (
    FALSE_ALARMS_MAX,
    UNITS,
    Coverage,
    leave_one_source_out,
    student,
)
from fr_ensemble_assets.calibration.pooling import OutOfFold, pool_encodes
from fr_ensemble_assets.foundation.findings import Finding


@dataclass(frozen=True)
class DrawComparison:
    """One unit, rule and level: both kinds of members under the same intervals.

    Attributes
    ----------
    out_of_fold, shipped
        Coverage of each source, calibrated on the other sources' out-of-fold predictions.
    """

    out_of_fold: Coverage
    shipped: Coverage

    @property
    def difference(self) -> float:
        """Mean over the sources of what shipped members have more."""
        return float(np.mean(self._differences))

    def chance(self, comparisons: int) -> float:
        """How far under 0 :attr:`difference` may fall by chance; Student's t over the sources."""
        paired = self._differences
        error = float(np.std(paired, ddof=1) / np.sqrt(len(paired)))
        return student(len(paired), comparisons) * error

    @property
    def _differences(self) -> list[float]:
        pairs = zip(self.shipped.by_source, self.out_of_fold.by_source, strict=True)
        return [ours.coverage - theirs.coverage for ours, theirs in pairs]


def compare_draws(
    frames: OutOfFold, shipped: OutOfFold, floor: float | None = None
) -> tuple[DrawComparison, ...]:
    """Every conformal rule and reported level, per frame and per encode.

    Parameters
    ----------
    frames
        Out-of-fold predictions of the corpus.
    shipped
        What the members that ship, trained on all sources, make of the same rows.
    """
    found: list[DrawComparison] = []
    pooled = pool_encodes(frames), pool_encodes(shipped)
    for unit, (rows, tried_on) in zip(UNITS, ((frames, shipped), pooled), strict=True):
        theirs, ours = (
            leave_one_source_out(rows, unit, rules=("frame", "source"), floor=floor, tried_on=other)
            for other in (None, tried_on)
        )
        pairs = zip(theirs, ours, strict=True)
        found += [DrawComparison(a, b) for a, b in pairs if a.measured]
    return tuple(found)


def find_draw(comparisons: Sequence[DrawComparison]) -> Finding:
    """Shipped members are covered as well on their own training rows as out-of-fold ones are."""
    n = len(comparisons)
    margin = {c: c.difference + c.chance(n) for c in comparisons}
    failing = [c for c in comparisons if margin[c] < 0]
    told = failing or [min(comparisons, key=lambda c: margin[c])]
    return Finding(
        passed=not failing,
        observed="; ".join(_told(c) for c in told),
        threshold=f"no less than out of fold, but for chance in {n} comparisons (Student's t over "
        f"the sources, {FALSE_ALARMS_MAX:.0%} false alarms in all)",
        next_step="the members that ship are off by more than those of the folds: recentre them, "
        "or trust no level that is named"
        if failing
        else "nothing to do",
    )


def _told(c: DrawComparison) -> str:
    return (
        f"rule {c.shipped.rule} per {c.shipped.unit} at {c.shipped.level:.0%} covers "
        f"{c.shipped.coverage:.1%} of the rows that the members were trained on, and "
        f"{c.out_of_fold.coverage:.1%} out of fold"
    )
