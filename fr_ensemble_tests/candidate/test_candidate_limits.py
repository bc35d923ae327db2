"""What a candidate's folder may hold, and how two documents are told apart: at their limits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from fr_ensemble_assets.candidate.contents import (
    CANDIDATE_FILES,
    Contents,
    read_contents,
    read_file,
)
from fr_ensemble_assets.candidate.places import corpus_of, has_candidate, require_place
from fr_ensemble_assets.candidate.verify import first_difference, verified, verify_contents
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.members.names import MANIFEST_FILE, onnx_file
from fr_ensemble_tests.conftest import Chain

SHA256 = "ab" * 32


Manifest = Callable[[str], str]


@pytest.fixture
def manifest_of(promoted_once: Chain) -> Manifest:
    """A real manifest, of another corpus."""
    place = promoted_once[1].candidate_dir
    assert place is not None
    real = json.loads((place / MANIFEST_FILE).read_text())
    return lambda sha256: json.dumps(real | {"eval": real["eval"] | {"corpus_sha256": sha256}})


@pytest.fixture
def folder(tmp_path: Path, manifest_of: Manifest) -> UPath:
    """Every file that a candidate holds, all but the manifest by name alone."""
    place = tmp_path / "home" / "candidates" / SHA256[:12]
    place.mkdir(parents=True)
    for name in CANDIDATE_FILES:
        (place / name).write_text("{}")
    (place / MANIFEST_FILE).write_text(manifest_of(SHA256))
    return UPath(place)


# --- what lies in it ------------------------------------------------------------------------


def test_a_folder_with_every_file_is_whole_and_without_one_is_not(folder: UPath) -> None:
    contents = read_contents(folder)
    assert (contents.whole, contents.problems) == (True, ())
    assert sorted(contents.files) == sorted(CANDIDATE_FILES)
    (folder / "digests.json").unlink()
    contents = read_contents(folder)
    assert (contents.whole, contents.problems) == (False, ("digests.json is missing",))
    assert verify_contents(contents).files == ("digests.json is missing",)


def test_a_file_more_leaves_it_whole_but_is_a_problem(folder: UPath) -> None:
    (folder / "notes.txt").write_text("mine")
    contents = read_contents(folder)
    assert (contents.whole, contents.problems) == (True, ("notes.txt doesn't belong here",))
    assert "notes.txt" not in contents.files
    with pytest.raises(UnusableInput, match="a candidate that verifies, found notes.txt doesn't"):
        verified(folder)


@pytest.mark.parametrize(("foreign", "told"), [(10, 10), (11, 11), (13, 11)])
def test_ten_foreign_files_are_named_and_the_others_counted(
    folder: UPath, foreign: int, told: int
) -> None:
    for number in range(foreign):
        (folder / f"x{number:02}").write_text("")
    problems = read_contents(folder).problems
    assert len(problems) == told
    assert problems[9] == "x09 doesn't belong here"
    if foreign > 10:
        assert problems[10] == f"{foreign - 10} more files don't belong here"


@pytest.mark.parametrize(
    ("name", "most"), [("PROMOTE.json", 16 * 1024**2), (onnx_file(0), 1024**2)]
)
def test_a_document_may_have_16_mib_and_a_member_one(folder: UPath, name: str, most: int) -> None:
    path = folder / name
    path.write_bytes(b" " * most)
    assert len(read_file(path)) == most
    path.write_bytes(b" " * (most + 1))
    with pytest.raises(UnusableInput, match=f"at most {most:,} bytes"):
        read_file(path)
    assert any(f"at most {most:,} bytes" in problem for problem in read_contents(folder).problems)


def test_what_is_no_folder_is_told_from_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "astray").symlink_to(tmp_path / "nowhere")
    for name, found in [
        ("file", "a file"),
        ("astray", "a link that leads nowhere"),
        ("gone", "no such folder"),
    ]:
        with pytest.raises(UnusableInput, match=f"expected a candidate folder, found {found}"):
            read_contents(UPath(tmp_path / name))


def test_documents_that_can_not_be_read_are_all_named(folder: UPath) -> None:
    (folder / "PROMOTE.json").write_text("[]")
    (folder / "registry.json").write_text("{")
    told = verify_contents(read_contents(folder)).digests
    assert len(told) == 2
    assert told[0] == "PROMOTE.json: expected a JSON object, found something else"
    assert told[1].startswith("registry.json line 1")


def test_contents_without_problems_are_those_of_nothing() -> None:
    assert not Contents("here", {}).whole
    assert Contents("here", {}).problems == ()


# --- whose it is ----------------------------------------------------------------------------


def test_the_corpus_of_a_candidate_is_the_one_its_manifest_names(
    folder: UPath, manifest_of: Manifest
) -> None:
    assert corpus_of(folder) == SHA256
    (folder / MANIFEST_FILE).write_text(manifest_of("cd" * 32))
    assert corpus_of(folder) == "cd" * 32


@pytest.mark.parametrize("change", [{"corpus_sha256": 7}, {}, 7])
def test_a_manifest_that_names_no_corpus_has_none(
    folder: UPath, manifest_of: Manifest, change: Any
) -> None:
    (folder / MANIFEST_FILE).write_text(json.dumps(json.loads(manifest_of("")) | {"eval": change}))
    assert corpus_of(folder) is None


def test_a_damaged_manifest_names_no_corpus_but_the_candidate_counts(folder: UPath) -> None:
    home = Home.at(str(folder.parent.parent))
    assert has_candidate(home, SHA256)
    assert not has_candidate(home, SHA256[:12] + "0" * 52)
    (folder / MANIFEST_FILE).write_text("{")
    assert corpus_of(folder) is None
    assert has_candidate(home, SHA256)
    (folder / MANIFEST_FILE).unlink()
    assert not has_candidate(home, SHA256)


def refused(place: UPath, match: str) -> None:
    with pytest.raises(UnusableInput, match=match):
        require_place(place, SHA256)


def test_nothing_and_ones_own_candidate_may_be_replaced(folder: UPath, tmp_path: Path) -> None:
    require_place(folder, SHA256)
    require_place(UPath(tmp_path / "nothing"), SHA256)
    (tmp_path / "empty").mkdir()
    require_place(UPath(tmp_path / "empty"), SHA256)
    (folder / MANIFEST_FILE).unlink()
    require_place(folder, SHA256)  # a publication that was killed


def test_anothers_candidate_and_foreign_things_may_not(
    folder: UPath, tmp_path: Path, manifest_of: Manifest
) -> None:
    refused(UPath(folder / MANIFEST_FILE), "found a file")
    (tmp_path / "link").symlink_to(Path(str(folder)))
    refused(UPath(tmp_path / "link"), "found a link")
    (folder / "notes.txt").write_text("mine")
    refused(folder, "found 'notes.txt' in it, which isn't ours")
    (folder / "notes.txt").unlink()
    (folder / MANIFEST_FILE).write_text("{}")
    refused(folder, "found another folder")
    (folder / MANIFEST_FILE).write_text(manifest_of("cd" * 32))
    refused(folder, f"found the candidate of corpus {'cd' * 32}")
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    refused(UPath(other), "found another folder")


def test_a_folder_where_a_file_should_be_is_not_ours(folder: UPath) -> None:
    (folder / "calibration.json").unlink()
    (folder / "calibration.json").mkdir()
    refused(folder, "found 'calibration.json' in it")


# --- how two documents differ ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "given", "difference"),
    [
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2}]}, ""),
        ({"a": [1, {"b": 3}]}, {"a": [1, {"b": 2}]}, "'3' at 'a.1.b', not '2'"),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, ""),
        ({"a": 1}, {"a": 1.0}, "'1' at 'a', not '1.0'"),
        ({"a": True}, {"a": 1}, "'True' at 'a', not '1'"),
        ({"a": 1, "more": 2}, {"a": 1}, "'2' at 'more', not 'None'"),
        ({}, {"a": 1}, "'None' at 'a', not '1'"),
        ([1, 2], [1, 2, 3], "'[1, 2]' at '', not '[1, 2, 3]'"),
        ([1, 2, 4], [1, 2, 3], "'4' at '2', not '3'"),
        ([1, 2, 3], [1, 2], "'[1, 2, 3]' at '', not '[1, 2]'"),
        ({"a": 1}, [1], "\"{'a': 1}\" at '', not '[1]'"),
        ([1], {"a": 1}, "'[1]' at '', not \"{'a': 1}\""),
        ("x" * 90, "y" * 90, f"'{'x' * 80}' at '', not '{'y' * 80}'"),
    ],
)
def test_the_first_difference_is_told_with_its_place(
    told: Any, given: Any, difference: str
) -> None:
    assert first_difference(told, given) == difference
