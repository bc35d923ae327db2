"""What goes with ``predictor_<codec>.onnx``: sidecar, calibration sidecar, model card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fr_ensemble_assets.calibration.rules import WeightedScores, source_table
from fr_ensemble_assets.foundation.errors import GateRefusal
from fr_ensemble_assets.foundation.files import sha256_of
from fr_ensemble_assets.foundation.schema import TARGET
from fr_ensemble_assets.members.onnx_export import OPSET
from fr_ensemble_assets.predictors.cells import Cells
from fr_ensemble_assets.predictors.evaluation import Evaluation
from fr_ensemble_assets.predictors.gate import CodecVerdict
from fr_ensemble_assets.predictors.names import file_names
from fr_ensemble_assets.predictors.probe import (
    PROBE_INPUTS,
    ProbeModel,
    fit_probe,
    probe_inputs,
    probe_task_rows,
)
from fr_ensemble_assets.predictors.probe_onnx import (
    INPUT_NAME,
    OUTPUT_NAME,
    PROBE_ONNX_TOLERANCE,
    probe_onnx,
    run_probe_onnx,
)
from fr_ensemble_assets.predictors.scale import Array

ALPHA = 0.05


@dataclass(frozen=True)
class ProbeFiles:
    """The files of one codec, by name."""

    onnx: bytes
    sidecar: dict[str, Any]
    calibration: dict[str, Any]
    card: str


def build_probe(cells: Cells, verdict: CodecVerdict) -> ProbeFiles:
    """Fit to all cells and export; only for a codec that passes.

    Raises
    ------
    GateRefusal
        If it doesn't pass, or its verdict is on other cells.
    ValueError
        If the file would not be the model, or its curves would not fall.
    """
    evaluation = verdict.evaluation
    if not verdict.passed or evaluation is None:
        reasons = "; ".join(verdict.reasons)
        raise GateRefusal(f"{verdict.encoder}: no predictor, its verdict is a HOLD: {reasons}.")
    if evaluation.corpus_sha256 != cells.sha256:
        raise GateRefusal(
            f"{verdict.encoder}: no predictor, its verdict is on cells "
            f"{evaluation.corpus_sha256}, not on {cells.sha256}."
        )
    rows = probe_task_rows(cells, verdict.encoder)
    model = fit_probe(rows)
    inputs = probe_inputs(rows)
    data = probe_onnx(model, f"predictor_{verdict.encoder}")
    require_sound(model, data, inputs)
    return ProbeFiles(
        onnx=data,
        sidecar=_sidecar(cells, verdict, inputs, data),
        calibration=calibration_sidecar(evaluation),
        card=_card(verdict, data),
    )


def require_sound(model: ProbeModel, data: bytes, inputs: Array) -> None:
    """The file is the model, and each clip's curve falls strictly over the crf trained on."""
    difference = np.abs(run_probe_onnx(data, inputs) - model.predict(inputs)).max()
    if not difference <= PROBE_ONNX_TOLERANCE:
        raise ValueError(f"the ONNX file is off the model by {difference:g} VMAF")
    crf = np.arange(inputs[:, 0].min(), inputs[:, 0].max() + 1)
    for clip in np.unique(inputs[:, 1:], axis=0):
        served = np.column_stack([crf, np.tile(clip, (len(crf), 1))])
        if not (np.diff(run_probe_onnx(data, served)) < 0).all():
            raise ValueError("a training clip's curve doesn't fall everywhere")


def calibration_sidecar(evaluation: Evaluation, alpha: float = ALPHA) -> dict[str, Any]:
    """Residuals of sources held out, as the consumer reads them, and what sources carry.

    The consumer takes a quantile over all residuals, as if encodes were exchangeable. They aren't:
    clips are. ``source_level`` holds the half-width that K sources carry, of a level that may be
    below ``1 - alpha``.
    """
    table = evaluation.predictions
    error = (table["predicted"] - table[TARGET]).to_numpy(dtype=np.float64)
    residuals = np.abs(error)
    source = np.unique(table["src"].to_numpy(dtype=str), return_inverse=True)[1]
    carried = source_table(WeightedScores.of(residuals, source), floor=0.0)
    assert carried is not None  # residuals are finite
    answer = carried.at(1 - alpha)
    return {
        "method": "split-conformal",
        "alpha": alpha,
        "n": len(residuals),
        "residuals": np.sort(residuals).tolist(),
        "source_level": {
            "n_sources": len(evaluation.task.sources),
            "asked": answer.asked,
            "level": answer.level,
            "half_width": answer.quantile,
        },
    }


def _sidecar(cells: Cells, verdict: CodecVerdict, inputs: Array, data: bytes) -> dict[str, Any]:
    return {
        "id": f"predictor_{verdict.encoder}",
        "codec": verdict.encoder,
        "kind": verdict.kind,
        "onnx": file_names(verdict.encoder)["onnx"],
        "sha256": sha256_of(data),
        "opset": OPSET,
        "input_name": INPUT_NAME,
        "output_name": OUTPUT_NAME,
        "feature_order": list(PROBE_INPUTS),
        "feature_min": inputs.min(axis=0).tolist(),
        "feature_max": inputs.max(axis=0).tolist(),
        "crf_range": [float(inputs[:, 0].min()), float(inputs[:, 0].max())],
        "preset": cells.preset_of(verdict.encoder),
        "corpus_sha256": cells.sha256,
        "gate": {
            "status": verdict.status,
            "mean_plcc": verdict.mean_plcc,
            "plcc_spread": verdict.plcc_spread,
            "passed": verdict.passed,
        },
    }


def _card(verdict: CodecVerdict, data: bytes) -> str:
    evaluation = verdict.evaluation
    assert evaluation is not None
    n_rows, n_sources = len(evaluation.predictions), len(evaluation.task.sources)
    inputs = "\n".join(f"| {n} | `{name}` |" for n, name in enumerate(PROBE_INPUTS))
    return f"""# `predictor_{verdict.encoder}` — VMAF predictor model card

- Codec adapter: `{verdict.encoder}`
- Opset: {OPSET}
- File: {len(data)} bytes, SHA-256 `{sha256_of(data)}`

## 1 Purpose

What an encode of a clip with `{verdict.encoder}` at a crf will score, from one cheap probe encode
that is not scored.

## 2 Training data

- Corpus kind: `real-N={n_rows}`, cells `{evaluation.corpus_sha256}`
- Split: five folds of whole sources, fold seed {evaluation.fold_seed}; what ships is fitted to all
- Sources: {n_sources}

## 3 Op allowlist

Every operator is on libvmaf's list.

## 4 Validation metrics

Sources held out: mean PLCC {verdict.mean_plcc}, spread {verdict.plcc_spread}, mean SROCC
{verdict.mean_srocc}, RMSE {verdict.rmse} VMAF.

## 5 Signing

Not signed here.

## Architecture

`100 * sigmoid(level - steepness * g(crf))`, normalisation inside; falls with crf for every input.

## Inputs

| # | input |
| --- | --- |
{inputs}

## Output

`{OUTPUT_NAME}`, float32 [batch, 1], 0..100.

## Status: Production (ADR-0303 gate cleared)

- LOSO mean PLCC: {verdict.mean_plcc}
- PLCC spread: {verdict.plcc_spread}
- Folds: {len(verdict.folds)}
- Rows: {n_rows}
- Distinct sources: {n_sources}
"""
