"""Cells: what is read, what is refused, and what a set of cells is called."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.predictors.cells import BUNDLED_CELLS, CellReading, read_cells
from fr_ensemble_assets.predictors.folds import folds_digest, grouped_folds
from fr_ensemble_assets.predictors.pooling import write_cells

Row = dict[str, Any]


@pytest.fixture(scope="module")
def bundled() -> CellReading:
    return read_cells(BUNDLED_CELLS)


@pytest.fixture(scope="module")
def cell_rows(bundled: CellReading) -> list[Row]:
    """All of two sources with one encoder."""
    frame = bundled.cells.of_encoder("libx264")
    few = frame[frame["src"].isin(["bbb", "city"])]
    return [dict(row) for row in few.to_dict("records")]


@pytest.fixture
def read(tmp_path: Path) -> Callable[[list[Row]], CellReading]:
    def write_and_read(rows: list[Row]) -> CellReading:
        path = tmp_path / "cells.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return read_cells(UPath(path))

    return write_and_read


Read = Callable[[list[Row]], CellReading]


def test_bundled_cells_are_whole(bundled: CellReading) -> None:
    cells = bundled.cells
    assert (len(cells.frame), len(cells.sources), len(cells.encoders)) == (1260, 21, 5)
    assert bundled.extra_keys == ()
    assert cells.sha256 in (BUNDLED_CELLS.parent / "PROVENANCE.md").read_text()


def test_same_cells_have_one_name_in_any_order_and_format(
    cell_rows: list[Row], read: Read, tmp_path: Path
) -> None:
    name = read(cell_rows).cells.sha256
    assert read(list(reversed(cell_rows))).cells.sha256 == name
    for file in ("cells.csv", "cells.csv.gz"):
        write_cells(UPath(tmp_path / file), read(cell_rows).cells)
        assert read_cells(UPath(tmp_path / file)).cells.sha256 == name
    zipped = tmp_path / "cells.jsonl.gz"
    zipped.write_bytes(gzip.compress((tmp_path / "cells.jsonl").read_bytes()))
    assert read_cells(UPath(zipped)).cells.sha256 == name
    changed = [{**cell_rows[0], "vmaf": cell_rows[0]["vmaf"] - 1e-9}, *cell_rows[1:]]
    assert read(changed).cells.sha256 != name


def test_names_of_other_corpora_are_understood(cell_rows: list[Row], read: Read) -> None:
    """The fork's gate doesn't know ``codec`` and calls such a corpus empty."""
    names = {"encoder": "codec", "cq": "crf", "vmaf": "vmaf_score", "src": "source"}
    renamed = [{names.get(key, key): value for key, value in row.items()} for row in cell_rows]
    assert read(renamed).cells.sha256 == read(cell_rows).cells.sha256
    with pytest.raises(UnusableInput, match="expected 'encoder' once, found it again as 'codec'"):
        read([{**cell_rows[0], "codec": "libx265"}])


def test_failed_encodes_and_repeats_are_counted(cell_rows: list[Row], read: Read) -> None:
    failed = {"src": "bbb", "encoder": "libx264", "cq": 50, "vmaf": None, "exit_status": 1}
    reading = read([*cell_rows, failed, cell_rows[3]])
    assert (reading.rows_read, reading.failed_dropped, reading.repeats_dropped) == (26, 1, 1)
    assert reading.cells.sha256 == read(cell_rows).cells.sha256
    with pytest.raises(UnusableInput, match="found 1 rows, all of encodes that failed"):
        read([failed])


NAN, INFINITY = float("nan"), float("inf")
REFUSED: dict[str, tuple[Row, str]] = {
    "NaN score": ({"vmaf": NAN}, "line 1: expected column 'vmaf' .* found NaN"),
    "infinite feature": ({"adm2": INFINITY}, "'adm2' to be a finite number, found infinity"),
    "NaN bitrate": ({"probe_bitrate_kbps": NAN}, "'probe_bitrate_kbps' .* found NaN"),
    "bitrate inf as text": ({"probe_bitrate_kbps": "inf"}, "found the text 'inf'"),
    "score below 0": ({"vmaf": -500}, "a number from 0 to 100, found -500.0"),
    "score above 100": ({"vmaf": 99500}, "a number from 0 to 100, found 99500.0"),
    "no bytes": ({"enc_bytes": 0}, "'enc_bytes' to be a whole number of 1 or more, found 0.0"),
    "geometry as text": ({"width": "480x270"}, "'width' .* found the text '480x270'"),
    "status as text": ({"exit_status": "ok"}, "'exit_status' to be a whole number"),
    "frame rate 0": ({"fps": 0}, "'fps' to be a number above 0"),
    "strange encoder": ({"encoder": "libaom-av1"}, "an encoder of the vocabulary .*'libaom-av1'"),
    "several encoders": ({"encoder": "unknown"}, "an encoder of the vocabulary .*'unknown'"),
    "row of a frame": ({"frame_index": 0}, "expected a cell, .* found a row of one frame"),
    "no source": ({"src": ""}, "'src' to be text that is not empty"),
    "true": ({"vmaf": True}, "found true"),
    "number of many digits": ({"vmaf": 10**400}, "'vmaf' to be a number"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_value_that_makes_no_sense_is_refused_by_line(
    cell_rows: list[Row], read: Read, name: str
) -> None:
    change, message = REFUSED[name]
    with pytest.raises(UnusableInput, match=message) as refusal:
        read([{**cell_rows[0], **change}, *cell_rows[1:]])
    assert "cells.jsonl line 1" in str(refusal.value)


def test_missing_column_is_named(cell_rows: list[Row], read: Read) -> None:
    row = {key: value for key, value in cell_rows[0].items() if key != "fps"}
    with pytest.raises(UnusableInput, match="line 1: .* found no 'fps'; add what is missing"):
        read([row])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"src": "a"}\n[]\n', "line 1: expected the columns"),
        ("[]\n", "expected|fields|columns"),
        ('{"src": \n', "line 1: expected one JSON object"),
        ('{"a": 1, "a": 2}\n', "the key 'a' twice"),
        ("", "found an empty file"),
        ("src,encoder\nbbb\n", "line 2: expected 2 fields as the header has, found 1"),
        ("src,src\nbbb,bbb\n", "expected each column once"),
    ],
)
def test_text_that_holds_no_cells_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "cells"
    path.write_text(text)
    with pytest.raises(UnusableInput, match=message):
        read_cells(UPath(path))


def test_line_that_is_a_list_stops_with_its_number(cell_rows: list[Row], tmp_path: Path) -> None:
    path = tmp_path / "cells.jsonl"
    path.write_text(json.dumps(cell_rows[0]) + "\n[1, 2]\n")
    with pytest.raises(UnusableInput, match="line 2: expected one JSON object, found a list"):
        read_cells(UPath(path))


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(BUNDLED_CELLS.read_bytes()[:2000])
    with pytest.raises(UnusableInput, match="whole gzip file"):
        read_cells(UPath(cut))
    latin = tmp_path / "latin.csv"
    latin.write_bytes("src\n\xe9".encode("latin-1"))
    with pytest.raises(UnusableInput, match="UTF-8"):
        read_cells(UPath(latin))
    with pytest.raises(UnusableInput, match="no such file"):
        read_cells(UPath(tmp_path / "nowhere"))


def test_csv_says_nan_as_little_as_json(cell_rows: list[Row], tmp_path: Path) -> None:
    path = tmp_path / "cells.csv"
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, cell_rows[0].keys())
        writer.writeheader()
        writer.writerow({**cell_rows[0], "vmaf": "nan"})
    with pytest.raises(UnusableInput, match="line 2: expected column 'vmaf' .* text 'nan'"):
        read_cells(UPath(path))


def test_encode_with_other_values_is_refused(cell_rows: list[Row], read: Read) -> None:
    with pytest.raises(UnusableInput, match="expected one 'vmaf' of bbb libx264 13"):
        read([*cell_rows, {**cell_rows[0], "vmaf": 50.0}])


def test_clip_under_two_names_is_refused(cell_rows: list[Row], read: Read) -> None:
    copied = [{**row, "src": "copy", "enc_bytes": 7} for row in cell_rows if row["src"] == "bbb"]
    with pytest.raises(UnusableInput, match="features of 'bbb' .* under the name 'copy'"):
        read([*cell_rows, *copied])


def test_two_presets_of_one_codec_are_refused(cell_rows: list[Row], read: Read) -> None:
    slow = [{**row, "preset": "slow" if row["src"] == "bbb" else "fast"} for row in cell_rows]
    with pytest.raises(UnusableInput, match="expected one 'preset' of libx264, found fast"):
        read(slow)
    assert read([{**r, "preset": 8} for r in cell_rows]).cells.preset_of("libx264") == "8"
    with pytest.raises(UnusableInput, match="expected one 'preset' of libx264"):
        read([{**cell_rows[0], "preset": "slow"}, *cell_rows[1:]])


def test_clip_has_one_size(cell_rows: list[Row], read: Read) -> None:
    with pytest.raises(UnusableInput, match="expected one 'frames' of bbb"):
        read([{**cell_rows[0], "frames": 20}, *cell_rows[1:]])


def test_folds_are_fixed_by_the_sources_alone() -> None:
    sources = [f"clip{number}" for number in range(12)]
    folds = grouped_folds(sources)
    assert grouped_folds([*reversed(sources), "clip0"]) == folds
    assert sorted(name for fold in folds for name in fold) == sorted(sources)
    assert [len(fold) for fold in folds] == [3, 3, 2, 2, 2]
    # random.Random(42).shuffle, dealt round robin: the grouping of the contract.
    assert folds[0] == ("clip1", "clip4", "clip5")
    assert folds_digest(folds) != folds_digest(grouped_folds(sources, 7))
