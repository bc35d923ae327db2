"""Where a candidate's files lie in the consuming tree, and what they are called there."""

from __future__ import annotations

from fr_ensemble_assets.calibration.document import CALIBRATION_FILE
from fr_ensemble_assets.contract.agreed import CODECS, ENSEMBLE
from fr_ensemble_assets.gate.verdict import VERDICT_FILES
from fr_ensemble_assets.members.consumers import (
    CALIBRATION_IN_TREE,
    THRESHOLDS_FILE,
    VERDICT_IN_TREE,
)
from fr_ensemble_assets.members.names import MANIFEST_FILE, onnx_file, sidecar_file
from fr_ensemble_assets.predictors.names import FORK_CODECS, file_names

#: Their folder of tiny models, and what of it concerns everybody.
MODELS = "model/tiny"
#: Where their codecs' predictors lie, with the calibration sidecars that are read beside them.
PREDICTORS = "model"
REGISTRY = f"{MODELS}/registry.json"
REGISTRY_SCHEMA_FILE = f"{MODELS}/registry.schema.json"
#: ADR-0042: every model has a page.
PAGE = "docs/ai/models/fr_regressor_v2_probabilistic.md"

#: Name in the candidate, path in their tree.
COPIED = {
    **{onnx_file(seed): f"{MODELS}/{onnx_file(seed)}" for seed in ENSEMBLE.units},
    **{sidecar_file(seed): f"{MODELS}/{sidecar_file(seed)}" for seed in ENSEMBLE.units},
    MANIFEST_FILE: f"{MODELS}/{MANIFEST_FILE}",
    VERDICT_FILES["PROMOTE"]: f"{MODELS}/{VERDICT_IN_TREE}",
    CALIBRATION_FILE: f"{MODELS}/{CALIBRATION_IN_TREE}",
}
#: The same, for what a candidate may lack.
OPTIONAL = {
    THRESHOLDS_FILE: f"{MODELS}/{THRESHOLDS_FILE}",
    # A calibration goes with the file whose errors it tells, never beside another one of its name.
    **{
        file_names(codec)[part]: f"{PREDICTORS}/{file_names(codec)[part]}"
        for codec in CODECS
        if codec in FORK_CODECS
        for part in ("onnx", "card", "calibration")
    },
}

#: Weights of an earlier export that the members of today don't load: they carry their own.
DEAD = tuple(f"{MODELS}/{onnx_file(seed)}.data" for seed in ENSEMBLE.units)


def changelog_fragment(corpus_sha256: str) -> str:
    """The path of the fragment that tells of this candidate (their CHANGELOG is put together)."""
    return f"changelog.d/changed/fr-regressor-v2-ensemble-{corpus_sha256[:12]}.md"


def every_path(corpus_sha256: str) -> tuple[str, ...]:
    """Every path of their tree that a patch of ours may touch, sorted."""
    ours = (*COPIED.values(), *OPTIONAL.values(), *DEAD)
    return tuple(sorted((*ours, REGISTRY, PAGE, changelog_fragment(corpus_sha256))))
