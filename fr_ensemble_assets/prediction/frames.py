"""Frames to predict: the key and the canonical-6 features of each; VMAF is not needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from upath import UPath

from fr_ensemble_assets.corpus.parsing import read_shard
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.schema import (
    CANONICAL_6,
    INTEGER,
    KEY,
    MAX_EXACT_INTEGER,
    OPTIONAL,
    PRESET,
    TARGET,
    TEXT,
    VMAF_MAX,
    VMAF_MIN,
    expected,
)
from fr_ensemble_assets.foundation.wording import listed, shown

#: What a frame must have.
NEEDED = (*KEY, *CANONICAL_6)
_SIZE = "enc_bytes"
#: Nothing beyond these is a libvmaf feature or an encoder's quality value (a bit rate isn't one),
#: and float32 would soon overflow.
_FARTHEST = {**dict.fromkeys(CANONICAL_6, 1e6), "cq": 1e3, "frame_index": float(MAX_EXACT_INTEGER)}


@dataclass(frozen=True)
class Frames:
    """Valid rows, in the order in which they came.

    Attributes
    ----------
    origin
        What to call them in a message: a file, or whatever a caller says.
    frame
        ``src``, ``encoder``, ``cq``, ``frame_index``, the canonical-6 features and, where some row
        has them, ``preset``, ``enc_bytes`` and ``vmaf``, which is believed where it is.
    """

    origin: str
    frame: pd.DataFrame

    @property
    def n_rows(self) -> int:
        return len(self.frame)

    @property
    def key_columns(self) -> list[str]:
        """The columns that identify a row."""
        return [*KEY, *([PRESET] if PRESET in self.frame else [])]


def read_frames(path: UPath) -> Frames:
    """Read JSON Lines, gzipped JSON Lines or Parquet.

    Raises
    ------
    UnusableInput
        Names the file, and the line where there is one: a missing column or value, NaN, infinity,
        a value that no feature or quality can have, a wrong type, one key with two values, no rows.
    """
    found = store.found_at(path)
    if found != "a file":
        raise UnusableInput(f"{path}: expected a file of frames, found {found}.")
    shard = read_shard(path, NEEDED)
    for column in NEEDED:
        # Only here is a value that is missing still told from NaN.
        missing = shard.table.column(column).is_null().to_numpy()
        if missing.any():
            raise UnusableInput(
                f"{shard.where(int(np.argmax(missing)))}: expected column '{column}' to be "
                f"{expected(column)}, found nothing."
            )
    if TARGET in shard.table.column_names:
        score = shard.table.column(TARGET).cast(pa.float64())
        strange = pc.fill_null(pc.is_nan(score), False).to_numpy()
        if strange.any():
            raise UnusableInput(
                f"{shard.where(int(np.argmax(strange)))}: expected column '{TARGET}' to be "
                f"{expected(TARGET)}, found NaN."
            )
    return _valid(shard.table.to_pandas(), str(path), shard.where)


def frames_of(frame: pd.DataFrame, origin: str = "frames") -> Frames:
    """Take frames from a table at hand; ``origin`` is what a message calls them.

    Raises
    ------
    UnusableInput
        As :func:`read_frames`, with rows counted from 1.
    """
    missing = [column for column in NEEDED if column not in frame]
    twice = frame.columns[frame.columns.duplicated()].tolist()
    if twice:
        raise UnusableInput(
            f"{origin}: expected each column once, found '{shown(twice[0])}' twice."
        )
    if missing:
        raise UnusableInput(
            f"{origin}: expected the columns {', '.join(NEEDED)}, found no {listed(missing)}; "
            "add what is missing."
        )
    kept = [column for column in (*NEEDED, PRESET, _SIZE, TARGET) if column in frame]
    return _valid(frame[kept].reset_index(drop=True), origin, lambda row: f"{origin} row {row + 1}")


def _valid(frame: pd.DataFrame, origin: str, where: Callable[[int], str]) -> Frames:
    if not len(frame):
        raise UnusableInput(f"{origin}: expected frames, found no rows.")
    kept = [*NEEDED, *(c for c in (PRESET, _SIZE, TARGET) if c in frame and frame[c].notna().any())]
    typed = {}
    for column in kept:
        values, wrong = _typed(frame[column], column)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise UnusableInput(
                f"{where(row)}: expected column '{column}' to be {_wanted(column)}, found "
                f"{_told(frame[column].iloc[row])}."
            )
        typed[column] = values
    frames = Frames(origin, pd.DataFrame(typed))
    _require_one_value_a_key(frames, where)
    return frames


def _require_one_value_a_key(frames: Frames, where: Callable[[int], str]) -> None:
    """Repeats of a row say nothing new; a key with other values would be averaged unseen."""
    keys = frames.key_columns
    if not frames.frame.duplicated(keys).any():
        return
    distinct = frames.frame.drop_duplicates()
    again = distinct.index[distinct.duplicated(keys)]
    if len(again):
        row = int(again[0])
        same = (distinct[keys].astype(str) == distinct.loc[row, keys].astype(str)).all(axis=1)
        first = int(distinct.index[same][0])
        raise UnusableInput(
            f"{where(row)}: expected one row a frame, found other values for the key of "
            f"{where(first)}; keep the rows of one encode."
        )


def _wanted(column: str) -> str:
    farthest = _FARTHEST.get(column)
    within = f" between -{farthest:g} and {farthest:g}" if farthest else ""
    return f"{expected(column)}{within}"


def _typed(values: pd.Series, column: str) -> tuple[pd.Series, np.ndarray]:
    """The column with its type, and which of its values can't be used."""
    missing = values.isna().to_numpy(dtype=bool)
    allowed = missing & (column in (*OPTIONAL, TARGET))
    if column in TEXT:
        # Found on distinct values: there are few, in however many rows.
        numbers, distinct = pd.factorize(values)
        usable = np.array([isinstance(v, str) and v != "" for v in distinct] + [False])
        return values, ~usable[numbers] & ~allowed
    other = ~_are_numbers(values) & ~missing
    numeric = pd.to_numeric(values.mask(other), errors="coerce").astype(np.float64)
    array = numeric.to_numpy()
    wrong = other | ~np.isfinite(array) | (np.abs(array) > _FARTHEST.get(column, np.inf))
    if column == TARGET:
        wrong |= (array < VMAF_MIN) | (array > VMAF_MAX)
    if column in INTEGER:
        wrong |= (array < 0) | (array != np.floor(array))
        if not wrong.any():
            return pd.Series(array.astype(np.int64)), wrong
    return numeric, wrong & ~allowed


def _are_numbers(values: pd.Series) -> npt.NDArray[np.bool_]:
    """Which values are real numbers, and neither truth values, texts nor times; shape (n_rows,)."""
    kind = values.dtype
    if pd.api.types.is_object_dtype(kind):
        found = [isinstance(v, int | float) and not isinstance(v, bool) for v in values]
        return np.array(found, dtype=bool)
    real = pd.api.types.is_integer_dtype(kind) or pd.api.types.is_float_dtype(kind)
    return np.full(len(values), real)


def _told(value: object) -> str:
    if isinstance(value, str):
        return f"the text {value[:40]!a}"
    return "nothing" if value is None or value is pd.NA else str(value).replace("nan", "NaN")
