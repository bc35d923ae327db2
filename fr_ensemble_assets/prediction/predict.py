"""Scores of frames that nobody has measured, with intervals that say what they are worth."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from fr_ensemble_assets.calibration.calibrate import Range
from fr_ensemble_assets.calibration.coverage import Unit
from fr_ensemble_assets.calibration.pooling import ensemble_mu, ensemble_sigma
from fr_ensemble_assets.calibration.rules import RULES, Answer, Rule, bounds
from fr_ensemble_assets.foundation.cores import cores
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.schema import (
    CANONICAL_6,
    ENCODER_VOCABULARY,
    PRESET,
    UNKNOWN_ENCODER,
)
from fr_ensemble_assets.prediction.candidate import Candidate
from fr_ensemble_assets.prediction.frames import Frames
from fr_ensemble_assets.training.recentre import recentred_scores

LOWEST_CONFIDENCE = 0.5
#: Rows at a time: the activations of a member then stay in the processor's cache.
_BATCH = 2048
#: Relative; far beneath what tells one frame from another.
_SLACK = 1e-9


@dataclass(frozen=True)
class Predictions:
    """What the ensemble says of each frame; arrays of shape (n_rows,), in the frames' order.

    Attributes
    ----------
    frames
        What was predicted.
    mu, sigma
        The mean of the members, each recentred and within 0..100, and their sample deviation; in
        VMAF.
    lower, upper
        The interval, within 0..100.
    extrapolates
        Whether the row lies outside what the members were trained on: a feature beyond its range,
        an encoder that the corpus doesn't have, a quality beyond those of its encoder there, or
        another preset than it recorded for the encoder, none included where it recorded several.
    rule, answer
        By which rule, and at which level; :attr:`Answer.supported` says whether it is the one
        that was asked for.
    unknown_encoders
        Rows of each encoder outside the vocabulary; they share the slot ``unknown``.
    assumed_presets
        By encoder, the preset that rows without one were taken to have: the only one that it had
        in training.
    """

    frames: Frames
    mu: npt.NDArray[np.float64]
    sigma: npt.NDArray[np.float64]
    lower: npt.NDArray[np.float64]
    upper: npt.NDArray[np.float64]
    extrapolates: npt.NDArray[np.bool_]
    rule: Rule
    answer: Answer
    unknown_encoders: Mapping[str, int]
    assumed_presets: Mapping[str, str]


def predict(
    candidate: Candidate, frames: Frames, confidence: float = 0.95, rule: Rule = "source"
) -> Predictions:
    """Predict the VMAF of every frame, with an interval at ``confidence``.

    >>> candidate = load_candidate(UPath(".fr-ensemble/candidates/88e3ba899144"))
    >>> predicted = predict(candidate, read_frames(UPath("frames.jsonl")), confidence=0.9)
    >>> int(predicted.extrapolates.sum())

    Parameters
    ----------
    candidate
        From :func:`~fr_ensemble_assets.prediction.candidate.load_candidate`.
    frames
        From :func:`~fr_ensemble_assets.prediction.frames.read_frames` or ``frames_of``.
    confidence
        The coverage asked for, from 0.5 to below 1. Where the corpus doesn't carry it, the
        interval is that of the highest level that it does, and ``answer.supported`` is False.
    rule
        ``source`` (holds for new sources), ``frame`` (for frames like the corpus' own),
        ``gaussian`` (the baseline, promises nothing).

    Raises
    ------
    UnusableInput
        If ``confidence`` or ``rule`` makes no sense.
    """
    answer = answer_for(candidate, "frame", confidence, rule)
    members = score_members(candidate, frames)
    mu, sigma = ensemble_mu(members), ensemble_sigma(members)
    lower, upper = bounds(mu, sigma, answer.quantile, answer.floor)
    return Predictions(
        frames=frames,
        mu=mu,
        sigma=sigma,
        lower=lower,
        upper=upper,
        extrapolates=beyond_training(candidate, frames),
        rule=rule,
        answer=answer,
        unknown_encoders=unknown_encoders(frames),
        assumed_presets=assumed_presets(candidate, frames),
    )


def answer_for(candidate: Candidate, unit: Unit, confidence: float, rule: Rule) -> Answer:
    """The quantile of ``rule`` at ``confidence``, for frames or for whole encodes."""
    if rule not in RULES:
        raise UnusableInput(f"rule: expected one of {', '.join(RULES)}, found '{rule}'.")
    if not isinstance(confidence, int | float) or not LOWEST_CONFIDENCE <= confidence < 1:
        raise UnusableInput(
            f"--confidence: expected a number from {LOWEST_CONFIDENCE:g} to below 1, found "
            f"{confidence}; 95 % is 0.95."
        )
    table = candidate.calibration.tables(unit).get(rule)
    if table is None:
        raise UnusableInput(
            f"{candidate.folder}: expected a calibration for rule '{rule}', found none."
        )
    return table.at(confidence)


def score_members(candidate: Candidate, frames: Frames) -> npt.NDArray[np.float64]:
    """VMAF of each frame as each member predicts it, recentred; shape (n_members, n_rows).

    Members of a calibration without corrections are taken as they are.
    """
    import onnxruntime

    from fr_ensemble_assets.members.onnx_export import INPUT_NAMES, OUTPUT_NAMES

    features = candidate.scaler.standardise(frames.frame[[*CANONICAL_6]].to_numpy(np.float64))
    told, _ = candidate.codec.with_single_presets(frames.frame)
    inputs = (np.ascontiguousarray(features), candidate.codec.encode_rows(told))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    score = np.empty((len(candidate.models), frames.n_rows))

    def run(member: int) -> None:
        session = onnxruntime.InferenceSession(
            candidate.models[member], options, providers=["CPUExecutionProvider"]
        )
        for start in range(0, frames.n_rows, _BATCH):
            rows = slice(start, start + _BATCH)
            fed = {name: part[rows] for name, part in zip(INPUT_NAMES, inputs, strict=True)}
            (score[member, rows],) = session.run(list(OUTPUT_NAMES), fed)

    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(run, range(len(candidate.models))))
    if not np.isfinite(score).all():
        raise UnusableInput(
            f"{frames.origin}: expected frames that the members can score, found "
            f"{int((~np.isfinite(score)).any(axis=0).sum())} whose score is not finite; "
            "look at their features."
        )
    corrections = candidate.calibration.corrections
    if corrections is None:
        return score
    return recentred_scores(corrections, np.concatenate(inputs, axis=1), score)


def beyond_training(candidate: Candidate, frames: Frames) -> npt.NDArray[np.bool_]:
    """Which rows lie outside what the members were trained on; shape (n_rows,)."""
    trained_on = candidate.calibration.trained_on
    frame = frames.frame
    beyond = np.zeros(frames.n_rows, dtype=bool)
    for name, seen in trained_on.features.items():
        values = frame[name].to_numpy()
        # Other readers round the last digit otherwise.
        slack = _SLACK * max(abs(seen.low), abs(seen.high))
        beyond |= (values < seen.low - slack) | (values > seen.high + slack)
    numbers, encoders = frame["encoder"].factorize()
    nothing = Range(np.inf, -np.inf)
    ranges = [trained_on.qualities.get(encoder, nothing) for encoder in encoders]
    low = np.array([seen.low for seen in ranges])
    high = np.array([seen.high for seen in ranges])
    quality = frame["cq"].to_numpy()
    beyond |= (quality < low[numbers]) | (quality > high[numbers])
    return np.asarray(beyond | _other_preset(candidate, frame))


def _other_preset(candidate: Candidate, frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Rows with another preset than the corpus recorded for their encoder; shape (n_rows,)."""
    frame, _ = candidate.codec.with_single_presets(frame)
    given = frame[PRESET] if PRESET in frame else pd.Series(None, index=frame.index, dtype=object)
    pairs = pd.MultiIndex.from_arrays([frame["encoder"], given.where(given.notna(), "")])
    numbers, distinct = pairs.factorize()
    recorded = candidate.codec.presets
    other = [
        bool(recorded.get(encoder)) and preset not in recorded[encoder]
        for encoder, preset in distinct
    ]
    return np.asarray(np.array(other, dtype=bool)[numbers])


def assumed_presets(candidate: Candidate, frames: Frames) -> dict[str, str]:
    """The preset that rows without one are taken to have, by encoder."""
    return candidate.codec.with_single_presets(frames.frame)[1]


def unknown_encoders(frames: Frames) -> dict[str, int]:
    """Rows of each encoder outside the vocabulary, by name."""
    known = set(ENCODER_VOCABULARY) - {UNKNOWN_ENCODER}
    counted = frames.frame["encoder"].value_counts().sort_index()
    return {str(name): int(rows) for name, rows in counted.items() if name not in known}
