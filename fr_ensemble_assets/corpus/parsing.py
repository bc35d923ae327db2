"""Bytes to typed columns: one shard of JSON Lines (plain or gzipped) or Parquet.

What comes out has the contract's columns with the contract's types; whether the values make
sense is :mod:`~fr_ensemble_assets.corpus.reader`'s question. JSON Lines are parsed block by block
with Arrow, as fast as the disk; a block that Arrow can't be trusted with is parsed line by line,
which is slow and names the line. Arrow 26 crashes the process on a line that is ``null`` and on
deep nesting, takes two objects on one line for two rows, and makes a column of every key, so only
blocks with few keys in which every line opens exactly one brace, at its start, go that way.
"""

from __future__ import annotations

import gzip
import io
import json
import math
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
import pyarrow.parquet
from upath import UPath

from fr_ensemble_assets.corpus.limits import Limits
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import not_json, unique_pairs
from fr_ensemble_assets.foundation.schema import COLUMNS, OPTIONAL, REQUIRED, TEXT, expected
from fr_ensemble_assets.foundation.wording import listed, shown

SUFFIXES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz", ".parquet")

GZIP_MAGIC = b"\x1f\x8b"
PARQUET_MAGIC = b"PAR1"
_BOM = b"\xef\xbb\xbf"
_BLOCK_BYTES = 16 << 20
#: A line longer than this is no canonical-6 row (those have some 250 bytes).
_MAX_LINE_BYTES = 64 << 20
#: Distinct keys in a block that Arrow is given.
_MAX_KEYS = 200
_KEY = re.compile(rb'"([^"]*)"\s*:')

# Every number passes through float64, so that 19 and 19.0 are the same quality in any format.
SHARD_SCHEMA = pa.schema(
    [(column, pa.large_string() if column in TEXT else pa.float64()) for column in COLUMNS]
)


#: The bytes of files that were read already, by path.
Held = Mapping[UPath, bytes]
NOTHING_HELD: Held = {}


def opened(path: UPath, held: Held = NOTHING_HELD) -> IO[bytes]:
    """``path`` for reading: from memory where it is held there, else where it lies."""
    return io.BytesIO(held[path]) if path in held else path.open("rb")


@dataclass(frozen=True)
class Shard:
    """The rows of one file.

    Attributes
    ----------
    path
        Where they were read from.
    table
        Columns of ``SHARD_SCHEMA``; null where a row lacks the value.
    extra_keys
        Keys outside the contract, left out of ``table``.
    held
        Its bytes, where they were read before.
    """

    path: UPath
    table: pa.Table
    extra_keys: frozenset[str]
    held: Held = field(default_factory=dict)

    def where(self, row: int) -> str:
        """Name row ``row`` (from 0) as a person finds it in the file."""
        if _is_parquet(self.path, self.held):
            return f"{self.path} row {row + 1}"
        with _open_text(self.path, self.held) as handle:
            numbers = (n for n, line in enumerate(handle, start=1) if line.strip())
            return f"{self.path} line {next(n for i, n in enumerate(numbers) if i == row)}"


def read_shard(path: UPath, required: Sequence[str] = REQUIRED, held: Held = NOTHING_HELD) -> Shard:
    """Read one file, whatever its name: gzip and Parquet are known by their first bytes.

    ``required`` are the columns that it must have; the others of the contract are taken where they
    are there.

    Raises
    ------
    UnusableInput
        For anything that is not JSON Lines or Parquet with the contract's columns and types, or is
        larger than the limits in force.
    """
    limits = Limits.from_environment()
    try:
        if (len(held[path]) if path in held else path.stat().st_size) == 0:
            raise UnusableInput(
                f"{path}: expected canonical-6 rows, found an empty file; write the corpus again."
            )
        read = _read_parquet if _is_parquet(path, held) else _read_json_lines
        return read(path, required, limits, held)
    except OSError as error:
        raise UnusableInput(
            f"{path}: expected a readable file, found '{error.strerror or error}'."
        ) from error


def _is_parquet(path: UPath, held: Held) -> bool:
    with opened(path, held) as handle:
        return bytes(handle.read(4)) == PARQUET_MAGIC


# --- Parquet ---------------------------------------------------------------------------------


def _read_parquet(path: UPath, required: Sequence[str], limits: Limits, held: Held) -> Shard:
    try:
        with opened(path, held) as handle:
            file = pyarrow.parquet.ParquetFile(handle)
            limits.require_rows(path, file.metadata.num_rows)
            groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
            limits.require_unpacked(path, sum(group.total_byte_size for group in groups))
            names = file.schema_arrow.names
            doubled = sorted({name for name in names if names.count(name) > 1})
            if doubled:
                raise UnusableInput(
                    f"{path}: expected each column once, found {listed(doubled)} more than once."
                )
            kept = [name for name in COLUMNS if name in names]
            for name in kept:
                _require_type(path, name, file.schema_arrow.field(name).type)
            # Equal texts stay one as long as nobody knows how many and how long they are.
            texts = [name for name in kept if name in TEXT]
            # Where the writer left checksums of pages they are held against what is read.
            file = pyarrow.parquet.ParquetFile(
                handle,
                metadata=file.metadata,
                read_dictionary=texts,
                page_checksum_verification=True,
            )
            table = file.read(columns=kept)
            limits.require_unpacked(path, sum(map(_text_bytes, table.columns)))
    except (pa.ArrowException, ValueError, OSError) as error:
        if getattr(error, "errno", None) is not None:
            raise  # the disk's, not the file's
        raise UnusableInput(
            f"{path}: expected a whole Parquet file, found '{_first_line(error)}'; "
            "it may be truncated, write it again."
        ) from error
    _require_columns(path, set(names), required)
    arrays = [_parquet_column(path, table, column) for column in COLUMNS]
    extra = frozenset(names) - frozenset(COLUMNS)
    return Shard(path, pa.table(arrays, schema=SHARD_SCHEMA), extra, held)


def _require_type(path: UPath, column: str, found: pa.DataType) -> None:
    if pa.types.is_dictionary(found):
        found = found.value_type
    fits = (
        pa.types.is_string(found) or pa.types.is_large_string(found)
        if column in TEXT
        else pa.types.is_integer(found) or pa.types.is_floating(found)
    )
    if not fits and not pa.types.is_null(found):
        raise UnusableInput(
            f"{path}: expected column '{column}' to hold {expected(column)}, "
            f"found the type {found}; convert the column."
        )


def _text_bytes(values: pa.ChunkedArray) -> int:
    """What the texts take once each row has its own; 0 for numbers."""
    if not pa.types.is_dictionary(values.type):
        return 0
    lengths = (
        pc.sum(pc.take(pc.binary_length(chunk.dictionary), chunk.indices)).as_py()
        for chunk in values.chunks
    )
    return sum(length or 0 for length in lengths)


def _parquet_column(path: UPath, table: pa.Table, column: str) -> pa.ChunkedArray | pa.Array:
    wanted = SHARD_SCHEMA.field(column).type
    if column not in table.column_names:
        return pa.nulls(table.num_rows, wanted)
    values = table.column(column)
    try:
        values = values.cast(wanted)
        values.validate(full=True)  # text that is not UTF-8 shows only here
    except pa.ArrowException as error:
        raise UnusableInput(
            f"{path}: expected column '{column}' to hold {expected(column)}, "
            f"found '{_first_line(error)}'."
        ) from error
    if column in OPTIONAL and column not in TEXT:
        # A NaN in an optional column is how pandas writes "not recorded".
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, wanted), values)
    return values


# --- JSON Lines ------------------------------------------------------------------------------


def _open_text(path: UPath, held: Held) -> IO[bytes]:
    handle = opened(path, held)
    magic = bytes(handle.read(2))
    handle.seek(0)
    if magic == GZIP_MAGIC:
        # UPath's handles are binary files, which GzipFile reads through to their end.
        return io.BufferedReader(gzip.GzipFile(fileobj=handle), _BLOCK_BYTES)
    return handle


def _position(unpacking: gzip.GzipFile) -> int:
    """How many packed bytes were read."""
    packed: Any = unpacking.fileobj
    return int(packed.tell())


def _read_json_lines(path: UPath, required: Sequence[str], limits: Limits, held: Held) -> Shard:
    tables: list[pa.Table] = []
    keys: set[str] = set()
    line, rows = 1, 0
    try:
        with _open_text(path, held) as handle:
            for block in _blocks(path, handle, limits):
                _require_utf8(path, block, line)
                table, found = _parse_block(path, block, line)
                tables.append(table)
                keys |= found
                line += block.count(b"\n")
                rows += table.num_rows
                limits.require_rows(path, rows)
                limits.require_blank_lines(path, line - 1 - rows)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UnusableInput(
            f"{path} after line {line}: expected a whole gzip file, found '{_first_line(error)}'; "
            "the file is truncated or damaged, write it again."
        ) from error
    table = pa.concat_tables(tables) if tables else SHARD_SCHEMA.empty_table()
    if table.num_rows:
        _require_columns(path, keys, required)
    return Shard(path, table, frozenset(keys) - frozenset(COLUMNS), held)


def _blocks(path: UPath, handle: IO[bytes], limits: Limits) -> Iterator[bytes]:
    """Cut the stream into blocks that end with a line, within the limits."""
    rest = b""
    first = True
    unpacked = 0
    while chunk := handle.read(_BLOCK_BYTES):
        unpacked += len(chunk)
        limits.require_unpacked(path, unpacked)
        if isinstance(raw := getattr(handle, "raw", None), gzip.GzipFile):
            limits.require_ratio(path, unpacked, _position(raw))
        if first:
            chunk = chunk.removeprefix(_BOM)
            first = False
        cut = chunk.rfind(b"\n") + 1
        if cut:
            yield rest + chunk[:cut]
            rest = chunk[cut:]
        else:
            rest += chunk
        if len(rest) > _MAX_LINE_BYTES:
            raise UnusableInput(
                f"{path}: expected one object a line, found a line of over "
                f"{_MAX_LINE_BYTES >> 20} MiB; is this JSON Lines?"
            )
    if rest:
        yield rest


def _parse_block(path: UPath, block: bytes, line: int) -> tuple[pa.Table, set[str]]:
    braces = block.count(b"{")
    lines = block.count(b"\n") + (not block.endswith(b"\n"))
    plain = (
        block.startswith(b"{")
        and braces == lines == block.count(b"\n{") + 1
        and b"[" not in block
        and b"NaN" not in block
        and b"Inf" not in block
        and b'\\"' not in block  # which would hide keys
        and len(set(_KEY.findall(block))) <= _MAX_KEYS
    )
    if plain:
        try:
            parsed = _parse_with_arrow(block)
        except (pa.ArrowException, UnicodeDecodeError):
            parsed = None  # the line by line parse says what is wrong, or that nothing is
        if parsed is not None and parsed.num_rows == lines:
            return parsed.select(SHARD_SCHEMA.names), _keys_of(parsed)
    return _parse_line_by_line(path, block, line)


def _parse_with_arrow(block: bytes) -> pa.Table:
    return pyarrow.json.read_json(
        io.BytesIO(block),
        read_options=pyarrow.json.ReadOptions(block_size=1 << 20),
        parse_options=pyarrow.json.ParseOptions(
            explicit_schema=SHARD_SCHEMA, unexpected_field_behavior="infer"
        ),
    )


def _keys_of(table: pa.Table) -> set[str]:
    """The keys that a block really has: Arrow adds the schema's columns where they are missing."""
    return {
        name
        for name in table.column_names
        if name not in SHARD_SCHEMA.names or table.column(name).null_count < table.num_rows
    }


def _parse_line_by_line(path: UPath, block: bytes, line: int) -> tuple[pa.Table, set[str]]:
    columns: dict[str, list[Any]] = {column: [] for column in COLUMNS}
    keys: set[str] = set()
    if not block.strip():
        return SHARD_SCHEMA.empty_table(), keys
    for number, text in enumerate(block.split(b"\n"), start=line):
        if not text.strip():
            continue
        row = _parse_line(f"{path} line {number}", text)
        keys |= row.keys()
        for column in COLUMNS:
            columns[column].append(_typed(f"{path} line {number}", column, row.get(column)))
    return pa.table(columns, schema=SHARD_SCHEMA), keys


def _parse_line(where: str, text: bytes) -> dict[str, Any]:
    try:
        row = json.loads(text, object_pairs_hook=unique_pairs)
    except (ValueError, RecursionError) as error:
        if isinstance(error, json.JSONDecodeError):
            found = not_json(error)
        else:
            found = f"'{_first_line(error)}'"
        raise UnusableInput(
            f"{where}: expected one JSON object, found {found}; mend or drop the line."
        ) from error
    if not isinstance(row, dict):
        raise UnusableInput(
            f"{where}: expected one JSON object, found {_describe(row)}; mend or drop the line."
        )
    return row


def _typed(where: str, column: str, value: Any) -> str | float | None:
    if value is None:
        return None
    fits = (
        isinstance(value, str) and _is_encodable(value)
        if column in TEXT
        else isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value)
    )
    if not fits:
        raise UnusableInput(
            f"{where}: expected column '{column}' to be {expected(column)}, "
            f"found {_describe(value)}."
        )
    return value if isinstance(value, str) else float(value)


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can spell and UTF-8 can't
        return False
    return True


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond any float
        return False


def _describe(value: Any) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return f"the text {value[:40]!a}"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "infinity"
    return json.dumps(value)[:40]


# --- shared ----------------------------------------------------------------------------------


def _require_columns(path: UPath, keys: set[str], required: Sequence[str]) -> None:
    missing = [column for column in required if column not in keys]
    if missing:
        raise UnusableInput(
            f"{path}: expected the columns {', '.join(required)}, found no "
            f"{', '.join(repr(column) for column in missing)}; add what is missing."
        )


def _require_utf8(path: UPath, block: bytes, line: int) -> None:
    try:
        block.decode("utf-8")
    except UnicodeDecodeError as error:
        at = line + block.count(b"\n", 0, error.start)
        raise UnusableInput(
            f"{path} line {at}: expected UTF-8 text, found the byte 0x{block[error.start]:02x}; "
            "save the file as UTF-8."
        ) from error


def _first_line(error: BaseException) -> str:
    return shown((str(error).splitlines() or [type(error).__name__])[0], 160)
