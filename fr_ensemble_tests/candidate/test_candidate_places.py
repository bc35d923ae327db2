"""Where a candidate goes: nothing that isn't an older one of the same corpus is ever replaced."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from upath import UPath

from fr_ensemble_assets.candidate.places import corpus_of, has_candidate
from fr_ensemble_assets.candidate.verify import verify_candidate
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import GateRefusal, UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.members.names import MANIFEST_FILE, onnx_file
from fr_ensemble_assets.operations.clean import list_stores
from fr_ensemble_assets.operations.status import status_of
from fr_ensemble_tests.conftest import publish, snapshot


@pytest.fixture
def place(promoted: Home) -> Path:
    (folder,) = promoted.candidates.iterdir()
    return Path(str(folder))


def of_another_corpus(place: Path) -> None:
    """As a corpus whose digest begins with the same twelve digits would leave it."""
    manifest = json.loads((place / MANIFEST_FILE).read_text())
    manifest["eval"]["corpus_sha256"] = place.name + "f" * 52
    (place / MANIFEST_FILE).write_text(json.dumps(manifest))


def a_file(place: Path) -> None:
    shutil.rmtree(place)
    place.write_text("mine")


def a_link(place: Path) -> None:
    elsewhere = place.rename(place.parent.parent / "elsewhere")
    place.symlink_to(elsewhere)


def a_dangling_link(place: Path) -> None:
    shutil.rmtree(place)
    place.symlink_to(place.parent / "nowhere")


def a_stray_folder(place: Path) -> None:
    shutil.rmtree(place)
    (place / "photos").mkdir(parents=True)
    (place / "photos" / "one.jpg").write_text("mine")


def a_folder_inside(place: Path) -> None:
    (place / "notes").mkdir()
    (place / "notes" / "todo.txt").write_text("mine")


TAKEN: dict[Callable[[Path], None], str] = {
    of_another_corpus: "found the candidate of corpus {name}ffff",
    a_file: "found a file",
    a_link: "found a link",
    a_dangling_link: "found a link",
    a_stray_folder: "found another folder",
    a_folder_inside: "found 'notes' in it, which isn't ours",
}


@pytest.mark.parametrize("occupy", TAKEN, ids=lambda occupy: occupy.__name__)
def test_what_lies_where_a_candidate_goes_is_left_alone(
    promoted: Home, place: Path, occupy: Callable[[Path], None]
) -> None:
    occupy(place)
    before = snapshot(place.parent)
    with pytest.raises(UnusableInput) as refused:
        publish(promoted)
    assert TAKEN[occupy].format(name=place.name) in str(refused.value)
    assert str(refused.value).endswith("move it away and run again.")
    assert snapshot(place.parent) == before


def test_older_candidate_of_the_same_corpus_is_replaced(promoted: Home, place: Path) -> None:
    (place / "registry.json").write_text("{}")
    (place / onnx_file(3)).unlink()
    publish(promoted)
    assert verify_candidate(UPath(place)).problems == ()
    assert [entry.name for entry in place.parent.iterdir()] == [place.name]


def test_candidate_is_found_by_the_whole_digest(promoted: Home, place: Path) -> None:
    sha256 = corpus_of(UPath(place))
    assert sha256 is not None
    other = place.name + "f" * 52
    assert has_candidate(promoted, sha256)
    assert not has_candidate(promoted, other)
    shutil.copytree(promoted.corpus_dir(sha256), promoted.corpus_dir(other))
    stores = [store for store in list_stores(promoted) if store.kind == "corpus"]
    kept = {store.folder.name: store.kept_for for store in stores}
    assert kept == {sha256: "its candidate", other: ""}
    assert [candidate.current for candidate in status_of(promoted).candidates] == [True]
    of_another_corpus(place)
    assert [candidate.current for candidate in status_of(promoted).candidates] == [False]
    (place / MANIFEST_FILE).write_text("{")  # damaged: its store stays all the same
    assert has_candidate(promoted, sha256)


def spoil(folder: UPath) -> None:
    (folder / onnx_file(0)).write_bytes(b"swapped")


def add(folder: UPath) -> None:
    (folder / "more.json").write_bytes(b"{}")


@pytest.mark.parametrize("swap", [spoil, add])
def test_files_swapped_between_verification_and_publication_are_not_published(
    promoted: Home,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    swap: Callable[[UPath], None],
) -> None:
    plain = store.put

    def watched(path: UPath, data: bytes) -> None:
        if path.name == MANIFEST_FILE and path.parent == UPath(place):
            swap(path.parent)  # the last moment before it is published
        plain(path, data)

    (place / "registry.json").write_text("{}")
    monkeypatch.setattr(store, "put", watched)
    with pytest.raises(GateRefusal, match="somebody writes there"):
        publish(promoted)
    assert not place.exists()


def test_publication_that_was_killed_is_no_candidate_and_is_taken_up(
    promoted: Home, place: Path
) -> None:
    whole = snapshot(place)
    (place / MANIFEST_FILE).unlink()
    (place / onnx_file(2)).unlink()
    sha256 = json.loads((place / "PROMOTE.json").read_text())["corpus"]["sha256"]
    assert not has_candidate(promoted, sha256)
    (unfinished,) = status_of(promoted).candidates
    assert f"{MANIFEST_FILE} is missing" in unfinished.problems
    publish(promoted)
    assert snapshot(place) == whole
