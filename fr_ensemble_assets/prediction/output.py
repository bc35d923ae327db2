"""Predictions as a file, in the form that its name's ending says."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from upath import UPath

from fr_ensemble_assets.encodes.output import suffix_of
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.schema import TEXT
from fr_ensemble_assets.foundation.tables import parquet_bytes
from fr_ensemble_assets.prediction.predict import Predictions

#: What stands beside a row's key.
COLUMNS = ("mu", "sigma", "lower", "upper", "extrapolates")
#: A millionth of a VMAF point is beyond what the members resolve.
_DIGITS = 6
_ROUNDED = frozenset({"mu", "sigma", "lower", "upper"})


def write_predictions(out: UPath, predictions: Predictions) -> None:
    """Write the key of each row and its prediction, whole or not at all.

    Raises
    ------
    UnusableInput
        If the name has another ending than .jsonl, .jsonl.gz, .parquet, or can't be written.
    """
    suffix = suffix_of(out)
    store.put(out, _WRITERS[suffix](predictions_table(predictions)))


def predictions_table(predictions: Predictions) -> pd.DataFrame:
    """Key, ``mu``, ``sigma``, ``lower``, ``upper``, ``extrapolates``; one row a frame."""
    frames = predictions.frames
    made = {name: getattr(predictions, name) for name in COLUMNS}
    return frames.frame[frames.key_columns].assign(**made)


def _json_lines(table: pd.DataFrame) -> bytes:
    """Joined column by column in Arrow: a line at a time would take as long as predicting."""
    pieces: list[pa.Array | pa.Scalar] = []
    for place, name in enumerate(table.columns):
        opening = "{" if place == 0 else ", "
        pieces += [_text(f'{opening}"{name}": '), _json_values(table[name])]
    lines = pc.binary_join_element_wise(*pieces, _text("}\n"), _text(""))
    _, offsets, content = lines.buffers()
    end = np.frombuffer(offsets, dtype=np.int64, count=len(lines) + 1)[-1]
    return bytes(memoryview(content)[:end])


def _text(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.large_string())


def _json_values(values: pd.Series) -> pa.Array:
    """Each value as JSON; shape (n_rows,)."""
    if values.name in TEXT:
        numbers, distinct = pd.factorize(values)
        told = [*(json.dumps(text, ensure_ascii=False) for text in distinct), "null"]
        return pa.array(told, pa.large_string()).take(pa.array(numbers % len(told)))
    made = pa.array(values.to_numpy())
    if values.name in _ROUNDED:
        made = pc.round(made, _DIGITS)
    return made.cast(pa.large_string())


def _gzipped(table: pd.DataFrame) -> bytes:
    # Without a time inside: the same rows give the same bytes.
    return gzip.compress(_json_lines(table), compresslevel=6, mtime=0)


def _parquet(table: pd.DataFrame) -> bytes:
    return parquet_bytes(pa.Table.from_pandas(table, preserve_index=False))


_WRITERS: dict[str, Callable[[pd.DataFrame], bytes]] = {
    ".jsonl": _json_lines,
    ".jsonl.gz": _gzipped,
    ".parquet": _parquet,
}
