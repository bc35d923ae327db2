"""A verified candidate folder, ready to score: no training code and nothing to trust blindly."""

from __future__ import annotations

from dataclasses import dataclass

from upath import UPath

from fr_ensemble_assets.calibration.calibrate import Calibration
from fr_ensemble_assets.candidate.verify import verified
from fr_ensemble_assets.features.codec_block import CodecBlock
from fr_ensemble_assets.features.scaler import Scaler
from fr_ensemble_assets.predictors.carried import Predictors, carried_predictors


@dataclass(frozen=True)
class Candidate:
    """What is needed to predict, all of it from one folder.

    Attributes
    ----------
    folder
        Where it was read from.
    scaler, codec
        How features and encoders become network inputs.
    models
        The members' ONNX bytes, in seed order.
    calibration
        From deviation to interval.
    """

    folder: UPath
    scaler: Scaler
    codec: CodecBlock
    models: tuple[bytes, ...]
    calibration: Calibration


def predictors_of(folder: UPath | str) -> Predictors:
    """The codecs' predictors that a candidate carries, after verifying it; perhaps none.

    Raises
    ------
    UnusableInput
        As :func:`load_candidate`.
    """
    return carried_predictors(verified(UPath(folder)).carried, str(folder))


def load_candidate(folder: UPath | str) -> Candidate:
    """Read a candidate folder and verify it; what was verified is what predicts.

    Raises
    ------
    UnusableInput
        If a file is missing, a digest doesn't match, or the folder contradicts itself.
    """
    folder = UPath(folder)
    evidence = verified(folder)
    return Candidate(
        folder=folder,
        scaler=evidence.facts.scaler,
        codec=evidence.facts.codec,
        models=evidence.models,
        calibration=evidence.calibration,
    )
