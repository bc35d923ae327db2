"""What the members and their files are called (contracts section 5)."""

from __future__ import annotations

ENSEMBLE_ID = "fr_regressor_v2_ensemble_v1"
MANIFEST_FILE = f"{ENSEMBLE_ID}.json"


def member_id(seed: int) -> str:
    return f"{ENSEMBLE_ID}_seed{seed}"


def onnx_file(seed: int) -> str:
    return f"{member_id(seed)}.onnx"


def sidecar_file(seed: int) -> str:
    return f"{member_id(seed)}.json"


def parameters_file(seed: int) -> str:
    """The trained weights themselves, kept in the store to hold the ONNX file against."""
    return f"{member_id(seed)}_parameters.parquet"
