"""Is a file that arrived one of cells, or of frames? Told by the columns of its first row."""

from __future__ import annotations

import json
import zlib

from upath import UPath

from fr_ensemble_assets.corpus.parsing import GZIP_MAGIC
from fr_ensemble_assets.predictors.cell_schema import (
    ALIASES,
    FRAME_INDEX,
    GEOMETRY,
    PROBE_FEATURES,
)

#: A corpus never ends so.
CSV_SUFFIXES = (".csv", ".csv.gz")
#: No more than this is read, and no more unpacked: a row of cells has less than 2 KB.
_HEAD_BYTES = 1 << 16
#: Columns that a row of frames never has.
_OF_CELLS = frozenset({*GEOMETRY, *PROBE_FEATURES})
#: Unpacks a gzip.
_GZIP_BITS = 16 + zlib.MAX_WBITS


def holds_cells(path: UPath) -> bool:
    """Whether ``path`` is of cells, as far as its name and its first row tell.

    What is neither, or can't be read, goes where corpora go, whose run says what is wrong with it;
    a CSV file goes where cells go.
    """
    if path.is_dir():
        return False
    if path.name.endswith(CSV_SUFFIXES):
        return True
    try:
        with path.open("rb") as handle:
            head: bytes = handle.read(_HEAD_BYTES)
        if head.startswith(GZIP_MAGIC):
            head = zlib.decompressobj(_GZIP_BITS).decompress(head, _HEAD_BYTES)
        row = json.loads(head.lstrip().split(b"\n", 1)[0])
    except (OSError, zlib.error, ValueError, RecursionError):
        return False
    if not isinstance(row, dict) or FRAME_INDEX in row:
        return False
    return not _OF_CELLS.isdisjoint(ALIASES.get(key, key) for key in row)
