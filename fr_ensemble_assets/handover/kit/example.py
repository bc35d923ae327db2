"""Scores frames with the ensemble, and proves itself against the golden vectors beside it.

Needs numpy and onnxruntime, and nothing else. Run: python example.py
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

Array = npt.NDArray[np.float64]

HERE = Path(__file__).resolve().parent
MANIFEST = json.loads((HERE / "fr_regressor_v2_ensemble_v1.json").read_text("utf-8"))
SIDECAR = json.loads((HERE / "fr_regressor_v2_ensemble_v1_seed0.json").read_text("utf-8"))


def standardise(features: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Six features a frame, in the order of the manifest; float64 inside, float32 out."""
    raw = np.asarray(features, np.float64)
    scaled = (raw - np.array(MANIFEST["feature_mean"])) / np.array(MANIFEST["feature_std"])
    return np.ascontiguousarray(scaled, np.float32)


def codec_block(encoder: str, quality: float, preset: str | None = None) -> list[float]:
    """The 14 columns of a frame: one-hot encoder, preset, quality."""
    known, corpus = MANIFEST["codec_vocab"], SIDECAR["corpus"]
    named = encoder if encoder in known else "unknown"
    low, high = corpus["cq_min"], corpus["cq_max"]
    place = 0.5 if low == high else (quality - low) / (high - low)
    listed = corpus["presets"].get(encoder, {}).get(preset, 0.5)
    return [*(float(name == named) for name in known), listed, place]


def score(features: npt.NDArray[np.float32], blocks: npt.ArrayLike) -> Array:
    """VMAF of each frame as each member predicts it; shape (members, frames), float64."""
    fed = {"features": features, "codec_onehot": np.asarray(blocks, np.float32)}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    scores = []
    for member in MANIFEST["members"]:
        path = str(HERE / member["onnx"])
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        scores.append(session.run(["score"], fed)[0])
    return np.array(scores, np.float64)


def interval(scores: Array) -> tuple[Array, Array, Array, Array]:
    """mu, sigma, lower, upper as the manifest's formula has it: mean ± q * deviation (ddof 1)."""
    told = MANIFEST["confidence"]
    q = told["conformal_q_residual"] or told["gaussian_z"]
    mu, sigma = scores.mean(axis=0), scores.std(axis=0, ddof=1)
    return mu, sigma, mu - q * sigma, mu + q * sigma


if __name__ == "__main__":
    golden = json.loads((HERE / "golden.json").read_text("utf-8"))
    rows = golden["rows"]
    features = standardise([row["features"] for row in rows])
    blocks = [codec_block(row["encoder"], row["cq"], row["preset"]) for row in rows]
    found = score(features, blocks)
    furthest = np.abs(found - np.array([row["scores"] for row in rows]).T).max()
    for key, values in zip(("mu", "sigma", "lower", "upper"), interval(found), strict=True):
        furthest = max(furthest, np.abs(values - np.array([row[key] for row in rows])).max())
    print(f"{len(rows)} golden rows, {len(found)} members, largest difference {furthest:g} VMAF")
    raise SystemExit(0 if furthest <= golden["tolerance"] else 1)
