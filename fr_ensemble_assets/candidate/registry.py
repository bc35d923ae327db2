"""Registry rows and the schema that they obey (contracts section 6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fr_ensemble_assets.gate.rule import Decision
from fr_ensemble_assets.members.consumers import LICENSE, LICENSE_URL
from fr_ensemble_assets.members.names import member_id, onnx_file
from fr_ensemble_assets.members.onnx_export import OPSET
from fr_ensemble_assets.members.sidecars import Member

REGISTRY_FILE = "registry.json"
SCHEMA_FILE = "registry.schema.json"
NOTES_MAX = 512
BUNDLE_SUFFIX = ".sigstore.json"

REGISTRY_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Registry of tiny models: the rows of one ensemble candidate",
    "type": "object",
    "required": ["schema_version", "models"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"const": f"./{SCHEMA_FILE}"},
        "schema_version": {"const": 1},
        "models": {"type": "array", "items": {"$ref": "#/$defs/row"}},
    },
    "$defs": {
        "row": {
            "type": "object",
            "required": ["id", "kind", "onnx", "sha256", "opset", "smoke", "license", "notes"],
            "additionalProperties": False,
            "properties": {
                "id": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$", "maxLength": 64},
                "kind": {"const": "fr"},
                "onnx": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_./-]*\\.onnx$"},
                "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                "opset": {"const": OPSET},
                "smoke": {"const": False},
                "license": {"const": LICENSE},
                "notes": {"type": "string", "maxLength": NOTES_MAX},
                "license_url": {"type": "string"},
                "description": {"type": "string", "maxLength": 256},
                "sigstore_bundle": {"type": "string", "pattern": "\\.sigstore\\.json$"},
            },
        }
    },
}


def registry_row(member: Member, decision: Decision, corpus_sha256: str) -> dict[str, Any]:
    """One member's row, keys in the order in which the fork's own rows are written."""
    plcc = decision.per_seed_plcc[member.seed]
    protocol = "LOSO" if decision.groups is None else f"Held out in {decision.protocol}:"
    return {
        "id": member_id(member.seed),
        "kind": "fr",
        "onnx": onnx_file(member.seed),
        "opset": OPSET,
        "sha256": member.sha256,
        "smoke": False,
        "license": LICENSE,
        "license_url": LICENSE_URL,
        "notes": (
            f"fr_regressor_v2 deep ensemble, seed {member.seed}: canonical-6 and 14-column codec "
            f"block to VMAF. {protocol} mean PLCC {plcc:.4f} (ensemble {decision.mean_plcc:.4f}, "
            f"spread {decision.plcc_spread:.4f}); gate ADR-0303 PROMOTE on corpus {corpus_sha256}."
        ),
        # A name: the file is made by the CI of whoever takes the row, and can't be ours.
        "sigstore_bundle": f"{onnx_file(member.seed)}{BUNDLE_SUFFIX}",
    }


def registry_document(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A registry of these rows alone, sorted by id."""
    return {
        "$schema": f"./{SCHEMA_FILE}",
        "schema_version": 1,
        "models": sorted(rows, key=lambda row: str(row["id"])),
    }


def schema_problems(document: Any) -> list[str]:
    """Where ``document`` departs from the schema; one sentence each, none if it obeys."""
    import jsonschema

    validator = jsonschema.Draft202012Validator(REGISTRY_SCHEMA)
    problems = [
        f"{REGISTRY_FILE} at {error.json_path}: {error.message}"
        for error in validator.iter_errors(document)
    ]
    ids = [row.get("id") for row in document.get("models", [])] if not problems else []
    if ids != sorted(set(ids)):
        problems.append(f"{REGISTRY_FILE}: expected distinct ids in sorted order, found {ids}")
    return problems
