"""The candidate folder verifies by itself and finds whatever was changed in it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from fr_ensemble_assets.candidate.registry import schema_problems
from fr_ensemble_assets.candidate.verify import verify_candidate
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.foundation.errors import GateRefusal, UnusableInput
from fr_ensemble_assets.foundation.files import json_bytes, sha256_of, temporary_name
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_tests.conftest import Chain, publish, snapshot

SEED1 = f"{ENSEMBLE.id}_seed1"


@pytest.fixture
def candidate(promoted: Home) -> UPath:
    (folder,) = promoted.candidates.iterdir()
    return folder


def flip_a_byte(folder: UPath) -> None:
    path = folder / f"{SEED1}.onnx"
    data = bytearray(path.read_bytes())
    data[-200] ^= 1
    path.write_bytes(bytes(data))


def link_a_member(folder: UPath) -> None:
    path = Path(str(folder / f"{SEED1}.onnx"))
    aside = path.rename(folder.parent.parent / "aside.onnx")
    path.symlink_to(aside)


def pipe_for_a_member(folder: UPath) -> None:
    (folder / f"{SEED1}.onnx").unlink()
    os.mkfifo(str(folder / f"{SEED1}.onnx"))


def grow_a_member(folder: UPath) -> None:
    with (folder / f"{SEED1}.onnx").open("ab") as handle:
        handle.truncate(1 << 30)


def replace_in(name: str, old: str, new: str) -> Callable[[UPath], None]:
    def change(folder: UPath) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return change


SPOILED: dict[str, tuple[Callable[[UPath], Any], str]] = {
    "a weight": (flip_a_byte, f"{SEED1}.onnx has the sha256"),
    "a missing file": (lambda f: (f / f"{SEED1}.json").unlink(), f"{SEED1}.json is missing"),
    "a foreign file": (lambda f: (f / "x.onnx").write_bytes(b""), "x.onnx doesn't belong here"),
    "a smoke flag": (replace_in("registry.json", '"smoke": false', '"smoke": true'), "smoke"),
    "an extra key": (replace_in("registry.json", '"kind"', '"sort"'), "registry.json at"),
    "a figure": (replace_in("loso_seed3.json", '"seed"', ' "seed"'), "altered after the verdict"),
    "another corpus": (
        replace_in(
            f"{SEED1}.json", '"corpus": {\n    "path"', '"corpus": {"sha256":"x"}, "x": {"x"'
        ),
        f"{SEED1}.json has the sha256",
    ),
    "a calibration": (
        replace_in("calibration.json", '"kind"', '"sort"'),
        "calibration.json has the sha256",
    ),
    "a broken calibration": (
        replace_in("calibration.json", '"per_encode"', '"per_shot"'),
        "calibration.json has the sha256",
    ),
    "a q that was not calibrated": (
        replace_in(f"{ENSEMBLE.id}.json", '"conformal_q_residual": ', '"conformal_q_residual": 9'),
        f"{ENSEMBLE.id}.json is not the one that digests.json names",
    ),
    "no JSON": (lambda f: (f / "registry.json").write_text("{"), "registry.json line 1"),
    "a list": (lambda f: (f / "PROMOTE.json").write_text("[]"), "expected a JSON object"),
    "a HOLD": (
        replace_in("PROMOTE.json", '"PROMOTE"', '"HOLD"'),
        "PROMOTE.json says 'HOLD' at 'verdict', not 'PROMOTE'",
    ),
    "a link": (link_a_member, f"{SEED1}.onnx: expected a file of a candidate, found a link"),
    "a pipe": (
        pipe_for_a_member,
        "found a folder, a pipe",
    ),
    "a huge file": (
        grow_a_member,
        "a file of a candidate of at most 1,048,576 bytes, found",
    ),
}


@pytest.mark.parametrize("name", SPOILED)
def test_verification_finds(candidate: UPath, name: str) -> None:
    assert verify_candidate(candidate).problems == ()
    spoil, message = SPOILED[name]
    spoil(candidate)
    assert any(message in problem for problem in verify_candidate(candidate).problems)


def test_calibration_that_the_predictions_do_not_give_is_not_published(promoted: Home) -> None:
    """Manifest and calibration may agree with each other and still be made up."""
    (members,) = promoted.store.glob("*/loso-*/members")
    told = (members / "calibration.json").read_text()
    forged = told.replace(
        '"sigma_floor": 0.1,\n      "highest', '"sigma_floor": 0.09,\n      "highest'
    )
    assert forged != told
    (members / "calibration.json").write_text(forged)
    manifest = members / f"{ENSEMBLE.id}.json"
    manifest.write_text(
        manifest.read_text().replace(sha256_of(told.encode()), sha256_of(forged.encode()))
    )
    before = snapshot(Path(str(promoted.candidates)))
    with pytest.raises(GateRefusal, match="calibration.json: expected the file that fitting the"):
        publish(promoted)
    assert snapshot(Path(str(promoted.candidates))) == before


@pytest.mark.parametrize(
    "name", ["members/calibration.json", "recentring_seed2.json"], ids=["a member's", "a fold's"]
)
def test_correction_that_no_fit_gives_is_not_published(promoted: Home, name: str) -> None:
    """A member's is fitted again; another one of a fold gives another calibration."""
    (results,) = promoted.store.glob("*/loso-*")
    document = json.loads((results / name).read_text())
    listed = document["recentring"]["members"] if "recentring" in document else document["folds"]
    listed[0]["coefficients"][0] += 0.01
    (results / name).write_bytes(json_bytes(document))
    with pytest.raises(GateRefusal, match="calibration.json: expected the file that fitting the"):
        publish(promoted)


def test_results_without_the_corrections_of_their_folds_are_not_published(promoted: Home) -> None:
    (results,) = promoted.store.glob("*/loso-*")
    (results / "recentring_seed4.json").unlink()
    with pytest.raises(UnusableInput, match="recentring_seed4.json: expected the corrections of"):
        publish(promoted)


def test_folder_that_is_not_there_is_unusable(promoted: Home) -> None:
    with pytest.raises(UnusableInput, match="found no such folder"):
        verify_candidate(promoted.candidates / "nowhere")


def test_registry_has_five_rows_in_order_and_no_other_keys(promoted_once: Chain) -> None:
    folder = promoted_once[1].candidate_dir
    assert folder is not None
    document = json.loads((folder / "registry.json").read_text())
    assert list(document) == ["$schema", "schema_version", "models"]
    assert (document["$schema"], document["schema_version"]) == ("./registry.schema.json", 1)
    assert [row["id"] for row in document["models"]] == [
        f"fr_regressor_v2_ensemble_v1_seed{seed}" for seed in range(5)
    ]
    for row in document["models"]:
        assert set(row) == {
            *("id", "kind", "onnx", "sha256", "opset", "smoke", "license", "notes")
        } | {
            "license_url",
            "sigstore_bundle",
        }
        assert row["sigstore_bundle"] == f"{row['onnx']}.sigstore.json"
        assert row["smoke"] is False
        assert len(row["notes"]) <= 512
    document["models"].reverse()
    assert "sorted order" in schema_problems(document)[0]


def test_leftovers_of_dead_processes_are_swept_and_those_of_living_ones_are_not(
    promoted: Home,
) -> None:
    alive = promoted.candidates / temporary_name("x")
    alive.mkdir()
    beyond = "4194305"  # the largest process id is one less
    dead = promoted.candidates / alive.name.replace(f"-{os.getpid()}-", f"-{beyond}-")
    dead.mkdir()
    (dead / "half").write_bytes(b"x")
    elsewhere = promoted.candidates / f".tmp-another-{beyond}-0123abcd-x"
    elsewhere.mkdir()
    settings = promoted.dagster / dead.name
    settings.write_bytes(b"stor")
    assert promoted.sweep() == 2
    assert not dead.exists()
    assert not settings.exists()
    assert alive.exists()
    assert elsewhere.exists()
