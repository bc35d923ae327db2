"""A file or a folder of shards in, a valid corpus out, or one sentence that says why not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from upath import UPath

from fr_ensemble_assets.corpus.identity import (
    Corpus,
    canonical_order,
    content_sha256,
    key_columns,
)
from fr_ensemble_assets.corpus.parsing import (
    NOTHING_HELD,
    SUFFIXES,
    Held,
    Shard,
    read_shard,
)
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.schema import (
    COLUMNS,
    MIN_ROWS,
    MIN_SOURCES,
    REQUIRED,
    ROW_RULES,
    expected,
)
from fr_ensemble_assets.foundation.wording import listed, shown

#: Software encoders on 21 real clips; see PROVENANCE.md beside it.
BUNDLED_CORPUS = UPath(Path(__file__).parent / "bundled" / "software_encoders.jsonl.gz")


@dataclass(frozen=True)
class Reading:
    """A corpus and what became of everything that was read for it.

    Attributes
    ----------
    corpus
        The rows that remain.
    files
        What was read, in the order of names.
    rows_read
        Rows in all files together.
    repeats_dropped
        Rows that repeat another one exactly.
    extra_keys
        Keys outside the contract: kept out of the corpus.
    ignored
        Names in the folder that are no shards.
    """

    corpus: Corpus
    files: tuple[str, ...]
    rows_read: int
    repeats_dropped: int
    extra_keys: tuple[str, ...]
    ignored: tuple[str, ...]


def read_corpus(path: UPath, held: Held = NOTHING_HELD) -> Reading:
    """Read JSON Lines, gzipped JSON Lines, Parquet, or a folder of such shards.

    ``held`` are the bytes of files that were read already.

    Raises
    ------
    UnusableInput
        Missing or empty file, missing column, wrong type, NaN or infinity, VMAF outside 0..100,
        negative frame index, fewer than 100 rows, fewer than 2 sources, truncated gzip, text that
        is not UTF-8 or not JSON, rows with the same key and other values.
    """
    return read_shards(path, *shard_paths(path), held)


def read_shards(
    where: UPath,
    paths: Sequence[UPath],
    ignored: tuple[str, ...] = (),
    held: Held = NOTHING_HELD,
) -> Reading:
    """Read the named shards of the folder ``where``, as :func:`read_corpus` does."""
    shards = [read_shard(shard, held=held) for shard in paths]
    files = tuple(shard.path.name for shard in shards)
    extra_keys = tuple(sorted(set().union(*(shard.extra_keys for shard in shards))))
    # Of many rows each of these takes a gigabyte: none outlives its use.
    frame = pd.concat([_valid_frame(shard) for shard in shards], ignore_index=True)
    rows_read = len(frame)
    frame = _without_repeats(frame, shards)
    del shards
    _require_size(where, frame)
    rows_kept = len(frame)
    frame = canonical_order(frame)
    return Reading(
        corpus=Corpus(content_sha256(frame), frame),
        files=files,
        rows_read=rows_read,
        repeats_dropped=rows_read - rows_kept,
        extra_keys=extra_keys,
        ignored=ignored,
    )


def count_rows(paths: Sequence[UPath]) -> dict[str, int]:
    """How many rows each source has in these shards, repeats too: a look, which proves nothing.

    Raises
    ------
    UnusableInput
        As :func:`read_corpus`, where a file can't be read at all.
    """
    counts: Counter[str] = Counter()
    for path in paths:
        for pair in read_shard(path).table.column("src").value_counts().to_pylist():
            counts[str(pair["values"])] += int(pair["counts"])
    return dict(counts)


def shard_paths(path: UPath) -> tuple[list[UPath], tuple[str, ...]]:
    """The shards at ``path``, itself or what lies in it, and the names of what is none."""
    try:
        if path.is_file():
            return [path], ()
        if not path.exists():
            raise UnusableInput(
                f"{path}: expected a corpus (JSON Lines, gzipped JSON Lines, Parquet, or a folder "
                f"of them), found {store.missing_at(path)}."
            )
        if not path.is_dir():
            raise UnusableInput(
                f"{path}: expected a file or a folder, found a pipe or a device; "
                "write the corpus to a file first."
            )
        names = sorted(path.iterdir(), key=lambda entry: entry.name)
    except (OSError, ValueError) as error:
        raise UnusableInput(
            f"{path}: expected a corpus that can be read, found "
            f"'{getattr(error, 'strerror', None) or error}'; mend its path or its permissions."
        ) from error
    shards = [entry for entry in names if entry.name.endswith(SUFFIXES) and entry.is_file()]
    if not shards:
        raise UnusableInput(
            f"{path}: expected shards named *{', *'.join(SUFFIXES)}, found {len(names)} other "
            "entries; point at the folder that holds the shards themselves."
        )
    return shards, tuple(entry.name for entry in names if entry not in shards)


@dataclass(frozen=True)
class InvalidValue:
    """The first value of a frame that breaks the schema; ``row`` counts from 0."""

    row: int
    column: str
    value: str

    def describe(self) -> str:
        """What was expected of the value and what it is, without a full stop."""
        found = shown(self.value)
        return f"expected column '{self.column}' to be {expected(self.column)}, found {found}"


def first_invalid_value(frame: pd.DataFrame) -> InvalidValue | None:
    """Hold a typed frame against the schema."""
    broken = ROW_RULES.first_broken(frame)
    if broken is None:
        return None
    row, column = broken
    return InvalidValue(row, column, str(frame[column].iloc[row]))


def _valid_frame(shard: Shard) -> pd.DataFrame:
    _require_values(shard)
    frame: pd.DataFrame = shard.table.to_pandas()
    problem = first_invalid_value(frame)
    if problem is not None:
        raise UnusableInput(f"{shard.where(problem.row)}: {problem.describe()}.")
    return frame


def _require_values(shard: Shard) -> None:
    for column in REQUIRED:
        values: pa.ChunkedArray = shard.table.column(column)
        if values.null_count:
            row = int(np.flatnonzero(values.is_null().to_numpy())[0])
            raise UnusableInput(
                f"{shard.where(row)}: expected column '{column}' to be {expected(column)}, "
                "found nothing."
            )


def _without_repeats(frame: pd.DataFrame, shards: Sequence[Shard]) -> pd.DataFrame:
    kept = frame.drop_duplicates(list(COLUMNS))
    clash = kept.duplicated(key_columns(kept), keep=False)
    if clash.any():
        same = kept[clash]
        first = same.index[0]
        key = same.loc[first, key_columns(kept)]
        second = same.index[(same[key_columns(kept)].fillna("") == key.fillna("")).all(axis=1)][1]
        raise UnusableInput(
            f"{_where(shards, second)}: expected one row a key, found the key of "
            f"{_where(shards, first)} ({_name_key(key)}) with other values; keep one of them."
        )
    return kept


def _where(shards: Sequence[Shard], row: int) -> str:
    for shard in shards:
        if row < shard.table.num_rows:
            return shard.where(row)
        row -= shard.table.num_rows
    raise IndexError(row)


def _name_key(key: pd.Series) -> str:
    return listed(f"{name} {shown(value)}" for name, value in key.items() if not pd.isna(value))


def _require_size(path: UPath, frame: pd.DataFrame) -> None:
    if len(frame) < MIN_ROWS:
        raise UnusableInput(
            f"{path}: expected at least {MIN_ROWS} distinct rows, found {len(frame)}; "
            "score more frames, sources or qualities."
        )
    sources = frame["src"].nunique()
    if sources < MIN_SOURCES:
        raise UnusableInput(
            f"{path}: expected at least {MIN_SOURCES} sources in 'src' to leave one out, found "
            f"{sources}; add clips."
        )
