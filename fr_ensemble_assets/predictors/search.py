"""The search for the largest quality that keeps a target, one encode at a time.

A pure state machine: :func:`next_step` says what to do given what was measured, and whoever calls
it encodes and scores. The answer is always an encode that was scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.schema import VMAF_MAX, VMAF_MIN
from fr_ensemble_assets.predictors.model import Belief, Probe, ScoredProbe
from fr_ensemble_assets.predictors.scale import Array

#: The share of bytes that must be expected to be saved for another encode to be worth its time.
WORTHWHILE_SAVING = 0.08
MAX_ENCODES = 4
#: The next encode is the largest quality that is at least this likely to keep the target.
EVEN = 0.5

Why = Literal["saving", "exact", "coarsest", "encodes", "out-of-reach", "not-found"]


@dataclass(frozen=True)
class Options:
    """How far a search goes.

    Attributes
    ----------
    worthwhile_saving
        It stops when the expected share of bytes left to save is below this.
    exact
        It stops only when the next coarser quality was measured to miss.
    max_encodes
        It never makes more.
    confidence
        How likely the last encode allowed is to keep the target, where none has kept it.
    """

    worthwhile_saving: float = WORTHWHILE_SAVING
    exact: bool = False
    max_encodes: int = MAX_ENCODES
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not 0 <= self.worthwhile_saving < 1:
            raise UnusableInput(
                "--worthwhile-saving: expected a share from 0 to below 1, found "
                f"{self.worthwhile_saving:g}."
            )
        if not EVEN <= self.confidence < 1:
            raise UnusableInput(
                f"--confidence: expected a share from {EVEN:g} to below 1, found "
                f"{self.confidence:g}."
            )
        if self.max_encodes < 1:
            raise UnusableInput(f"--max-encodes: expected 1 or more, found {self.max_encodes}.")


@dataclass(frozen=True)
class Encode:
    """Encode at ``quality`` and score it."""

    quality: float


@dataclass(frozen=True)
class Answer:
    """The search is over.

    Attributes
    ----------
    probe
        The largest quality that was measured to keep the target; ``None`` where none was.
    why
        ``saving``: too little is expected from another encode; ``exact``: the next coarser one
        was measured to miss; ``coarsest``: there is no coarser one; ``encodes``: no more were
        allowed; ``out-of-reach``: the finest quality was measured to miss; ``not-found``: no more
        were allowed before any kept it.
    saving_left
        The expected share of bytes that further encodes would save.
    """

    probe: Probe | None
    why: Why
    saving_left: float


def next_step(
    predictor: ScoredProbe, target: float, measured: Sequence[Probe], options: Options
) -> Encode | Answer:
    """What to do after ``measured``, in the order in which the encodes were made.

    Raises
    ------
    UnusableInput
        If the target is no VMAF.
    KeyError
        If something was measured at a quality that the predictor doesn't know.
    """
    require_target(target)
    belief = predictor.belief(measured)
    if not measured:
        return Encode(_first(belief, target))
    keeps, misses = _bracket(belief, target)
    kept = belief.quality[keeps] if keeps >= 0 else None
    best = next((probe for probe in measured if probe.quality == kept), None)
    chance = belief.probability(target)
    saving = _saving_left(chance, predictor.log_size, keeps, misses)
    stop = _reason_to_stop(keeps, misses, len(chance), len(measured), saving, options)
    if stop is not None:
        return Answer(best, stop, saving)
    last = keeps < 0 and len(measured) == options.max_encodes - 1
    place = _next(chance, keeps, misses, options.confidence if last else EVEN)
    return Encode(float(belief.quality[place]))


def require_target(target: float) -> None:
    """Raise :class:`UnusableInput` if ``target`` is no VMAF."""
    if not VMAF_MIN < target <= VMAF_MAX:
        raise UnusableInput(f"--target: expected a VMAF above 0 and up to 100, found {target:g}.")


def _first(belief: Belief, target: float) -> float:
    """Where the mean curve meets the target; its finest quality where it never does."""
    meets = np.flatnonzero(belief.vmaf >= target)
    return float(belief.quality[meets[-1] if len(meets) else 0])


def _bracket(belief: Belief, target: float) -> tuple[int, int]:
    """The coarsest position measured to keep the target, and the finest beyond it that misses.

    -1 where none keeps it, the number of qualities where nothing beyond it misses.
    """
    keeps = max((index for index, score in belief.measured if score >= target), default=-1)
    misses = (index for index, score in belief.measured if score < target and index > keeps)
    return keeps, min(misses, default=len(belief.quality))


def _saving_left(chance: Array, log_size: Array, keeps: int, misses: int) -> float:
    """The expected share of the best encode's bytes that the coarsest one that keeps would save.

    1 where nothing keeps the target yet.
    """
    if keeps < 0:
        return 1.0
    between = np.arange(keeps + 1, misses)
    saved = 1.0 - np.exp(log_size[between] - log_size[keeps])
    # P(the answer lies at or beyond q), times what going to q adds to what is saved.
    return float(np.sum(chance[between] * np.diff(np.maximum(saved, 0.0), prepend=0.0)))


def _reason_to_stop(
    keeps: int, misses: int, qualities: int, encodes: int, saving: float, options: Options
) -> Why | None:
    if keeps < 0:
        if misses == 0:
            return "out-of-reach"
        return "not-found" if encodes >= options.max_encodes else None
    if keeps == qualities - 1:
        return "coarsest"
    if keeps + 1 == misses:
        return "exact"
    if encodes >= options.max_encodes:
        return "encodes"
    return "saving" if not options.exact and saving < options.worthwhile_saving else None


def _next(chance: Array, keeps: int, misses: int, likely_enough: float) -> int:
    """The largest position between the brackets that is likely enough; else the first one."""
    between = np.arange(keeps + 1, misses)
    likely = between[chance[between] >= likely_enough]
    return int(likely[-1] if len(likely) else between[0])
