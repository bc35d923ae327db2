"""Reading: every format gives the same corpus, and bad input gets one sentence."""

from __future__ import annotations

import gzip
import json
import os
import struct
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from upath import UPath

from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS, read_corpus
from fr_ensemble_assets.corpus.store import ORIGIN_FILE, load_corpus, save_corpus
from fr_ensemble_assets.corpus.summary import summarise
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import parse_json
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_tests.conftest import Row, write_rows


def test_bundled_corpus_is_real_and_whole() -> None:
    reading = read_corpus(BUNDLED_CORPUS)
    summary = summarise(reading.corpus)
    assert (summary.rows, len(summary.sources), len(summary.encoder_rows)) == (5880, 21, 5)
    assert reading.repeats_dropped == 0
    assert not reading.extra_keys


def test_same_rows_in_any_format_and_order_are_the_same_corpus(
    tmp_path: Path, few_rows: list[Row]
) -> None:
    plain = write_rows(tmp_path / "a.jsonl", few_rows)
    backwards = write_rows(tmp_path / "b.jsonl", few_rows[::-1])
    zipped = UPath(tmp_path / "c.jsonl.gz")
    zipped.write_bytes(gzip.compress(plain.read_bytes()))
    parquet = UPath(tmp_path / "d.parquet")
    pd.DataFrame(few_rows).to_parquet(str(parquet))
    folder = UPath(tmp_path / "shards")
    folder.mkdir()
    write_rows(tmp_path / "shards" / "one.jsonl", few_rows[:50])
    pd.DataFrame(few_rows[50:]).to_parquet(tmp_path / "shards" / "two.parquet")
    shas = {read_corpus(path).corpus.sha256 for path in (plain, backwards, zipped, parquet, folder)}
    assert len(shas) == 1


def test_rows_in_canonical_order_read_alike_in_one_piece_or_several(
    tmp_path: Path, few_rows: list[Row]
) -> None:
    ordered = sorted(few_rows, key=lambda r: (r["src"], r["encoder"], r["cq"], r["frame_index"]))
    whole = read_corpus(write_rows(tmp_path / "whole.jsonl", ordered))
    folder = tmp_path / "shards"
    folder.mkdir()
    write_rows(folder / "1.jsonl", ordered[:40])
    pd.DataFrame(ordered[40:]).to_parquet(folder / "2.parquet", row_group_size=7)
    cut = UPath(tmp_path / "cut.jsonl")
    cut.write_bytes((tmp_path / "whole.jsonl").read_bytes().removesuffix(b"\n"))
    for path in (UPath(folder), cut):
        assert read_corpus(path).corpus.sha256 == whole.corpus.sha256


def test_another_value_is_another_corpus(tmp_path: Path, few_rows: list[Row]) -> None:
    changed = [{**few_rows[0], "vmaf": few_rows[0]["vmaf"] - 1e-9}, *few_rows[1:]]
    first = read_corpus(write_rows(tmp_path / "a.jsonl", few_rows))
    second = read_corpus(write_rows(tmp_path / "b.jsonl", changed))
    assert first.corpus.sha256 != second.corpus.sha256


def test_exact_repeats_are_dropped_and_counted(tmp_path: Path, few_rows: list[Row]) -> None:
    once = read_corpus(write_rows(tmp_path / "a.jsonl", few_rows))
    twice = read_corpus(write_rows(tmp_path / "b.jsonl", few_rows + few_rows[:7]))
    assert twice.corpus.sha256 == once.corpus.sha256
    assert (twice.rows_read, twice.repeats_dropped) == (len(few_rows) + 7, 7)


def test_extra_keys_and_other_files_are_reported_and_left_out(
    tmp_path: Path, few_rows: list[Row]
) -> None:
    plain = read_corpus(write_rows(tmp_path / "a.jsonl", few_rows))
    folder = tmp_path / "shards"
    folder.mkdir()
    write_rows(folder / "a.jsonl", [{**row, "note": ["x"], "bpp": 1} for row in few_rows])
    (folder / "README").write_text("not a shard")
    reading = read_corpus(UPath(folder))
    assert reading.extra_keys == ("bpp", "note")
    assert reading.ignored == ("README",)
    assert reading.corpus.sha256 == plain.corpus.sha256


def test_names_that_no_document_can_hold_are_spelt_out(tmp_path: Path, few_rows: list[Row]) -> None:
    folder = tmp_path / os.fsdecode(b"odd \xff")
    folder.mkdir()
    write_rows(folder / os.fsdecode(b"a\xff.jsonl"), [{**row, "\ud800": 1} for row in few_rows])
    (folder / os.fsdecode(b"\xff.txt")).touch()
    home = Home.at(tmp_path / "home")
    reading = read_corpus(UPath(folder))
    save_corpus(home, reading, str(folder))
    kept = parse_json((home.corpus_dir(reading.corpus.sha256) / ORIGIN_FILE).read_bytes(), "it")
    assert kept["files"] == ["a\\udcff.jsonl"]
    assert kept["extra_keys"] == ["\\ud800"]
    assert kept["ignored"] == ["\\udcff.txt"]


def test_preset_is_part_of_the_key_where_it_is_recorded(
    tmp_path: Path, few_rows: list[Row]
) -> None:
    slow = [{**row, "preset": "slow", "vmaf": 50.0} for row in few_rows]
    fast = [{**row, "preset": "fast"} for row in few_rows]
    reading = read_corpus(write_rows(tmp_path / "a.jsonl", slow + fast))
    assert reading.corpus.n_rows == 2 * len(few_rows)


def test_stored_corpus_proves_its_content(tmp_path: Path, few_rows: list[Row]) -> None:
    home = Home.at(tmp_path / "home")
    home.prepare()
    reading = read_corpus(write_rows(tmp_path / "a.jsonl", few_rows))
    save_corpus(home, reading, "a test")
    sha256 = reading.corpus.sha256
    pd.testing.assert_frame_equal(load_corpus(home, sha256).frame, reading.corpus.frame)

    stored = home.corpus_dir(sha256) / "corpus.parquet"
    pd.read_parquet(str(stored)).assign(vmaf=50.0).to_parquet(str(stored))
    with pytest.raises(UnusableInput, match="expected content with the sha256"):
        load_corpus(home, sha256)
    pd.DataFrame({"a": [1]}).to_parquet(str(stored))
    with pytest.raises(UnusableInput, match="expected the columns of a corpus, found a"):
        load_corpus(home, sha256)
    save_corpus(home, reading, "a test")
    assert load_corpus(home, sha256).n_rows == reading.corpus.n_rows


def spoiled(rows: list[Row], number: int, **changes: object) -> bytes:
    """JSON Lines whose line ``number`` (from 1) has other values; ``...`` drops a key."""
    changed = [dict(row) for row in rows]
    for key, value in changes.items():
        if value is ...:
            del changed[number - 1][key]
        else:
            changed[number - 1][key] = value
    return "".join(json.dumps(row) + "\n" for row in changed).encode()


BAD_ROWS = {
    "vmaf over 100": ({"vmaf": 100.5}, "line 7: expected column 'vmaf' to be a number from 0"),
    "vmaf under 0": ({"vmaf": -0.5}, "line 7: expected column 'vmaf'"),
    "NaN": ({"vmaf": float("nan")}, "line 7: expected column 'vmaf' .* found NaN"),
    "infinity": ({"adm2": float("inf")}, "line 7: expected column 'adm2' .* found infinity"),
    "text for a number": ({"vmaf": "95"}, "line 7: expected column 'vmaf' .* the text '95'"),
    "number for text": ({"src": 7}, "line 7: expected column 'src' to be text .* found 7"),
    "true for a number": ({"motion2": True}, "line 7: expected column 'motion2' .* found true"),
    "null": ({"cq": None}, "line 7: expected column 'cq' .* found nothing"),
    "missing key": ({"cq": ...}, "line 7: expected column 'cq' .* found nothing"),
    "negative frame": ({"frame_index": -1}, "line 7: expected column 'frame_index' .* found -1"),
    "half a frame": ({"frame_index": 1.5}, "line 7: expected column 'frame_index' .* found 1.5"),
    "empty source": ({"src": ""}, "line 7: expected column 'src' to be text that is not empty"),
    "half a surrogate": ({"src": "\ud800"}, "line 7: expected column 'src'"),
    "a list": ({"vmaf": [1]}, "line 7: expected column 'vmaf' .* found a list"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_bad_row_is_named_by_its_line(tmp_path: Path, few_rows: list[Row], name: str) -> None:
    changes, message = BAD_ROWS[name]
    path = UPath(tmp_path / "bad.jsonl")
    path.write_bytes(spoiled(few_rows, 7, **changes))
    with pytest.raises(UnusableInput, match=message) as refusal:
        read_corpus(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_blank_lines_do_not_shift_the_line_that_is_named(
    tmp_path: Path, few_rows: list[Row]
) -> None:
    path = UPath(tmp_path / "bad.jsonl.gz")
    path.write_bytes(gzip.compress(b"\n\n" + spoiled(few_rows, 7, vmaf=101)))
    with pytest.raises(UnusableInput, match="line 9: expected column 'vmaf'"):
        read_corpus(path)


BAD_FILES = {
    "empty": (b"", "found an empty file"),
    "blank": (b"\n\n", "expected at least 100 distinct rows, found 0"),
    "not JSON": (b"src,encoder\nbbb,libx264\n", "line 1: expected one JSON object"),
    "a JSON list": (b"[1, 2]\n", "line 1: expected one JSON object, found a list"),
    "null": (b"null\n", "line 1: expected one JSON object, found null"),
    "deep nesting": (b'{"x":' + b"[" * 200_000 + b"\n", "line 1: expected one JSON object"),
    "not UTF-8": (b'{"src": "\xff"}\n', "line 1: expected UTF-8 text, found the byte 0xff"),
    "UTF-16": ('{"src": "a"}\n'.encode("utf-16"), "expected UTF-8 text"),
    "truncated gzip": (gzip.compress(b'{"src": 1}\n' * 999)[:-9], "truncated or damaged"),
    "truncated Parquet": (b"PAR1 and then nothing", "expected a whole Parquet file"),
    "no column": (b'{"src": "a"}\n', "found no 'encoder', 'cq'"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_file_gets_one_sentence(tmp_path: Path, name: str) -> None:
    content, message = BAD_FILES[name]
    path = UPath(tmp_path / "bad.jsonl")
    path.write_bytes(content)
    with pytest.raises(UnusableInput, match=message) as refusal:
        read_corpus(path)
    assert "\n" not in str(refusal.value)


def test_two_objects_on_one_line_are_not_two_rows(tmp_path: Path, few_rows: list[Row]) -> None:
    text = write_rows(tmp_path / "a.jsonl", few_rows).read_text()
    path = UPath(tmp_path / "b.jsonl")
    path.write_text(text.replace("}\n", "}", 1))
    with pytest.raises(UnusableInput, match="line 1: expected one JSON object, found more after"):
        read_corpus(path)


def test_same_key_with_other_values_names_both_places(tmp_path: Path, few_rows: list[Row]) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    write_rows(folder / "a.jsonl", few_rows)
    write_rows(folder / "b.jsonl", [{**few_rows[3], "vmaf": 1.0}])
    with pytest.raises(UnusableInput, match=r"b.jsonl line 1: .*a.jsonl line 4 \(src bbb"):
        read_corpus(UPath(folder))


def test_too_few_rows_or_sources_are_refused(tmp_path: Path, few_rows: list[Row]) -> None:
    with pytest.raises(UnusableInput, match="at least 100 distinct rows, found 99"):
        read_corpus(write_rows(tmp_path / "a.jsonl", few_rows[:99]))
    one = [{**row, "src": "a", "frame_index": n} for n, row in enumerate(few_rows)]
    with pytest.raises(UnusableInput, match="at least 2 sources"):
        read_corpus(write_rows(tmp_path / "b.jsonl", one))


def test_parquet_with_a_wrong_type_names_the_column(tmp_path: Path, few_rows: list[Row]) -> None:
    path = tmp_path / "a.parquet"
    pd.DataFrame(few_rows).assign(vmaf="95").to_parquet(path)
    with pytest.raises(UnusableInput, match="column 'vmaf' .* found the type .*string"):
        read_corpus(UPath(path))


def test_parquet_with_a_bad_value_names_the_row(tmp_path: Path, few_rows: list[Row]) -> None:
    path = tmp_path / "a.parquet"
    frame = pd.DataFrame(few_rows)
    frame.loc[4, "vif_scale2"] = float("inf")
    frame.to_parquet(path)
    with pytest.raises(UnusableInput, match="row 5: expected column 'vif_scale2'"):
        read_corpus(UPath(path))


def test_parquet_that_was_damaged_is_refused_where_its_writer_left_checksums(
    tmp_path: Path, few_rows: list[Row]
) -> None:
    path = tmp_path / "damaged.parquet"
    written = {"compression": "none", "use_dictionary": False, "write_page_checksum": True}
    pyarrow.parquet.write_table(pa.Table.from_pylist(few_rows), path, **written)
    data = path.read_bytes()
    value = struct.pack("<d", few_rows[0]["adm2"])
    path.write_bytes(data.replace(value, struct.pack("<d", 0.5), 1))
    with pytest.raises(UnusableInput, match="checksum") as refused:
        read_corpus(UPath(path))
    assert str(refused.value).endswith("write it again.")


def test_missing_path_and_folder_without_shards(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match="found no such file"):
        read_corpus(UPath(tmp_path / "nowhere.jsonl"))
    with pytest.raises(UnusableInput, match="expected shards named"):
        read_corpus(UPath(tmp_path))
    with pytest.raises(UnusableInput, match="File name too long"):
        read_corpus(UPath(tmp_path / ("x" * 300)))
    with pytest.raises(UnusableInput, match="found a pipe or a device"):
        read_corpus(UPath("/dev/null"))
