"""Bytes to rows: JSON Lines or CSV, plain or gzipped, each row with the line it came from."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from upath import UPath

from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import unique_pairs
from fr_ensemble_assets.predictors.cell_schema import (
    ALIASES,
    CELL_COLUMNS,
    CELL_OPTIONAL,
    CELL_REQUIRED,
    CELL_TEXT,
    EXIT_STATUS,
    FRAME_INDEX,
    cell_expected,
)

CELL_SUFFIXES = (".jsonl", ".jsonl.gz", ".csv", ".csv.gz")

_GZIP_MAGIC = b"\x1f\x8b"
_BOM = "\ufeff"
_NUMBERS = tuple(column for column in CELL_COLUMNS if column not in CELL_TEXT)
_KNOWN = frozenset({*CELL_COLUMNS, EXIT_STATUS})
#: Cells are encodes, of which a corpus has thousands.
_MAX_BYTES = 256 << 20


@dataclass(frozen=True)
class CellRow:
    """A row whose values have their types; whether they make sense is asked later.

    Attributes
    ----------
    where
        File and line, as a person finds it.
    values
        By column of the contract; ``None`` where an optional one is not recorded.
    failed
        Whether the row says that its encode failed; its values are then not read.
    """

    where: str
    values: Mapping[str, str | float | None]
    failed: bool


def read_rows(path: UPath) -> tuple[list[CellRow], frozenset[str]]:
    """All rows of a file, and the keys outside the contract that they carry.

    Raises
    ------
    UnusableInput
        For anything that is not JSON Lines or CSV with the columns of a cell.
    """
    text = _text(path)
    lines = _json_lines(path, text) if text.lstrip().startswith("{") else _csv_rows(path, text)
    rows: list[CellRow] = []
    extra: set[str] = set()
    for where, raw in lines:
        named = _renamed(where, raw)
        extra |= named.keys() - _KNOWN
        rows.append(_typed_row(where, named))
    return rows, frozenset(extra)


def _text(path: UPath) -> str:
    data = store.read(path, "a file of cells (JSON Lines or CSV, plain or gzipped)")
    try:
        if data.startswith(_GZIP_MAGIC):
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as handle:
                data = handle.read(_MAX_BYTES + 1)
        text = data.decode("utf-8").removeprefix(_BOM)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UnusableInput(
            f"{path}: expected a whole gzip file, found '{error}'; the file is truncated or "
            "damaged, write it again."
        ) from error
    except UnicodeDecodeError as error:
        raise UnusableInput(
            f"{path}: expected UTF-8 text, found byte 0x{data[error.start]:02x} at offset "
            f"{error.start}; save the file as UTF-8."
        ) from error
    if len(data) > _MAX_BYTES:
        raise UnusableInput(
            f"{path}: expected cells, found more than {_MAX_BYTES >> 20} MiB; a cell is one "
            "encode, not a frame."
        )
    if not text.strip():
        raise UnusableInput(f"{path}: expected cells, found an empty file; write it again.")
    return text


def _json_lines(path: UPath, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path} line {number}"
        try:
            row = json.loads(line, object_pairs_hook=unique_pairs)
        except (ValueError, RecursionError) as error:
            raise UnusableInput(
                f"{where}: expected one JSON object, found "
                f"'{getattr(error, 'msg', None) or error}'; mend or drop the line."
            ) from error
        if not isinstance(row, dict):
            raise UnusableInput(
                f"{where}: expected one JSON object, found {_described(row)}; "
                "mend or drop the line."
            )
        yield where, row


def _csv_rows(path: UPath, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = next(reader)
        if len(set(header)) < len(header):
            raise UnusableInput(f"{path} line 1: expected each column once, found one repeated.")
        for fields in reader:
            where = f"{path} line {reader.line_num}"
            if not fields:
                continue
            if len(fields) != len(header):
                raise UnusableInput(
                    f"{where}: expected {len(header)} fields as the header has, found "
                    f"{len(fields)}; mend or drop the line."
                )
            yield where, {n: f for n, f in zip(header, fields, strict=True) if f != ""}
    except csv.Error as error:
        raise UnusableInput(f"{path}: expected CSV, found '{error}'.") from error


def _renamed(where: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """The row under the contract's names; ``codec`` is ``encoder`` and so on."""
    if FRAME_INDEX in row:
        raise UnusableInput(
            f"{where}: expected a cell, the mean over an encode's frames, found a row of one frame "
            f"('{FRAME_INDEX}'); give the corpus of frames to run, or pool it first."
        )
    if ALIASES.keys().isdisjoint(row):
        return dict(row)
    named: dict[str, Any] = {}
    for key, value in row.items():
        name = ALIASES.get(key, key)
        if name in named and named[name] != value:
            raise UnusableInput(
                f"{where}: expected '{name}' once, found it again as '{key}' with another value."
            )
        named[name] = value
    return named


def _typed_row(where: str, row: Mapping[str, Any]) -> CellRow:
    status = row.get(EXIT_STATUS)
    if status is not None:
        number = _number(status)
        if number is None or number != math.floor(number):
            raise UnusableInput(
                f"{where}: expected '{EXIT_STATUS}' to be a whole number, found "
                f"{_described(status)}."
            )
        if number != 0:
            return CellRow(where, {}, failed=True)
    missing = [column for column in CELL_REQUIRED if row.get(column) is None]
    if missing:
        raise UnusableInput(
            f"{where}: expected the columns {', '.join(CELL_REQUIRED)}, found no "
            f"{', '.join(map(repr, missing))}; add what is missing."
        )
    values = _plainly_typed(row)
    if values is None:
        values = {column: _typed(where, column, row.get(column)) for column in CELL_COLUMNS}
    return CellRow(where, values, failed=False)


def _plainly_typed(row: Mapping[str, Any]) -> dict[str, str | float | None] | None:
    """The values of a row that is all text, as CSV's are; ``None`` where one is in doubt."""
    if not all(type(value) is str for value in row.values()):
        return None
    try:
        numbers = {column: float(row[column]) for column in _NUMBERS if column in row}
    except ValueError:
        return None
    if not all(map(math.isfinite, numbers.values())):
        return None
    return {column: numbers.get(column, row.get(column)) for column in CELL_COLUMNS}


def _typed(where: str, column: str, value: Any) -> str | float | None:
    if value is None and column in CELL_OPTIONAL:
        return None
    typed = _some_text(value) if column in CELL_TEXT else _number(value)
    if typed is None:
        raise UnusableInput(
            f"{where}: expected column '{column}' to be {cell_expected(column)}, found "
            f"{_described(value)}."
        )
    return typed


def _some_text(value: Any) -> str | None:
    # A preset may be a number: SVT-AV1's are.
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    try:
        return value if isinstance(value, str) and value.encode() else None
    except UnicodeEncodeError:
        return None


def _number(value: Any) -> float | None:
    """A finite number, from JSON or from text; ``None`` for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _described(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "infinity"
    if isinstance(value, str):
        return f"the text {value[:40]!a}"
    return json.dumps(value)[:40]
