"""Does a candidate folder hold what it says? Asked before it is published and before it is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from upath import UPath

from fr_ensemble_assets.calibration.document import CALIBRATION_FILE, parse_calibration
from fr_ensemble_assets.candidate.registry import REGISTRY_FILE, SCHEMA_FILE, schema_problems
from fr_ensemble_assets.candidate.signing import SIGNATURE_FILE
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import parse_json, read_bytes, sha256_of
from fr_ensemble_assets.gate.evidence import load_scores
from fr_ensemble_assets.gate.rule import decide
from fr_ensemble_assets.gate.verdict import VERDICT_FILES, results_digests
from fr_ensemble_assets.loso.results import results_file
from fr_ensemble_assets.members.names import (
    MANIFEST_FILE,
    member_id,
    onnx_file,
    sidecar_file,
)
from fr_ensemble_assets.members.onnx_export import forbidden_operators, is_onnx
from fr_ensemble_assets.members.sidecars import confidence as confidence_of
from fr_ensemble_assets.training.recipe import ENSEMBLE_SEEDS

CANDIDATE_FILES = tuple(
    sorted(
        [
            *(onnx_file(seed) for seed in ENSEMBLE_SEEDS),
            *(sidecar_file(seed) for seed in ENSEMBLE_SEEDS),
            *(results_file(seed) for seed in ENSEMBLE_SEEDS),
            MANIFEST_FILE,
            CALIBRATION_FILE,
            VERDICT_FILES["PROMOTE"],
            REGISTRY_FILE,
            SCHEMA_FILE,
        ]
    )
)


@dataclass(frozen=True)
class Verification:
    """What is wrong with a candidate, by kind; nothing, if it can be proposed.

    Attributes
    ----------
    files
        Files that are missing or that the contract doesn't know.
    digests
        Rows, sidecars, manifest or verdict that name another digest than a file has.
    schema
        Where the registry departs from its schema.
    gate
        Why the results in the folder don't carry a PROMOTE.
    """

    files: tuple[str, ...]
    digests: tuple[str, ...]
    schema: tuple[str, ...]
    gate: tuple[str, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        return (*self.files, *self.digests, *self.schema, *self.gate)


def verify_candidate(folder: UPath) -> Verification:
    """Check a candidate folder against itself, trusting none of its files alone.

    Raises
    ------
    UnusableInput
        If the folder doesn't exist, or one of its JSON files isn't JSON.
    """
    if not folder.is_dir():
        raise UnusableInput(f"{folder}: expected a candidate folder, found no such folder.")
    present = {entry.name for entry in folder.iterdir()}
    known = {*CANDIDATE_FILES, SIGNATURE_FILE}
    missing = [f"{name} is missing" for name in CANDIDATE_FILES if name not in present]
    foreign = [f"{name} doesn't belong here" for name in sorted(present - known)]
    if missing:
        return Verification((*missing, *foreign), (), (), ())
    documents = {name: _object(folder, name) for name in CANDIDATE_FILES if name.endswith(".json")}
    schema = tuple(schema_problems(documents[REGISTRY_FILE]))
    digests: tuple[str, ...] = ()
    if not schema:
        calibration = _calibration_problems(folder, documents)
        digests = (*_digest_problems(folder, documents), *calibration)
    return Verification(tuple(foreign), digests, schema, tuple(_gate_problems(folder, documents)))


def _object(folder: UPath, name: str) -> dict[str, Any]:
    path = folder / name
    document = parse_json(read_bytes(path, "a file of a candidate"), str(path))
    if not isinstance(document, dict):
        raise UnusableInput(f"{path}: expected a JSON object, found something else.")
    return document


def _digest_problems(folder: UPath, documents: dict[str, dict[str, Any]]) -> list[str]:
    rows = {row["id"]: row for row in documents[REGISTRY_FILE]["models"]}
    told = documents[MANIFEST_FILE].get("members")
    listed = told if isinstance(told, list) else []
    members = {member.get("id"): member for member in listed if isinstance(member, dict)}
    problems = []
    if len({row["sha256"] for row in rows.values()}) < len(rows):
        problems.append("two members are the same file: an ensemble of copies never disagrees")
    if set(rows) != {member_id(seed) for seed in ENSEMBLE_SEEDS}:
        problems.append(f"{REGISTRY_FILE} has the rows {', '.join(sorted(rows))}")
    for seed in ENSEMBLE_SEEDS:
        name, identity = onnx_file(seed), member_id(seed)
        model = read_bytes(folder / name, "a member")
        found = sha256_of(model)
        for teller, told_digest in (
            (REGISTRY_FILE, rows.get(identity, {}).get("sha256")),
            (MANIFEST_FILE, members.get(identity, {}).get("sha256")),
            (sidecar_file(seed), documents[sidecar_file(seed)].get("sha256")),
        ):
            if told_digest != found:
                problems.append(f"{name} has the sha256 {found}, {teller} says {told_digest}")
        if not is_onnx(model):
            problems.append(f"{name} is no ONNX model")
        elif refused := forbidden_operators(model):
            problems.append(f"{name} uses operators that the loader refuses: {', '.join(refused)}")
    return problems


def _calibration_problems(folder: UPath, documents: dict[str, dict[str, Any]]) -> list[str]:
    """The calibration is the one that the manifest names, and of the verdict's corpus."""
    path = folder / CALIBRATION_FILE
    data = read_bytes(path, "a calibration")
    manifest = documents[MANIFEST_FILE]
    told, confidence = manifest.get("eval"), manifest.get("confidence")
    named = told.get("calibration_sha256") if isinstance(told, dict) else None
    found = sha256_of(data)
    problems = []
    if named != found:
        problems.append(f"{CALIBRATION_FILE} has the sha256 {found}, {MANIFEST_FILE} says {named}")
    try:
        calibration = parse_calibration(data, str(path))
    except UnusableInput as error:
        return [*problems, str(error)]
    corpus = documents[VERDICT_FILES["PROMOTE"]].get("corpus")
    judged = corpus.get("sha256") if isinstance(corpus, dict) else None
    if calibration.corpus_sha256 != judged:
        problems.append(f"{CALIBRATION_FILE} belongs to another corpus than the verdict")
    sigma = told.get("mean_sigma") if isinstance(told, dict) else None
    if not isinstance(sigma, float) or confidence != confidence_of(calibration, sigma):
        problems.append(f"{MANIFEST_FILE} has another 'confidence' than {CALIBRATION_FILE} gives")
    return problems


def _gate_problems(folder: UPath, documents: dict[str, dict[str, Any]]) -> list[str]:
    """Judge the results in the folder once more; the verdict beside them must say the same."""
    scores = load_scores(folder)
    verdict = documents[VERDICT_FILES["PROMOTE"]]
    corpus = verdict.get("corpus")
    corpus_sha256 = corpus.get("sha256") if isinstance(corpus, dict) else None
    decision = decide(scores, str(corpus_sha256))
    problems = [f"the gate says HOLD: {reason}" for reason in decision.reasons]
    if verdict.get("verdict") != "PROMOTE":
        problems.append(f"{VERDICT_FILES['PROMOTE']} says {verdict.get('verdict')}")
    for name, sha256 in results_digests(scores).items():
        told = verdict.get("results")
        if not isinstance(told, dict) or told.get(name) != sha256:
            problems.append(f"{name} was altered after the verdict")
    for seed in ENSEMBLE_SEEDS:
        told = documents[sidecar_file(seed)].get("corpus")
        if not isinstance(told, dict) or told.get("sha256") != corpus_sha256:
            problems.append(f"{sidecar_file(seed)} belongs to another corpus than the verdict")
    return problems
