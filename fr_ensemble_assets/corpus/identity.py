"""What a corpus is, apart from how it was stored: its canonical order and its content sha256."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from fr_ensemble_assets.foundation.schema import (
    CANONICAL_6,
    COLUMNS,
    INTEGER,
    KEY,
    PRESET,
    TARGET,
    TEXT,
)

# Part of what is hashed: another way to hash must never give the same name to a corpus.
_DOMAIN = b"fr-ensemble canonical-6 corpus, hash version 1\n"


@dataclass(frozen=True, eq=False)
class Corpus:
    """Valid canonical-6 rows in canonical order; one is itself alone, so that it can be a key.

    Attributes
    ----------
    sha256
        Over the canonical content: the same rows from another file, in another order or format,
        have the same one.
    frame
        One row a frame, the contract's columns (optional ones only where some row has them),
        sorted by source, encoder, quality, frame and preset.
    """

    sha256: str
    frame: pd.DataFrame

    @property
    def n_rows(self) -> int:
        return len(self.frame)

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """Distinct ``src`` in sorted order: the LOSO folds."""
        return tuple(sorted(self.frame["src"].unique()))

    @cached_property
    def source_index(self) -> npt.NDArray[np.int32]:
        """Per row, the position of its source in :attr:`sources`; shape (n_rows,)."""
        codes = pd.Categorical(self.frame["src"], categories=list(self.sources)).codes
        return np.asarray(codes, dtype=np.int32)

    @cached_property
    def rows_of_sources(self) -> tuple[npt.NDArray[np.intp], ...]:
        """Where each of :attr:`sources` has its rows; shapes (n_rows of the source,)."""
        return places_of(self.source_index, len(self.sources))

    @property
    def features(self) -> npt.NDArray[np.float64]:
        """The canonical-6 features, shape (n_rows, 6), not standardised; gathered anew each time.

        The frame holds them already: of many rows a second copy is a quarter of a gigabyte.
        """
        return self.frame[list(CANONICAL_6)].to_numpy(dtype=np.float64)

    @cached_property
    def target(self) -> npt.NDArray[np.float64]:
        """VMAF of each frame, 0..100, shape (n_rows,)."""
        return self.frame[TARGET].to_numpy(dtype=np.float64)


def places_of(
    numbers: npt.NDArray[np.integer[Any]], count: int
) -> tuple[npt.NDArray[np.intp], ...]:
    """Where each of ``0 … count - 1`` stands in ``numbers``, ascending."""
    # Canonical order sorts by source already; where it holds, a stable sort costs little.
    order = np.argsort(numbers, kind="stable")
    return tuple(np.split(order, np.cumsum(np.bincount(numbers, minlength=count))[:-1]))


def key_columns(frame: pd.DataFrame) -> list[str]:
    """The columns that identify a row of ``frame``."""
    return [*KEY, *([PRESET] if PRESET in frame else [])]


def canonical_order(frame: pd.DataFrame) -> pd.DataFrame:
    """Sort by key, order the columns, drop optional ones that no row fills, settle the types."""
    kept = [c for c in COLUMNS if c in frame and not frame[c].isna().all()]
    frame = frame[kept]
    frame = frame.sort_values(key_columns(frame), kind="stable", na_position="first")
    frame = frame.reset_index(drop=True)
    for column in INTEGER & set(kept):
        frame[column] = frame[column].astype("Int64" if frame[column].isna().any() else "int64")
    for column in set(kept) - INTEGER - TEXT:
        frame[column] += 0.0  # turns -0.0, which equals 0.0 and has other bytes, into 0.0
    return frame


def content_sha256(frame: pd.DataFrame) -> str:
    """Hash rows in canonical order.

    Column by column: its name, then little-endian float64 or int64, or the lengths and the UTF-8
    bytes of its text; where an optional value is missing, a mask says so.
    Nothing in it depends on a library's file format.
    """
    digest = hashlib.sha256(_DOMAIN)
    digest.update(struct.pack("<q", len(frame)))
    for column in frame.columns:
        digest.update(f"{column}\n".encode())
        missing = frame[column].isna().to_numpy(dtype=bool)
        digest.update(np.packbits(missing).tobytes() if missing.any() else b"")
        for part in _column_bytes(frame[column], column):
            digest.update(part)
    return digest.hexdigest()


def _column_bytes(values: pd.Series, column: str) -> list[bytes]:
    if column in TEXT:
        text = pa.array(values.fillna(""), type=pa.large_string())
        # What pandas hands over may be in several chunks, or a part of something larger; joined
        # chunks start at offset zero of buffers of their own.
        chunks = text.chunks if isinstance(text, pa.ChunkedArray) else [text]
        whole = pa.concat_arrays([pa.array([""], pa.large_string()), *chunks])
        _, offsets, content = whole.buffers()
        ends = np.frombuffer(offsets, dtype="<i8", count=len(whole) + 1)
        return [np.diff(ends[1:]).astype("<i8").tobytes(), content.to_pybytes()[: ends[-1]]]
    if column in INTEGER:
        return [values.fillna(0).to_numpy(dtype="<i8").tobytes()]
    return [values.fillna(0.0).to_numpy(dtype="<f8").tobytes()]
