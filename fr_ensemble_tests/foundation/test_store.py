"""Files are whole or absent, on a disk and in a store of objects alike."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from upath import UPath

from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput

FILES = {"a": b"1", "b": b"2", "manifest": b"a b"}


@pytest.fixture(params=["disk", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> UPath:
    if request.param == "disk":
        return UPath(tmp_path) / "published"
    return UPath(f"memory://{uuid.uuid4().hex}/published")


def test_what_is_put_is_read_and_listed(folder: UPath) -> None:
    assert store.names(folder) == []
    store.put(folder / "deep" / "file", b"bytes")
    assert store.read(folder / "deep" / "file", "a file") == b"bytes"
    assert store.names(folder) == ["deep"]
    store.delete(folder)
    store.delete(folder)
    assert store.names(folder) == []
    with pytest.raises(UnusableInput, match="expected a file, found no such file"):
        store.read(folder / "deep" / "file", "a file")


@pytest.mark.parametrize("kind", ["pipe", "endless device", "folder"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(UnusableInput, match="found a folder, a pipe or a device"):
        store.read(UPath(path), "a file")


def test_a_publication_is_replaced_whole_and_stray_files_go(folder: UPath) -> None:
    store.put(folder / "stray", b"?")
    store.publish(folder, FILES, "manifest")
    assert store.names(folder) == sorted(FILES)
    store.publish(folder, {"a": b"3", "manifest": b"a"}, "manifest")
    assert store.names(folder) == ["a", "manifest"]
    assert store.read(folder / "a", "a") == b"3"


class Killed(BaseException):
    """What stands for kill -9."""


def put_and_die_after(files: int) -> Callable[[UPath, bytes], None]:
    """``store.put`` of a process that is killed when it has put so many."""
    plain, done = store.put, []

    def put(path: UPath, data: bytes) -> None:
        if len(done) == files:
            raise Killed
        done.append(path)
        plain(path, data)

    return put


@pytest.mark.parametrize("files", [0, 1, 2])
def test_a_writer_that_is_killed_leaves_no_publication_and_the_next_one_a_whole(
    folder: UPath, monkeypatch: pytest.MonkeyPatch, files: int
) -> None:
    store.publish(folder, FILES, "manifest")
    changed = {"a": b"4", "b": b"5", "manifest": b"other"}
    with monkeypatch.context() as patched:
        patched.setattr(store, "put", put_and_die_after(files))
        with pytest.raises(Killed):
            store.publish(folder, changed, "manifest")
    assert not store.is_published(folder, "manifest")
    store.publish(folder, changed, "manifest")
    assert {name: store.read(folder / name, name) for name in store.names(folder)} == changed


def test_an_unchanged_publication_is_left_as_it_is(
    folder: UPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.publish(folder, FILES, "manifest")
    monkeypatch.setattr(store, "put", lambda *_: pytest.fail("nothing was to be written"))
    store.publish(folder, FILES, "manifest")


def test_deleting_a_link_spares_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    store.delete(UPath(tmp_path / "link"))
    assert (tmp_path / "kept" / "file").exists()
    assert not (tmp_path / "link").exists()


def test_a_device_or_a_pipe_is_never_replaced_by_a_file(tmp_path: Path) -> None:
    place = tmp_path / "pipe"
    os.mkfifo(place)
    with pytest.raises(UnusableInput, match="found a pipe or a device; name a file"):
        store.put(UPath(place), b"patch")
    assert place.is_fifo()


def test_what_lies_at_a_path_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe")
    told = {name: store.found_at(tmp_path / name) for name in ("file", "", "gone", "pipe", "a/b")}
    assert told == {
        "file": "a file",
        "": "a folder",
        "gone": "no such file",
        "pipe": "a pipe or a device",
        "a/b": f"no such file: there is no folder {tmp_path / 'a'}",
    }
    assert store.found_at(tmp_path / ("x" * 300)) == "it unreadable (File name too long)"
