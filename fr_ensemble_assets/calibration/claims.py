"""What a level is worth, in a sentence that claims no more than was measured.

Residuals of leave-one-source-out around members that saw all sources are the plain jackknife,
which has no distribution-free bound; 1 - 2 alpha is jackknife+'s and CV+'s, which are other
intervals (Barber, Candès, Ramdas and Tibshirani 2021, "Predictive inference with the jackknife+").
So nothing is said to be proved. What holds is exchangeability's average over sources, and what was
measured.
"""

from __future__ import annotations

from collections.abc import Sequence

from fr_ensemble_assets.calibration.coverage import Coverage, Unit
from fr_ensemble_assets.calibration.rules import LEVEL_TOLERANCE, Rule


def measured(coverages: Sequence[Coverage], unit: Unit, rule: Rule, level: float) -> str:
    """What sources left out got at ``level``, or at the measured levels about it.

    >>> measured(calibration.coverages, "encode", "source", 0.95)
    'measured on 21 sources, each left out: 99.0% ± 0.9% at 95%'
    """
    known = sorted(
        (c for c in coverages if c.unit == unit and c.rule == rule and c.measured),
        key=lambda c: c.level,
    )
    same = [c for c in known if abs(c.level - level) <= LEVEL_TOLERANCE]
    below = [c for c in known if c.level < level][-1:]
    above = [c for c in known if c.level > level][:1]
    told = same or [*below, *above]
    if not told:
        return "not measured on sources left out: too few of them"
    figures = ", ".join(f"{c.coverage:.1%} ± {c.standard_error:.1%} at {c.level:.0%}" for c in told)
    return f"measured on {told[0].n_sources} sources, each left out: {figures}"


def meaning(
    coverages: Sequence[Coverage], unit: Unit, rule: Rule, level: float, n_sources: int
) -> str:
    """What ``level`` says of new encodes or frames under ``rule``, and on what that rests."""
    told = f"{level * 100:.4g}%"
    what = {
        "encode": "encodes have their mean VMAF within the interval",
        "frame": "frames have their VMAF within the interval",
    }[unit]
    figures = measured(coverages, unit, rule, level)
    return {
        "source": f"on average over new sources like the {n_sources} calibrated on, {told} of "
        f"{what} ({figures})",
        "frame": f"{told} of the {n_sources} calibrated sources' {what}; of a new source it may be "
        f"far fewer ({figures})",
        "gaussian": f"{told} is nominal, as if errors were normal; nothing is promised ({figures})",
    }[rule]
