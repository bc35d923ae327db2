"""Which quality keeps the lower bound above a target? The question that intervals are for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fr_ensemble_assets.calibration.calibrate import Calibration
from fr_ensemble_assets.calibration.interpolation import ANY_ENCODER, curve, span
from fr_ensemble_assets.calibration.pooling import (
    Encodes,
    ensemble_mu,
    ensemble_sigma,
    group_encodes,
)
from fr_ensemble_assets.calibration.rules import Answer, Rule, bounds
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.schema import PRESET, VMAF_MAX, VMAF_MIN
from fr_ensemble_assets.prediction.candidate import Candidate
from fr_ensemble_assets.prediction.frames import Frames
from fr_ensemble_assets.prediction.predict import (
    answer_for,
    assumed_presets,
    beyond_training,
    score_members,
    unknown_encoders,
)

#: An encode most of whose frames are unlike any that were trained on is never recommended: no
#: interval covers them.
EXTRAPOLATION_MAX = 0.5
#: In VMAF. Predictions that rise by more than this with the quality value contradict each other.
_RISE = 1.0


@dataclass(frozen=True)
class Rung:
    """One quality of one source and encoder.

    Attributes
    ----------
    quality
        The encoder's quality value: CRF, CQ or QP.
    interpolated
        Whether it lies between measured ones, and nothing was encoded at it.
    mu, lower, upper
        The encode's mean VMAF as predicted, and its interval; 0..100.
    frames
        How many frames were pooled; 0 for an interpolated one.
    extrapolates
        Share of those frames that lie outside what the members were trained on; for an
        interpolated one the greater share of its two neighbours.
    size
        Bytes of the encode, where the file tells them.
    """

    quality: float
    interpolated: bool
    mu: float
    lower: float
    upper: float
    frames: int
    extrapolates: float
    size: float | None


@dataclass(frozen=True)
class Recommendation:
    """The answer for one source and encoder.

    Attributes
    ----------
    src, encoder, preset
        Of what.
    target
        VMAF that the lower bound is to reach.
    level
        At which level the interval was computed.
    measured
        The rungs that were encoded, by ascending quality value.
    choice
        The largest quality value whose lower bound reaches the target, measured or interpolated;
        ``None`` where none does.
    saved
        Share of the size that the choice saves against the safest one, the smallest quality value.
    """

    src: str
    encoder: str
    preset: str | None
    target: float
    level: float
    measured: tuple[Rung, ...]
    choice: Rung | None
    saved: float | None

    @property
    def nearest(self) -> Rung:
        """The measured rung whose lower bound comes nearest to the target, or goes beyond most."""
        return max(self.measured, key=lambda rung: (rung.lower, rung.quality))

    @property
    def rises(self) -> bool:
        """Whether a larger quality value is predicted to look better, which can't be."""
        mu = [rung.mu for rung in self.measured]
        return any(after > before + _RISE for before, after in pairwise(mu))

    @property
    def sentence(self) -> str:
        """The answer in one line that a person can repeat."""
        name = f"{self.src} with {self.encoder}"
        name += f" ({self.preset})" if self.preset else ""
        told = self.choice or self.nearest
        shown = f"{told.lower:.1f} to {told.upper:.1f} at {_percent(self.level)}"
        if self.choice is None and told.extrapolates > EXTRAPOLATION_MAX:
            line = f"{name}: nothing is recommended"
        elif self.choice is None:
            line = (
                f"{name}: no quality keeps VMAF {self.target:g}; the nearest is {told.quality:g}, "
                f"predicted {told.mu:.1f} ({shown})"
            )
        else:
            between = " (interpolated)" if told.interpolated else ""
            line = (
                f"{name}: quality {told.quality:g}{between} is the largest that keeps VMAF "
                f"{self.target:g}: predicted {told.mu:.1f} ({shown})"
            )
        if self.saved:
            which = "smaller" if self.saved > 0 else "larger"
            line += f", {abs(self.saved):.0%} {which} than at {self.measured[0].quality:g}"
        if told.extrapolates:
            line += f"; {told.extrapolates:.0%} of its frames are unlike any that were trained on"
        if self.rises:
            line += "; the predictions rise with the quality value, look at the probes"
        return line + "."


@dataclass(frozen=True)
class Recommendations:
    """The answers for every source and encoder of a file.

    Attributes
    ----------
    answer
        The level asked for and the one that is answered; ``answer.supported`` says whether the
        corpus carries the one that was asked for.
    rule, target
        By which rule, and for which VMAF.
    n_sources
        Sources that the calibration rests on.
    items
        By source, encoder and preset.
    unknown_encoders
        Rows of each encoder outside the vocabulary.
    assumed_presets
        By encoder, the preset that rows without one were taken to have.
    """

    answer: Answer
    rule: Rule
    target: float
    n_sources: int
    items: tuple[Recommendation, ...]
    unknown_encoders: dict[str, int]
    assumed_presets: dict[str, str]

    @property
    def explanation(self) -> str:
        """What the level means, and whether it is the one that was asked for."""
        level, n = _percent(self.answer.level), self.n_sources
        proved = _percent(max(0.0, 2 * self.answer.level - 1))
        meaning = {
            "source": f"on average over new sources like the {n} calibrated on, {level} of encodes "
            f"have their mean VMAF within the interval (as measured; proved is {proved})",
            "frame": f"{level} of encodes of the {n} sources calibrated on have their mean VMAF "
            "within the interval; of a new source it may be far fewer",
            "gaussian": f"{level} is nominal, as if errors were normal; nothing is promised",
        }[self.rule]
        if self.answer.supported:
            return f"At {level}: {meaning}."
        whose = f"{n} sources" if self.rule == "source" else f"rule {self.rule}, as calibrated,"
        return (
            f"{whose} can't carry {self.answer.asked * 100:.10g}%; answered at {level}, the "
            f"highest that can be had: {meaning}."
        )


def recommend(
    candidate: Candidate,
    frames: Frames,
    target: float,
    confidence: float = 0.95,
    rule: Rule = "source",
) -> Recommendations:
    """For each source and encoder, the cheapest quality whose lower bound reaches ``target``.

    Cheapest is the largest quality value (CRF, CQ and QP all run that way). Between measured
    qualities a monotone curve answers to the whole number; its interval is widened by the error
    that such curves show on qualities left out of the training corpus.

    >>> found = recommend(load_candidate(folder), read_frames(path), target=92, confidence=0.95)
    >>> print(found.items[0].sentence)

    Parameters
    ----------
    candidate, frames
        As :func:`~fr_ensemble_assets.prediction.predict.predict` takes them.
    target
        VMAF, 0..100, of the encode's mean.
    confidence
        From 0.5 to below 1. Where the corpus doesn't carry it, the answer is at the highest level
        that it does, and ``answer.supported`` is False.
    rule
        As for ``predict``; only ``source`` promises anything about a new source.

    Raises
    ------
    UnusableInput
        If ``target``, ``confidence`` or ``rule`` makes no sense, or one encode has two sizes.
    """
    if not VMAF_MIN <= target <= VMAF_MAX:
        raise UnusableInput(f"target: expected a VMAF from 0 to 100, found {target:g}.")
    answer = answer_for(candidate, "encode", confidence, rule)
    encodes = group_encodes(frames.frame)
    members = np.stack([encodes.mean(m) for m in score_members(candidate, frames)])
    beyond = encodes.mean(beyond_training(candidate, frames).astype(np.float64))
    mu, sigma = ensemble_mu(members), ensemble_sigma(members)
    lower, upper = bounds(mu, sigma, answer.quantile, answer.floor)
    sizes = _sizes(frames, encodes)
    rungs = [
        Rung(*values)
        for values in zip(
            encodes.keys["cq"].tolist(),
            [False] * len(mu),
            *(column.tolist() for column in (mu, lower, upper, encodes.rows, beyond)),
            sizes,
            strict=True,
        )
    ]
    items = tuple(
        _recommend(ladder, tuple(rungs[row] for row in ladder.rows), target, answer, candidate)
        for ladder in _ladders(encodes.keys)
    )
    n_sources = len(candidate.calibration.sources)
    return Recommendations(
        answer,
        rule,
        target,
        n_sources,
        items,
        unknown_encoders(frames),
        assumed_presets(candidate, frames),
    )


def recommendations_document(found: Recommendations) -> dict[str, Any]:
    """The same as one JSON object."""
    return {
        "target": found.target,
        "rule": found.rule,
        "confidence_asked": found.answer.asked,
        "confidence": found.answer.level,
        "supported": found.answer.supported,
        "n_sources": found.n_sources,
        "explanation": found.explanation,
        "unknown_encoders": found.unknown_encoders,
        "assumed_presets": found.assumed_presets,
        "recommendations": [
            {
                "src": item.src,
                "encoder": item.encoder,
                "preset": item.preset,
                "choice": _rung_document(item.choice) if item.choice else None,
                "nearest": None if item.choice else _rung_document(item.nearest),
                "saved": item.saved,
                "sentence": item.sentence,
                "qualities": [_rung_document(rung) for rung in item.measured],
            }
            for item in found.items
        ],
    }


def _rung_document(rung: Rung) -> dict[str, Any]:
    return {
        "quality": rung.quality,
        "interpolated": rung.interpolated,
        "mu": rung.mu,
        "lower": rung.lower,
        "upper": rung.upper,
        "frames": rung.frames,
        "extrapolates": rung.extrapolates,
        "enc_bytes": rung.size,
    }


# --- one source and encoder ------------------------------------------------------------------


@dataclass(frozen=True)
class _Ladder:
    """The encodes of one source, encoder and preset; ``rows`` by ascending quality."""

    src: str
    encoder: str
    preset: str | None
    rows: npt.NDArray[np.intp]


def _ladders(keys: pd.DataFrame) -> Iterator[_Ladder]:
    """Encodes that differ in quality alone, in the order of their names."""
    names = [name for name in keys.columns if name != "cq"]
    number = np.asarray(keys.groupby(names, sort=True, dropna=False).ngroup(), dtype=np.intp)
    ordered = np.lexsort((keys["cq"].to_numpy(), number))
    for rows in np.split(ordered, np.cumsum(np.bincount(number))[:-1]):
        first = keys.iloc[rows[0]]
        preset = first.get(PRESET)
        yield _Ladder(
            first["src"], first["encoder"], preset if isinstance(preset, str) else None, rows
        )


def _recommend(
    ladder: _Ladder,
    measured: tuple[Rung, ...],
    target: float,
    answer: Answer,
    candidate: Candidate,
) -> Recommendation:
    between = _between(measured, ladder.encoder, answer.level, candidate.calibration)
    reaching = [
        rung
        for rung in (*measured, *between)
        if rung.lower >= target and rung.extrapolates <= EXTRAPOLATION_MAX
    ]
    choice = max(reaching, key=lambda rung: rung.quality, default=None)
    safest = measured[0].size
    saved = 1 - choice.size / safest if choice and choice.size and safest else None
    return Recommendation(
        ladder.src, ladder.encoder, ladder.preset, target, answer.level, measured, choice, saved
    )


def _between(
    measured: tuple[Rung, ...], encoder: str, level: float, calibration: Calibration
) -> Iterator[Rung]:
    """A rung for each whole quality between measured ones.

    None where the training corpus says nothing of the error in between at this level.
    """
    share = _interpolation_share(encoder, level, calibration)
    if len(measured) < 2 or share is None:
        return
    known = np.array([rung.quality for rung in measured])
    asked = np.setdiff1d(np.arange(np.ceil(known[0]), known[-1]), known)
    if not len(asked):
        return
    mu = curve(known, np.array([rung.mu for rung in measured]), asked)
    sizes = [rung.size for rung in measured]
    size = (
        np.exp(curve(known, np.log(np.array(sizes, dtype=np.float64)), asked)).tolist()
        if all(sizes)
        else [None] * len(asked)
    )
    for place, quality in enumerate(asked.tolist()):
        after = int(np.searchsorted(known, quality))
        pair = measured[after - 1], measured[after]
        yield _interpolated(quality, float(mu[place]), share, pair, size[place])


def _interpolation_share(encoder: str, level: float, calibration: Calibration) -> float | None:
    for name in (encoder, ANY_ENCODER):
        table = calibration.interpolation.get(name)
        if table is not None and table.at(level).supported:
            return table.at(level).quantile
    return None


def _interpolated(
    quality: float, mu: float, share: float, pair: tuple[Rung, Rung], size: float | None
) -> Rung:
    """The wider of the neighbours' intervals about the curve, plus the error of the curve.

    VMAF doesn't rise with the quality value: what bounds the milder neighbour from above bounds
    this one too.
    """
    milder, harsher = pair
    error = share * float(span(np.array([milder.mu]), np.array([harsher.mu]))[0])
    below = max(rung.mu - rung.lower for rung in pair)
    above = max(rung.upper - rung.mu for rung in pair)
    highest = milder.upper if milder.mu >= harsher.mu else VMAF_MAX
    return Rung(
        quality=quality,
        interpolated=True,
        mu=mu,
        lower=max(mu - below - error, VMAF_MIN),
        upper=min(mu + above + error, highest),
        frames=0,
        extrapolates=max(rung.extrapolates for rung in pair),
        size=size,
    )


def _sizes(frames: Frames, encodes: Encodes) -> list[float | None]:
    """Bytes of each encode, where all its frames tell the same."""
    if "enc_bytes" not in frames.frame:
        return [None] * len(encodes.rows)
    told = frames.frame["enc_bytes"].groupby(encodes.number).agg(["min", "max"])
    for row in np.flatnonzero((told["min"] != told["max"]) & told["min"].notna()):
        key = ", ".join(f"{name} {value}" for name, value in encodes.keys.iloc[row].items())
        raise UnusableInput(
            f"{frames.origin}: expected one 'enc_bytes' an encode, found {told['min'][row]:.0f} "
            f"and {told['max'][row]:.0f} for {key}; keep the frames of one encode."
        )
    return [float(size) if size > 0 else None for size in told["min"]]


def _percent(level: float) -> str:
    """A level as a percentage that never promises more than it is."""
    return f"{np.floor(level * 1000 + 1e-6) / 10:g}%"
