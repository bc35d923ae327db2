"""What one file may hold: a small file fills no memory and takes no hours."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.json
import pyarrow.parquet
import pytest
from upath import UPath

from fr_ensemble_assets.corpus.parsing import read_shard
from fr_ensemble_assets.corpus.reader import read_corpus
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.schema import REQUIRED
from fr_ensemble_assets.prediction.frames import read_frames
from fr_ensemble_tests.conftest import Row, write_rows


def test_limits_are_settings(
    tmp_path: Path, few_rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_rows(tmp_path / "corpus.jsonl", few_rows)
    monkeypatch.setenv("FR_ENSEMBLE_MAX_ROWS", str(len(few_rows)))
    assert read_corpus(path).rows_read == len(few_rows)
    monkeypatch.setenv("FR_ENSEMBLE_MAX_ROWS", str(len(few_rows) - 1))
    with pytest.raises(UnusableInput, match=f"at most {len(few_rows) - 1} rows, found over"):
        read_corpus(path)
    monkeypatch.setenv("FR_ENSEMBLE_MAX_ROWS", "many")
    with pytest.raises(UnusableInput, match="FR_ENSEMBLE_MAX_ROWS: expected a whole number from 1"):
        read_corpus(path)


def test_unpacked_size_is_limited_in_gzip_and_parquet(
    tmp_path: Path, few_rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    packed, parquet = tmp_path / "corpus.jsonl.gz", tmp_path / "corpus.parquet"
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in few_rows)
    packed.write_bytes(gzip.compress(lines * (1 + 3_000_000 // len(lines))))
    long = [{**row, "src": row["src"] * 5000} for row in few_rows]  # is kept once a source
    pyarrow.parquet.write_table(pa.Table.from_pylist(long), parquet)
    assert parquet.stat().st_size < 100_000
    for path in (packed, parquet):
        assert read_shard(UPath(path)).table.num_rows > 0
    monkeypatch.setenv("FR_ENSEMBLE_MAX_UNPACKED_MB", "1")
    for path in (packed, parquet):
        with pytest.raises(UnusableInput, match="at most 1 MB unpacked, found over 1"):
            read_shard(UPath(path))


def test_parquet_of_too_many_equal_rows_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "equal.parquet"
    schema = pa.schema([("vmaf", pa.int8())])
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        piece = pa.table({"vmaf": pa.array(bytes(1 << 20), pa.int8())})
        for _ in range(20):
            writer.write_table(piece)
    assert path.stat().st_size < 100_000
    with pytest.raises(UnusableInput, match="at most 20000000 rows, found over 20000000"):
        read_shard(UPath(path))


@pytest.mark.parametrize("packed", [False, True])
def test_blank_lines_are_bounded(tmp_path: Path, few_rows: list[Row], packed: bool) -> None:
    path = tmp_path / "blank.jsonl"
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in few_rows)
    data = lines + b"\n" * (1 << 20)
    path.write_bytes(gzip.compress(data) if packed else data)
    with pytest.raises(UnusableInput, match="at most 1000000 blank lines, found over 1000000"):
        read_frames(UPath(path))
    path.write_bytes(lines.replace(b"\n", b"\n\n"))
    assert read_frames(UPath(path)).n_rows == len(few_rows)


def test_many_keys_do_not_become_columns(
    tmp_path: Path, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arrow would make a column of each: rows times rows."""
    tables: list[pa.Table] = []

    def watched(*arguments: object, **options: object) -> pa.Table:
        tables.append(read_json(*arguments, **options))
        return tables[-1]

    read_json = pyarrow.json.read_json
    monkeypatch.setattr(pyarrow.json, "read_json", watched)
    for spelled in ('"extra_{}"', '"extra_{}" ', r'"extra_{}\""'):
        path = tmp_path / "keys.jsonl"
        path.write_text("".join(_with_key(rows, spelled)))
        assert len(read_shard(UPath(path)).extra_keys) == len(rows)
    assert max((table.num_columns for table in tables), default=0) <= len(REQUIRED) + 200


def _with_key(rows: list[Row], spelled: str) -> Iterator[str]:
    for number, row in enumerate(rows):
        yield json.dumps(row)[:-1] + f", {spelled.format(number)}: 1}}\n"
