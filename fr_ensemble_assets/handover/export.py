"""A kit for consumers: the ensemble, an example that needs two packages, and golden vectors."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from upath import UPath

from fr_ensemble_assets.calibration.document import CALIBRATION_FILE
from fr_ensemble_assets.calibration.pooling import ensemble_mu, ensemble_sigma
from fr_ensemble_assets.calibration.rules import bounds
from fr_ensemble_assets.candidate.documents import Evidence, candidate_files
from fr_ensemble_assets.candidate.verify import verified
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.features.codec_block import CODEC_BLOCK_LAYOUT
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import json_bytes, sweep_temporaries, temporary_name
from fr_ensemble_assets.foundation.schema import CANONICAL_6, ENCODER_VOCABULARY
from fr_ensemble_assets.members.names import ENSEMBLE_ID, MANIFEST_FILE, onnx_file, sidecar_file
from fr_ensemble_assets.members.onnx_export import ONNX_TOLERANCE, run_onnx
from fr_ensemble_assets.members.sidecars import confidence
from fr_ensemble_assets.training.recentre import recentred_scores

GOLDEN_FILE = "golden.json"
GOLDEN_ROWS = 64
_KIT = ("example.py", "README.md")
_LEVEL = 0.95
#: Encoders beyond the vocabulary are part of the contract: they share a column.
_UNHEARD_OF = "an_encoder_of_tomorrow"


def export_kit(folder: UPath, out: UPath) -> None:
    """Write the kit of the candidate ``folder`` to the new folder ``out``, the manifest last.

    Raises
    ------
    UnusableInput
        If the candidate doesn't verify, or ``out`` is there and isn't an empty folder.
    """
    evidence = verified(folder)
    files = candidate_files(evidence)
    if store.is_local(out) and out.parent.is_dir():
        sweep_temporaries(out.parent, deep=False)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UnusableInput(
            f"{out}: expected a new folder or an empty one, found something there; "
            "choose another with --out."
        )
    copied = [MANIFEST_FILE, CALIBRATION_FILE]
    copied += [name(seed) for seed in ENSEMBLE.units for name in (onnx_file, sidecar_file)]
    kit = resources.files("fr_ensemble_assets.handover") / "kit"
    made = {
        **{name: files[name] for name in copied},
        **{name: (kit / name).read_bytes() for name in _KIT},
        GOLDEN_FILE: json_bytes(golden_document(evidence)),
    }
    if not store.is_local(out):
        store.publish(out, made, MANIFEST_FILE)
        return
    # Whoever is killed leaves no half of a kit under its name.
    unfinished = out.parent / temporary_name(out.name)
    store.publish(unfinished, made, MANIFEST_FILE)
    Path(str(unfinished)).replace(str(out))


def golden_rows(candidate: Evidence) -> pd.DataFrame:
    """Inputs that reach every corner: the ranges of training, their ends, what wasn't in it.

    The same candidate gives the same rows: they are drawn under a fixed seed from the ranges that
    ``calibration.json`` records.
    """
    seen = candidate.calibration.trained_on
    draw = np.random.default_rng(0)
    low = np.array([seen.features[name].low for name in CANONICAL_6])
    high = np.array([seen.features[name].high for name in CANONICAL_6])
    share = draw.random((GOLDEN_ROWS, len(CANONICAL_6)))
    # Least, greatest, and beyond: where clipping and floors show.
    share[0], share[1], share[2], share[3] = 0.0, 1.0, -0.25, 1.25
    rows = pd.DataFrame(low + share * (high - low), columns=[*CANONICAL_6])
    encoders = [*ENCODER_VOCABULARY, _UNHEARD_OF]
    rows["encoder"] = [encoders[place % len(encoders)] for place in range(GOLDEN_ROWS)]
    codec = candidate.facts.codec
    rows["cq"] = np.round(codec.cq_min + draw.random(GOLDEN_ROWS) * (codec.cq_max - codec.cq_min))
    listed = [sorted(codec.presets.get(encoder, {})) for encoder in rows["encoder"]]
    presets = [
        names[place % len(names)] if names and place % 4 else None
        for place, names in enumerate(listed)
    ]
    rows["preset"] = pd.Series(presets, dtype=object)
    return rows


def golden_document(candidate: Evidence) -> dict[str, Any]:
    """The rows with everything that lies between features and intervals."""
    rows = golden_rows(candidate)
    raw = rows[[*CANONICAL_6]].to_numpy(np.float64)
    features = np.asarray(candidate.facts.scaler.standardise(raw), np.float32)
    blocks = candidate.facts.codec.encode_rows(rows)
    inputs = np.concatenate([features, blocks], axis=1)
    scores = np.stack([run_onnx(model, inputs) for model in candidate.models])
    mu, sigma = scores.mean(axis=0), ensemble_sigma(scores)
    told = confidence(candidate.calibration, candidate.mean_sigma)
    q = told["conformal_q_residual"] or told["gaussian_z"]
    answer = candidate.calibration.frame["source"].at(_LEVEL)
    corrections = candidate.calibration.corrections
    used = scores if corrections is None else recentred_scores(corrections, inputs, scores)
    inside = bounds(ensemble_mu(used), ensemble_sigma(used), answer.quantile, answer.floor)
    made: Mapping[str, npt.NDArray[Any]] = {
        "features": raw,
        "standardised": features,
        "codec_block": blocks,
        "scores": scores.T,
        "mu": mu,
        "sigma": sigma,
        "lower": mu - q * sigma,
        "upper": mu + q * sigma,
        "recentred": used.T,
        "source_interval": np.stack(inside, axis=1),
    }
    listed = rows[["encoder", "cq", "preset"]].to_dict("records")
    return {
        "ensemble": ENSEMBLE_ID,
        "corpus_sha256": candidate.calibration.corpus_sha256,
        "feature_order": list(CANONICAL_6),
        "codec_block_layout": list(CODEC_BLOCK_LAYOUT),
        "q": q,
        "source_level": answer.level,
        "source_quantile": answer.quantile,
        "source_floor": answer.floor,
        "tolerance": ONNX_TOLERANCE,
        "rows": [
            {**row, **{name: values[place].tolist() for name, values in made.items()}}
            for place, row in enumerate(listed)
        ],
    }
