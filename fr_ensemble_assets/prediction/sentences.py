"""Recommendations in words: a line for each source and encoder, and what the level means."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fr_ensemble_assets.encodes.encoders import ENCODERS
from fr_ensemble_assets.predictors.plan import quality_name

if TYPE_CHECKING:
    from fr_ensemble_assets.prediction.recommendation import Recommendation, Recommendations


def recommendation_sentence(of: Recommendation) -> str:
    """The answer for one source and encoder, in one line that a person can repeat."""
    name = f"{of.src} with {of.encoder}"
    name += f" ({of.preset})" if of.preset else ""
    told = of.choice or of.nearest
    knob = quality_name(ENCODERS[of.encoder]) if of.encoder in ENCODERS else "quality"
    shown = (
        f"predicted {told.mu:.1f} ({told.lower:.1f} to {told.upper:.1f} at {_percent(of.level)})"
    )
    if told.vmaf is not None:
        shown = f"measured {told.vmaf:.2f}, {shown}"
    if of.choice is None and not told.covered and told.vmaf is None:
        line = f"{name}: nothing is recommended"
    elif of.choice is None:
        line = (
            f"{name}: none of the probes keeps VMAF {of.target:g}; the nearest is {knob} "
            f"{told.quality:g}, {shown}"
        )
    else:
        between = " (interpolated)" if told.interpolated else ""
        largest = "the largest of the probes" if of.ends_the_file else "the largest"
        keeps = "that keeps" if told.vmaf is not None else "whose lower bound reaches"
        line = (
            f"{name}: {knob} {told.quality:g}{between} is {largest} {keeps} VMAF {of.target:g}: "
            f"{shown}"
        )
    if of.saved:
        which = "smaller" if of.saved > 0 else "larger"
        line += f", {abs(of.saved):.0%} {which} than at {of.measured[0].quality:g}"
    if of.next_probe is not None and (of.choice is None or of.ends_the_file):
        line += f"; {_next_step(of, of.next_probe)}"
    if told.extrapolates:
        line += f"; {told.extrapolates:.0%} of its frames are unlike the training frames"
    if of.rises:
        line += "; the predictions rise with the quality value, which can't be: look at the probes"
    return line + "."


def _next_step(of: Recommendation, probe: float) -> str:
    if of.choice is not None and probe == of.choice.quality and not of.choice.interpolated:
        return f"score the encode at {probe:g} to be sure"
    cheaper = of.choice is not None and probe > of.choice.quality
    return f"probe {probe:g} {'to find a cheaper one' if cheaper else 'next'}"


def level_explanation(given: Recommendations) -> str:
    """What the level of the intervals means, and whether it is the one that was asked for."""
    level, n = _percent(given.answer.level), given.n_sources
    if given.answer.supported:
        return f"At {level}: {given.meaning}."
    whose = f"{n} sources" if given.rule == "source" else f"rule {given.rule}, as calibrated,"
    return (
        f"{whose} can't carry {given.answer.asked * 100:.10g}%; answered at {level}, the "
        f"highest that can be had: {given.meaning}."
    )


def _percent(level: float) -> str:
    """A level as a percentage that never promises more than it is."""
    return f"{math.floor(level * 1000 + 1e-6) / 10:g}%"
