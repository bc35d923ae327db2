"""Assemble a candidate beside its place, verify it there, and rename it into place last."""

from __future__ import annotations

import shutil

from upath import UPath

from fr_ensemble_assets.calibration.calibrate import calibrate
from fr_ensemble_assets.calibration.document import CALIBRATION_FILE, calibration_bytes
from fr_ensemble_assets.calibration.pooling import load_out_of_fold
from fr_ensemble_assets.candidate.registry import (
    REGISTRY_FILE,
    REGISTRY_SCHEMA,
    SCHEMA_FILE,
    registry_document,
    registry_row,
)
from fr_ensemble_assets.candidate.verify import verify_candidate
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.foundation.errors import GateRefusal, UnusableInput
from fr_ensemble_assets.foundation.files import (
    folder_in_the_making,
    parse_json,
    read_bytes,
    write_json,
)
from fr_ensemble_assets.gate.verdict import VERDICT_FILES, Judgement
from fr_ensemble_assets.loso.results import results_file
from fr_ensemble_assets.members.names import MANIFEST_FILE, onnx_file, sidecar_file
from fr_ensemble_assets.members.sidecars import Member
from fr_ensemble_assets.training.recipe import ENSEMBLE_SEEDS


def build_candidate(
    destination: UPath, results: UPath, members: UPath, corpus: Corpus, judgement: Judgement
) -> None:
    """Publish the candidate of ``corpus`` at ``destination``, whole or not at all.

    Parameters
    ----------
    destination
        ``candidates/<corpus sha, short>``.
    results
        The folder with the ``loso_seed{N}.json`` and the verdict.
    members
        The folder with the ONNX files, sidecars, manifest and calibration.
    judgement
        From :func:`~fr_ensemble_assets.gate.verdict.authorise`, which let it through.

    Raises
    ------
    GateRefusal
        If what was assembled doesn't verify, or its calibration doesn't follow from the results.
    UnusableInput
        If the members are missing.
    """
    with folder_in_the_making(destination) as making:
        for seed in ENSEMBLE_SEEDS:
            _copy(results / results_file(seed), making)
            _copy(members / onnx_file(seed), making)
            _copy(members / sidecar_file(seed), making)
        _copy(results / VERDICT_FILES["PROMOTE"], making)
        _copy(members / MANIFEST_FILE, making)
        _copy(members / CALIBRATION_FILE, making)
        rows = [
            registry_row(member, judgement.decision, corpus.sha256) for member in _members(making)
        ]
        write_json(making / REGISTRY_FILE, registry_document(rows))
        write_json(making / SCHEMA_FILE, REGISTRY_SCHEMA)
        _require_calibrated(making, results, corpus, judgement)
        problems = verify_candidate(making).problems
        if problems:
            raise GateRefusal(
                f"{destination.name}: expected a candidate that verifies, found "
                f"{'; '.join(problems)}; run again with --force."
            )


def _copy(source: UPath, folder: UPath) -> None:
    if not source.exists():
        raise UnusableInput(
            f"{source}: expected a file of the candidate, found none; materialise what makes it."
        )
    shutil.copyfile(str(source), str(folder / source.name))


def _require_calibrated(
    folder: UPath, results: UPath, corpus: Corpus, judgement: Judgement
) -> None:
    """Stored intervals are not believed: they must be what the judged predictions give now."""
    frames = load_out_of_fold(results, corpus, judgement.scores)
    given = calibration_bytes(calibrate(corpus, frames))
    if read_bytes(folder / CALIBRATION_FILE, "a calibration") != given:
        raise GateRefusal(
            f"{CALIBRATION_FILE}: expected the calibration that the out-of-fold predictions give, "
            "found another; materialise ensemble_members again."
        )


def _members(folder: UPath) -> list[Member]:
    path = folder / MANIFEST_FILE
    manifest = parse_json(read_bytes(path, "the manifest"), str(path))
    return [Member(member["seed"], member["sha256"]) for member in manifest["members"]]
