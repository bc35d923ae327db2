"""A small git repository with the structure of the consuming fork, stale where that is stale."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from fr_ensemble_assets.foundation.schema import CANONICAL_6, ENCODER_VOCABULARY

ENSEMBLE = "fr_regressor_v2_ensemble_v1"
TINY = "model/tiny"
PAGE = "docs/ai/models/fr_regressor_v2_probabilistic.md"
VERDICT = f"{TINY}/{ENSEMBLE}_seed_flip_PROMOTE.json"
REGISTRY = f"{TINY}/registry.json"

#: As in ADR-0211: keys of a row, and no others.
ROW_SCHEMA = {
    "type": "object",
    "required": ["id", "kind", "onnx", "sha256"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$", "maxLength": 64},
        "kind": {"enum": ["fr", "nr", "filter"]},
        "onnx": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_./-]*\\.onnx$"},
        "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "opset": {"type": "integer", "minimum": 7, "maximum": 21},
        "notes": {"type": "string", "maxLength": 512},
        "description": {"type": "string", "maxLength": 256},
        "smoke": {"type": "boolean"},
        "license": {"type": "string", "maxLength": 128},
        "license_url": {"type": "string", "maxLength": 512},
        "sigstore_bundle": {"type": "string", "pattern": "\\.sigstore\\.json$"},
    },
}


def git(folder: Path, *arguments: str, given: bytes | None = None) -> bytes:
    who = ("-c", "user.name=fork", "-c", "user.email=fork@example.org")
    told = ["git", "-C", str(folder), *who, *arguments]
    return subprocess.run(told, check=True, input=given, capture_output=True).stdout


def their_row(name: str, **more: Any) -> dict[str, Any]:
    row = {
        "description": f"{name} — tiny",
        "id": name,
        "kind": "nr",
        "license": "MIT",
        "license_url": "https://example.org/LICENSE",
        "notes": "theirs",
        "onnx": f"{name}.onnx",
        "opset": 17,
        "sha256": "f" * 64,
        "sigstore_bundle": f"{name}.onnx.sigstore.json",
        "smoke": False,
    }
    return dict(sorted({**row, **more}.items()))


def seed_row(seed: int) -> dict[str, Any]:
    name = f"{ENSEMBLE}_seed{seed}"
    return their_row(name, kind="fr", sha256=f"{seed}" * 64, license="BSD-3-Clause-Plus-Patent")


def registry(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"$schema": "./registry.schema.json", "models": list(rows), "schema_version": 1}


def old_sidecar(seed: int) -> dict[str, Any]:
    return {
        "corpus": {"sha256": "5" * 64, "n_rows": 5640},
        "encoder_vocab": list(ENCODER_VOCABULARY),
        "encoder_vocab_version": 2,
        "id": f"{ENSEMBLE}_seed{seed}",
        "kind": "fr",
        "sha256": f"{seed}" * 64,
    }


#: Six names of the first vocabulary, and the scaler of a corpus that was made up.
STALE_MANIFEST = {
    "codec_vocab": ["x264", "x265", "libsvtav1", "libvvenc", "libvpx-vp9", "unknown"],
    "codec_vocab_version": 1,
    "confidence": {"method": "ensemble", "conformal_q_residual": None},
    "eval": {"in_sample_plcc": -0.197},
    "feature_mean": [0.7] * 6,
    "feature_order": list(CANONICAL_6),
    "feature_std": [0.2] * 6,
    "id": ENSEMBLE,
    "members": [{"id": f"{ENSEMBLE}_seed{seed}", "sha256": "a" * 64} for seed in range(5)],
    "smoke": True,
}

OLD_VERDICT = {
    "corpus": {"present": False, "sha256": None},
    "gate": {"mean_plcc": 0.9973, "plcc_spread": 0.00095},
    "verdict": "PROMOTE",
}


def dumped(value: Any) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()


def fork_files() -> dict[str, bytes]:
    """Path to bytes of a fork in which the ensemble was flipped once, and left half stale."""
    others = [their_row(name) for name in ("fastdvdnet_pre", "fr_regressor_v1", "vmaf_tiny_v2")]
    rows = sorted([*others, *map(seed_row, range(5))], key=lambda row: str(row["id"]))
    files = {
        REGISTRY: dumped(registry(*rows)),
        f"{TINY}/registry.schema.json": dumped(
            {
                "type": "object",
                "required": ["schema_version", "models"],
                "additionalProperties": False,
                "properties": {
                    "$schema": {"type": "string"},
                    "schema_version": {"const": 1},
                    "models": {"type": "array", "items": ROW_SCHEMA},
                },
            }
        ),
        f"{TINY}/{ENSEMBLE}.json": dumped(STALE_MANIFEST),
        VERDICT: dumped(OLD_VERDICT),
        f"{TINY}/vmaf_tiny_v2.onnx": bytes(range(256)) * 40,
        PAGE: "# `fr_regressor_v2_ensemble_v1` — probabilistic\n\nOlder text → here.\n".encode(),
        "changelog.d/changed/theirs.md": b"- theirs\n",
        "libvmaf/src/dnn/model_loader.c": b"/* theirs */\n",
        ".gitignore": b"*.sigstore.json\n",
    }
    for seed in range(5):
        member = f"{TINY}/{ENSEMBLE}_seed{seed}"
        files[f"{member}.onnx"] = bytes([seed, 0, 255]) * 1000
        files[f"{member}.onnx.data"] = bytes([255, seed, 0]) * 7168
        files[f"{member}.json"] = dumped(old_sidecar(seed))
    return files


def make_fork(folder: Path, files: dict[str, bytes] | None = None) -> Path:
    """Commit ``files`` to a new repository at ``folder``."""
    for path, data in (fork_files() if files is None else files).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    git(folder, "init", "--quiet", "--template=")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "theirs")
    return folder


def contents(folder: Path, with_git: bool = False) -> dict[str, bytes]:
    """Every file of a tree, by path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and (with_git or ".git" not in path.relative_to(folder).parts)
    }
