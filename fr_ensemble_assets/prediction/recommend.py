"""Which quality keeps the lower bound above a target? The question that intervals are for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

import numpy as np
import numpy.typing as npt
import pandas as pd

from fr_ensemble_assets.calibration.calibrate import Calibration
from fr_ensemble_assets.calibration.claims import meaning
from fr_ensemble_assets.calibration.interpolation import ANY_ENCODER, curve, span
from fr_ensemble_assets.calibration.pooling import (
    Encodes,
    ensemble_mu,
    ensemble_sigma,
    group_encodes,
)
from fr_ensemble_assets.calibration.rules import Answer, Rule, bounds
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.schema import PRESET, TARGET, VMAF_MAX, VMAF_MIN
from fr_ensemble_assets.foundation.wording import listed
from fr_ensemble_assets.prediction.candidate import Candidate
from fr_ensemble_assets.prediction.frames import Frames
from fr_ensemble_assets.prediction.next_probe import next_probe
from fr_ensemble_assets.prediction.predict import (
    answer_for,
    assumed_presets,
    beyond_training,
    score_members,
    unknown_encoders,
)
from fr_ensemble_assets.prediction.recommendation import Recommendation, Recommendations, Rung


def recommend(
    candidate: Candidate,
    frames: Frames,
    target: float,
    confidence: float = 0.95,
    rule: Rule = "source",
) -> Recommendations:
    """For each source and encoder, the cheapest quality that keeps ``target``.

    Where the frames tell an encode's VMAF, that is believed; else its lower bound has to reach the
    target.

    Cheapest is the largest quality value (CRF, CQ and QP all run that way). Between measured
    qualities a monotone curve answers to the whole number, along the encoder's mean curve of the
    training corpus; its interval is widened by the error that such curves show on qualities left
    out of that corpus.

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
    sizes, scores = _sizes(frames, encodes), _scores(frames, encodes)
    rungs = [
        Rung(*values)
        for values in zip(
            encodes.keys["cq"].tolist(),
            [False] * len(mu),
            *(column.tolist() for column in (mu, lower, upper, encodes.rows, beyond)),
            sizes,
            scores,
            strict=True,
        )
    ]
    items = tuple(
        recommend_ladder(
            ladder, tuple(rungs[row] for row in ladder.rows), target, answer, candidate.calibration
        )
        for ladder in _ladders(encodes.keys)
    )
    n_sources = len(candidate.calibration.sources)
    return Recommendations(
        answer,
        rule,
        target,
        meaning(candidate.calibration.coverages, "encode", rule, answer.level, n_sources),
        n_sources,
        items,
        unknown_encoders(frames),
        assumed_presets(candidate, frames),
    )


# --- one source and encoder ------------------------------------------------------------------


@dataclass(frozen=True)
class Ladder:
    """The encodes of one source, encoder and preset; ``rows`` by ascending quality."""

    src: str
    encoder: str
    preset: str | None
    rows: npt.NDArray[np.intp]


def _ladders(keys: pd.DataFrame) -> Iterator[Ladder]:
    """Encodes that differ in quality alone, in the order of their names."""
    names = [name for name in keys.columns if name != "cq"]
    number = np.asarray(keys.groupby(names, sort=True, dropna=False).ngroup(), dtype=np.intp)
    ordered = np.lexsort((keys["cq"].to_numpy(), number))
    for rows in np.split(ordered, np.cumsum(np.bincount(number))[:-1]):
        first = keys.iloc[rows[0]]
        preset = first.get(PRESET)
        yield Ladder(
            first["src"], first["encoder"], preset if isinstance(preset, str) else None, rows
        )


def recommend_ladder(
    ladder: Ladder,
    measured: tuple[Rung, ...],
    target: float,
    answer: Answer,
    calibration: Calibration,
) -> Recommendation:
    """The answer for one ladder; ``measured`` are its encodes by ascending quality value."""
    between = _between(measured, ladder.encoder, answer.level, calibration)
    # Beyond a quality that was measured to miss only another measurement says otherwise.
    missed = min(
        (r.quality for r in measured if r.vmaf is not None and r.vmaf < target), default=inf
    )
    reaching = [
        rung
        for rung in (*measured, *between)
        if rung.keeps(target) and (rung.quality < missed or rung.vmaf is not None)
    ]
    choice = max(reaching, key=lambda rung: rung.quality, default=None)
    safest = measured[0].size
    saved = 1 - choice.size / safest if choice and choice.size and safest else None
    return Recommendation(
        *(ladder.src, ladder.encoder, ladder.preset, target, answer.level, measured, choice, saved),
        next_probe(ladder.encoder, measured, choice, target),
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
    along = calibration.mean_curves.get(encoder)
    mu = curve(known, np.array([rung.best for rung in measured]), asked, along)
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
    error = share * float(span(np.array([milder.best]), np.array([harsher.best]))[0])
    below = max(rung.best - rung.least for rung in pair)
    above = max(rung.most - rung.best for rung in pair)
    highest = milder.most if milder.best >= harsher.best else VMAF_MAX
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


def _scores(frames: Frames, encodes: Encodes) -> list[float | None]:
    """Mean VMAF of each encode, where it was measured of all its frames."""
    if TARGET not in frames.frame:
        return [None] * len(encodes.rows)
    score = frames.frame[TARGET].to_numpy(dtype=np.float64)
    return [None if np.isnan(mean) else float(mean) for mean in encodes.mean(score)]


def _sizes(frames: Frames, encodes: Encodes) -> list[float | None]:
    """Bytes of each encode, where all its frames tell the same."""
    if "enc_bytes" not in frames.frame:
        return [None] * len(encodes.rows)
    told = frames.frame["enc_bytes"].groupby(encodes.number).agg(["min", "max"])
    for row in np.flatnonzero((told["min"] != told["max"]) & told["min"].notna()):
        key = listed(f"{name} {value}" for name, value in encodes.keys.iloc[row].items())
        raise UnusableInput(
            f"{frames.origin}: expected one 'enc_bytes' an encode, found {told['min'][row]:.0f} "
            f"and {told['max'][row]:.0f} for {key}; keep the frames of one encode."
        )
    return [float(size) if size > 0 else None for size in told["min"]]
