"""The rules by which the consuming tree checks models, asked of a patched copy of it.

Each is a rule of one of their checks that needs no code of theirs: the registry's schema and test,
the gate of a flip (ADR-0303, ADR-0320), the loader's list of operators, the reader of sidecars.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.contract.thresholds import ADR_0303
from fr_ensemble_assets.features.codec_block import CODEC_BLOCK_LAYOUT
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import parse_json, sha256_of
from fr_ensemble_assets.foundation.schema import ENCODER_VOCAB_VERSION, ENCODER_VOCABULARY
from fr_ensemble_assets.handover.checkout import json_object
from fr_ensemble_assets.handover.names import (
    DEAD,
    MODELS,
    REGISTRY,
    REGISTRY_SCHEMA_FILE,
)
from fr_ensemble_assets.members.consumers import (
    CALIBRATION_IN_TREE,
    LICENSE,
    SIDECAR_MAX_BYTES,
    VERDICT_IN_TREE,
)
from fr_ensemble_assets.members.names import MANIFEST_FILE, member_id, onnx_file, sidecar_file
from fr_ensemble_assets.members.onnx_check import member_problem
from fr_ensemble_assets.members.onnx_export import forbidden_operators

#: Keys that their schema gives a row (ADR-0211); it allows no others.
_ROW_KEYS = frozenset(
    [
        "id", "kind", "onnx", "sha256", "opset", "notes", "smoke", "quant_mode",
        "quant_calibration_set", "int8_sha256", "quant_accuracy_budget_plcc", "license",
        "license_url", "sigstore_bundle", "description",
    ]
)  # fmt: skip
_REQUIRED = ("id", "kind", "onnx", "sha256")
_LONGEST = {"id": 64, "notes": 512, "description": 256, "license": 128, "license_url": 512}
#: Without them their reader goes on, and takes what it thinks is usual.
_READ_BY_C = ("name", "input_name", "output_name", "onnx_opset")
_OURS = frozenset(member_id(seed) for seed in ENSEMBLE.units)

Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Problem:
    """A rule that doesn't hold.

    Attributes
    ----------
    ours
        Whether it is about a file or a row of the ensemble, and not about somebody else's.
    sentence
        In words: where, what was expected, what was found.
    """

    ours: bool
    sentence: str


def broken_rules(files: Files) -> tuple[Problem, ...]:
    """Every rule that ``files`` (path in their tree to bytes) break."""
    document = json_object(files, REGISTRY)
    listed = document.get("models") if document else None
    if not isinstance(listed, list) or not all(isinstance(row, dict) for row in listed):
        return (Problem(True, f"{REGISTRY} has no list of rows"),)
    rows = {str(row.get("id")): row for row in listed}
    return (
        *_schema(files, document),
        *(problem for row in listed for problem in _row(row)),
        *_places_in_text(files[REGISTRY].decode("utf-8", "replace"), rows),
        *(_ours(told) for told in _members(files, rows)),
        *(_ours(told) for told in _manifest(files, rows)),
        *(_ours(told) for told in _verdict(files)),
    )


def _ours(message: str) -> Problem:
    return Problem(True, message)


# --- the registry ------------------------------------------------------------------------------


def _schema(files: Files, document: Any) -> Iterator[Problem]:
    """Their own schema, where they have one: it is data, and may be newer than what we know."""
    if REGISTRY_SCHEMA_FILE not in files:
        return
    import jsonschema

    try:
        schema = parse_json(files[REGISTRY_SCHEMA_FILE], REGISTRY_SCHEMA_FILE)
        errors = sorted(
            jsonschema.Draft202012Validator(schema).iter_errors(document),
            key=lambda error: error.json_path,
        )
    except (UnusableInput, jsonschema.SchemaError, AttributeError, TypeError) as error:
        yield Problem(False, f"{REGISTRY_SCHEMA_FILE} is no schema: {str(error)[:120]}")
        return
    for departure in errors:
        place = [*departure.absolute_path]
        row = document["models"][place[1]] if len(place) > 1 and place[0] == "models" else {}
        named = row.get("id") if isinstance(row, dict) else None
        where = f"row '{named}'" if named else departure.json_path
        yield Problem(named in _OURS, f"{REGISTRY} at {where}: {departure.message[:200]}")


def _row(row: Mapping[str, Any]) -> Iterator[Problem]:
    """What their test and validator ask of every row."""
    name = str(row.get("id"))
    found = []
    if foreign := sorted(set(row) - _ROW_KEYS):
        found.append(f"has keys that the schema doesn't know: {', '.join(foreign)}")
    if missing := [key for key in _REQUIRED if key not in row]:
        found.append(f"lacks {', '.join(missing)}")
    found += [
        f"has a '{key}' of more than {longest} characters"
        for key, longest in _LONGEST.items()
        if len(str(row.get(key, ""))) > longest
    ]
    if not row.get("license"):
        found.append("has no 'license'")
    if not str(row.get("sigstore_bundle", "")).endswith(".sigstore.json"):
        found.append("names no 'sigstore_bundle' that ends in .sigstore.json")
    for told in found:
        yield Problem(name in _OURS, f"{REGISTRY}: row '{name}' {told}")


def _places_in_text(text: str, rows: Mapping[str, Any]) -> Iterator[Problem]:
    """libvmaf finds a bundle by text: behind the row's ``"onnx"``, before the next row's."""
    for name, row in rows.items():
        if "sigstore_bundle" not in row or "onnx" not in row:
            continue
        member = re.search(rf'"onnx"\s*:\s*{re.escape(json.dumps(row["onnx"]))}', text)
        rest = text[member.end() :] if member else ""
        bundle, following = rest.find('"sigstore_bundle"'), rest.find('"onnx"')
        if bundle < 0 or 0 <= following < bundle:
            told = f"{REGISTRY}: row '{name}' has its 'sigstore_bundle' before 'onnx'"
            yield Problem(name in _OURS, told)


# --- the members -------------------------------------------------------------------------------


def _members(files: Files, rows: Mapping[str, Any]) -> Iterator[str]:
    for seed in ENSEMBLE.units:
        row, name = rows.get(member_id(seed)), onnx_file(seed)
        model, sidecar = files.get(f"{MODELS}/{name}"), _object_of(files, sidecar_file(seed))
        if row is None or model is None or sidecar is None:
            yield f"seed {seed}: row, {name} and {sidecar_file(seed)} aren't all there"
            continue
        found = sha256_of(model)
        if row.get("onnx") != name or row.get("smoke") is not False:
            yield f"{REGISTRY}: row '{member_id(seed)}' isn't that of {name} with smoke false"
        for teller, told in ((REGISTRY, row.get("sha256")), ("sidecar", sidecar.get("sha256"))):
            if told != found:
                yield f"{name} has the sha256 {found}, its {teller} says {told}"
        if row.get("license") != LICENSE:
            yield f"{REGISTRY}: row '{member_id(seed)}' has the license {row.get('license')}"
        if problem := member_problem(model, seed):
            yield problem
        elif refused := forbidden_operators(model):
            yield f"{name} uses operators that the loader refuses: {', '.join(refused)}"
        yield from _sidecar(sidecar, files[f"{MODELS}/{sidecar_file(seed)}"], seed)
    for path in DEAD:
        if path in files:
            yield f"{path} holds weights that no member loads"


def _sidecar(sidecar: Mapping[str, Any], data: bytes, seed: int) -> Iterator[str]:
    name, gate = sidecar_file(seed), sidecar.get("gate")
    if not isinstance(gate, dict) or gate.get("passed") is not True:
        yield f"{name}: its gate hasn't passed"
    elif gate.get("verdict") != "PROMOTE":
        yield f"{name}: its verdict is {gate.get('verdict')}"
    if sidecar.get("encoder_vocab_version") != ENCODER_VOCAB_VERSION:
        yield f"{name} has another vocabulary version than {ENCODER_VOCAB_VERSION}"
    if len(data) > SIDECAR_MAX_BYTES:
        yield f"{name} has more than {SIDECAR_MAX_BYTES} bytes, their reader stops there"
    first = re.search(rb'"kind"\s*:\s*"([^"]*)"', data)
    if first is None or first[1] != b"fr":
        yield f"{name}: the first 'kind' in its text isn't 'fr'"
    if lacking := [key for key in _READ_BY_C if key not in sidecar]:
        yield f"{name} lacks what libvmaf's reader looks for: {', '.join(lacking)}"


# --- what stands above them --------------------------------------------------------------------


def _manifest(files: Files, rows: Mapping[str, Any]) -> Iterator[str]:
    """A forgotten manifest feeds the members with another scaler: 99 for a VMAF of 80."""
    manifest = _object_of(files, MANIFEST_FILE)
    if manifest is None:
        yield f"{MANIFEST_FILE} is missing or no JSON object"
        return
    wanted = [
        {
            "id": member_id(seed),
            "onnx": onnx_file(seed),
            "seed": seed,
            "sha256": rows.get(member_id(seed), {}).get("sha256"),
        }
        for seed in ENSEMBLE.units
    ]
    if manifest.get("members") != wanted:
        yield f"{MANIFEST_FILE} names other members than the registry"
    expected: dict[str, Any] = {
        "codec_vocab": [*ENCODER_VOCABULARY],
        "codec_vocab_version": ENCODER_VOCAB_VERSION,
        "smoke": False,
    }
    for seed in ENSEMBLE.units:
        sidecar = _object_of(files, sidecar_file(seed)) or {}
        expected |= {key: sidecar.get(key) for key in ("feature_order", *_SCALER)}
        for key, value in expected.items():
            if manifest.get(key) != value:
                yield f"{MANIFEST_FILE} has another '{key}' than {sidecar_file(seed)} goes with"
    layout = manifest.get("codec_block_layout", [*CODEC_BLOCK_LAYOUT])
    if layout != [*CODEC_BLOCK_LAYOUT]:
        yield f"{MANIFEST_FILE} has another 'codec_block_layout' than the members"
    told = manifest.get("eval")
    named = told.get("calibration_sha256") if isinstance(told, dict) else None
    calibration = files.get(f"{MODELS}/{CALIBRATION_IN_TREE}")
    if calibration is None or sha256_of(calibration) != named:
        yield f"{CALIBRATION_IN_TREE} isn't the calibration that {MANIFEST_FILE} names"


_SCALER = ("feature_mean", "feature_std")


def _verdict(files: Files) -> Iterator[str]:
    verdict = _object_of(files, VERDICT_IN_TREE) or {}
    gate, corpus = verdict.get("gate"), verdict.get("corpus")
    gate = gate if isinstance(gate, dict) else {}
    corpus = corpus if isinstance(corpus, dict) else {}
    if verdict.get("verdict") != "PROMOTE":
        yield f"{VERDICT_IN_TREE} says {verdict.get('verdict')}"
    mean, spread = gate.get("mean_plcc"), gate.get("plcc_spread")
    if not isinstance(mean, float) or not mean >= ADR_0303.mean_plcc_min:
        yield f"{VERDICT_IN_TREE}: mean PLCC {mean} isn't {ADR_0303.mean_plcc_min:g} or more"
    if not isinstance(spread, float) or not spread <= ADR_0303.plcc_spread_max:
        yield f"{VERDICT_IN_TREE}: spread {spread} isn't {ADR_0303.plcc_spread_max:g} or less"
    if not corpus.get("present") or not corpus.get("sha256"):
        yield f"{VERDICT_IN_TREE} names no corpus"
    for seed in ENSEMBLE.units:
        sidecar = _object_of(files, sidecar_file(seed)) or {}
        told = sidecar.get("corpus")
        if not isinstance(told, dict) or told.get("sha256") != corpus.get("sha256"):
            yield f"{sidecar_file(seed)} belongs to another corpus than {VERDICT_IN_TREE}"


def _object_of(files: Files, name: str) -> dict[str, Any] | None:
    return json_object(files, f"{MODELS}/{name}")


# --- the pull request --------------------------------------------------------------------------

_SIX = {
    "Research digest": (r"no .*digest", r"^docs/research/[0-9]+-"),
    "Decision matrix": (r"no .*alternatives", None),
    "AGENTS.md invariant note": (r"no .*(rebase-sensitive|AGENTS)", None),
    "Reproducer / smoke-test command": (r"no .*(reproducer|smoke)", None),
    "CHANGELOG fragment": (r"no .*changelog", r"^(CHANGELOG\.md|changelog\.d/[^/]+/.*\.md)$"),
    "Rebase note": (r"no .*rebase", r"^docs/rebase-notes\.md$"),
}


def missing_deliverables(body: str, changed: Sequence[str]) -> tuple[str, ...]:
    """Which of ADR-0108's six items a pull request neither ticks (and has) nor opts out of."""
    plain = re.sub(r"[`*_\\]", "", body)
    missing = []
    for item, (opted_out, path) in _SIX.items():
        ticked = re.search(rf"- \[x\].*{re.escape(item)}", plain, re.IGNORECASE)
        if not ticked and not re.search(opted_out, plain, re.IGNORECASE):
            missing.append(item)
        elif ticked and path and not any(re.search(path, name) for name in changed):
            missing.append(f"{item} (ticked, and not in the patch)")
    return tuple(missing)
