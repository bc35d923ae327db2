"""A verified candidate folder, ready to score: no training code and nothing to trust blindly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from upath import UPath

from fr_ensemble_assets.calibration.calibrate import Calibration
from fr_ensemble_assets.calibration.document import CALIBRATION_FILE, read_calibration
from fr_ensemble_assets.candidate.verify import verify_candidate
from fr_ensemble_assets.features.codec_block import CodecBlock
from fr_ensemble_assets.features.scaler import Scaler
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import parse_json, read_bytes
from fr_ensemble_assets.foundation.schema import CANONICAL_6, ENCODER_VOCABULARY
from fr_ensemble_assets.members.names import MANIFEST_FILE, onnx_file, sidecar_file
from fr_ensemble_assets.training.recipe import ENSEMBLE_SEEDS


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


def load_candidate(folder: UPath | str) -> Candidate:
    """Verify a candidate folder, then read it.

    Raises
    ------
    UnusableInput
        If a file is missing, a digest doesn't match, or the folder contradicts itself.
    """
    folder = UPath(folder)
    problems = verify_candidate(folder).problems
    if problems:
        raise UnusableInput(
            f"{folder}: expected a candidate that verifies, found {'; '.join(problems)}; "
            "make it again with 'fr-ensemble run'."
        )
    manifest = _object(folder / MANIFEST_FILE)
    sidecars = [_object(folder / sidecar_file(seed)) for seed in ENSEMBLE_SEEDS]
    for seed, sidecar in zip(ENSEMBLE_SEEDS, sidecars, strict=True):
        for name, told in _inputs_of(sidecar).items():
            _require(folder / sidecar_file(seed), name, told, _inputs_of(sidecars[0])[name])
    for name in ("feature_order", "feature_mean", "feature_std"):
        _require(folder / MANIFEST_FILE, name, manifest.get(name), sidecars[0].get(name))
    _require(folder / MANIFEST_FILE, "feature_order", manifest["feature_order"], list(CANONICAL_6))
    vocabulary = list(ENCODER_VOCABULARY)
    _require(folder / MANIFEST_FILE, "codec_vocab", manifest.get("codec_vocab"), vocabulary)
    return Candidate(
        folder=folder,
        scaler=_scaler(folder / MANIFEST_FILE, manifest, sidecars[0]),
        codec=_codec(folder / sidecar_file(ENSEMBLE_SEEDS[0]), sidecars[0]),
        models=tuple(read_bytes(folder / onnx_file(seed), "a member") for seed in ENSEMBLE_SEEDS),
        calibration=read_calibration(folder / CALIBRATION_FILE),
    )


def _object(path: UPath) -> Mapping[str, Any]:
    value: Mapping[str, Any] = parse_json(read_bytes(path, "a file of a candidate"), str(path))
    return value  # verified to be an object


def _inputs_of(sidecar: Mapping[str, Any]) -> dict[str, Any]:
    """What a sidecar says of the network's inputs; all members must be fed alike."""
    names = ("feature_order", "feature_mean", "feature_std", "encoder_vocab", "corpus")
    return {name: sidecar.get(name) for name in names}


def _require(path: UPath, name: str, found: Any, wanted: Any) -> None:
    if found != wanted:
        raise UnusableInput(
            f"{path}: expected '{name}' to be {str(wanted)[:80]} as elsewhere in the candidate, "
            f"found {str(found)[:80]}; make the candidate again."
        )


def _scaler(path: UPath, manifest: Mapping[str, Any], sidecar: Mapping[str, Any]) -> Scaler:
    try:
        mean = np.array(manifest["feature_mean"], dtype=np.float64)
        std = np.array(manifest["feature_std"], dtype=np.float64)
        if mean.shape != (len(CANONICAL_6),) or mean.shape != std.shape:
            raise ValueError(f"{mean.size} means and {std.size} deviations")
        if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
            raise ValueError("a statistic that is not finite, or no deviation")
        return Scaler(mean, std, int(sidecar["corpus"]["n_rows"]))
    except (KeyError, TypeError, ValueError) as error:
        raise _unlike(path, "the scaler of six features", error) from error


def _codec(path: UPath, sidecar: Mapping[str, Any]) -> CodecBlock:
    try:
        corpus = sidecar["corpus"]
        presets = {
            str(encoder): {str(preset): float(place) for preset, place in places.items()}
            for encoder, places in corpus["presets"].items()
        }
        return CodecBlock(float(corpus["cq_min"]), float(corpus["cq_max"]), presets)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _unlike(path, "the quality range and the presets of the corpus", error) from error


def _unlike(path: UPath, wanted: str, found: Exception) -> UnusableInput:
    return UnusableInput(
        f"{path}: expected {wanted}, found '{type(found).__name__}: {found}'; "
        "make the candidate again."
    )
