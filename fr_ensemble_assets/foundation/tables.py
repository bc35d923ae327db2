"""Parquet in and out, with the same bytes for the same table."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet
from upath import UPath

from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput


def parquet_bytes(table: pa.Table) -> bytes:
    """``table`` as Parquet, without the schema metadata that other libraries leave in it."""
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table.replace_schema_metadata(None), buffer, compression="zstd")
    return buffer.getvalue()


def write_parquet(path: UPath, table: pa.Table) -> None:
    """Write ``table`` whole or not at all."""
    store.put(path, parquet_bytes(table))


def read_parquet(path: UPath, what: str) -> pa.Table:
    """Read the table at ``path``, or :class:`UnusableInput` that calls the file ``what``."""
    return parse_parquet(store.read(path, what), path, what)


def parse_parquet(data: bytes, path: UPath, what: str) -> pa.Table:
    """The table in ``data``, which was read from ``path``."""
    try:
        return pyarrow.parquet.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError) as error:
        raise UnusableInput(
            f"{path}: expected {what}, found no whole Parquet file; make it again with --force."
        ) from error
