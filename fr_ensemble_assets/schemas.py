"""The JSON Schemas of our documents, for whoever reads our files elsewhere: ``docs/schemas/``.

``python -m fr_ensemble_assets.schemas`` writes them; a test holds what lies there against this.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from upath import UPath

from fr_ensemble_assets.assurance.schema import ControlsDocument
from fr_ensemble_assets.calibration.schema import CalibrationDocument
from fr_ensemble_assets.candidate.registry import REGISTRY_SCHEMA
from fr_ensemble_assets.candidate.schema import DigestsDocument
from fr_ensemble_assets.corpus.schema import OriginDocument
from fr_ensemble_assets.encodes.schema import CellDocument, ProvenanceDocument
from fr_ensemble_assets.evidence.schema import LosoDocument
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.documents import Document
from fr_ensemble_assets.foundation.files import json_bytes
from fr_ensemble_assets.gate.schema import VerdictDocument
from fr_ensemble_assets.members.schema import ManifestDocument, SidecarDocument
from fr_ensemble_assets.predictors.schema import (
    CellsOriginDocument,
    ClipCellsDocument,
    CodecResultsDocument,
    PredictorsDocument,
    ProbeCalibrationDocument,
    ProbeDocument,
    ProbeSidecarDocument,
    ScoredProbeDocument,
)

#: Where they lie, from the repository's root.
FOLDER = "docs/schemas"

DOCUMENTS: Mapping[str, type[Document]] = {
    "loso_seed": LosoDocument,
    "verdict": VerdictDocument,
    "controls": ControlsDocument,
    "calibration": CalibrationDocument,
    "sidecar": SidecarDocument,
    "manifest": ManifestDocument,
    "digests": DigestsDocument,
    "corpus_origin": OriginDocument,
    "cell": CellDocument,
    "provenance": ProvenanceDocument,
    "planning_cells_origin": CellsOriginDocument,
    "clip_cells": ClipCellsDocument,
    "probe": ProbeDocument,
    "predictor_results": CodecResultsDocument,
    "predictors": PredictorsDocument,
    "predictor_scored_probe": ScoredProbeDocument,
    "predictor_sidecar": ProbeSidecarDocument,
    "predictor_calibration": ProbeCalibrationDocument,
}


def schemas() -> dict[str, bytes]:
    """Every schema's bytes, by file name.

    The registry's is the one that ships in each candidate: it is the registry's owners' contract,
    and no model of ours stands over it.
    """
    made = {f"{name}.schema.json": json_bytes(_schema(kind)) for name, kind in DOCUMENTS.items()}
    return {**made, "registry.schema.json": json_bytes(REGISTRY_SCHEMA)}


def _schema(kind: type[Document]) -> dict[str, Any]:
    return {"$schema": GenerateJsonSchema.schema_dialect, **kind.model_json_schema()}


def main() -> None:
    """Write all of them."""
    folder = UPath(FOLDER)
    for name, data in schemas().items():
        store.put(folder / name, data)
    sys.stdout.write(f"{folder}: {len(schemas())} schemas\n")


if __name__ == "__main__":
    main()
