"""Where a person wants a file: refused before any work; no folder is made for a typing error."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from typer.testing import CliRunner
from upath import UPath

from fr_ensemble_assets.cli.main import app
from fr_ensemble_assets.foundation.destination import require_writable
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.foundation.trouble import StorageTrouble

_WRITING = [
    (("report", "--out"), "page.html"),
    (("card", "--html"), "page.html"),
    (("propose", "--tree", "their-tree", "--out"), "flip.patch"),
    (("predict", "--frames", "frames.jsonl", "--out"), "out.jsonl"),
    (("generate", "--clips", "clips", "--out"), "out.jsonl"),
    (("generate", "--clips", "clips", "--cells"), "cells.csv"),
    (("recommend", "--clip", "clip.mkv", "--target", "92", "--out"), "table.csv"),
    (("recommend", "--clip", "clip.mkv", "--target", "92", "--keep"), "best.mp4"),
]


@pytest.mark.parametrize(
    ("command", "name"), [*_WRITING, (("export", "--out"), "kit")], ids=lambda v: str(v[0])
)
def test_folder_that_is_not_there_is_named_and_not_made(
    command: tuple[str, ...], name: str, promoted: Home, tmp_path: Path
) -> None:
    out = tmp_path / "typo" / "deeper" / name
    told = CliRunner().invoke(app, [*command, str(out), "--home", str(promoted.root)])
    assert told.exit_code == 2
    assert f"{command[-1]} {out}: expected a place in a folder that is there" in told.stderr
    assert f"found that there is no folder {tmp_path / 'typo'};" in told.stderr
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize(("command", "name"), _WRITING, ids=lambda v: str(v[0]))
def test_folder_in_the_place_of_the_file_is_refused(
    command: tuple[str, ...], name: str, promoted: Home, tmp_path: Path
) -> None:
    out = tmp_path / name
    out.mkdir()
    told = CliRunner().invoke(app, [*command, str(out), "--home", str(promoted.root)])
    assert told.exit_code == 2
    assert f"{command[-1]} {out}: expected a file to write, found a folder" in told.stderr


def test_failing_disk_is_told_of_the_file_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(path: Path) -> None:
        raise OSError(errno.EIO, "Input/output error", str(path))

    monkeypatch.setattr(Path, "touch", fails)
    with pytest.raises(StorageTrouble) as raised:
        require_writable(UPath(tmp_path / "best.mp4"), "--keep")
    assert str(raised.value).startswith(f"{tmp_path}/best.mp4: expected a disk that works")
