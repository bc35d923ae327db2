"""Cells as they are kept: ``planning/<sha256>/planning_cells.csv.gz`` and where they came from."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from upath import UPath

from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.foundation.wording import one_line
from fr_ensemble_assets.predictors.cells import CellReading, Cells, read_cells
from fr_ensemble_assets.predictors.pooling import cells_bytes

if TYPE_CHECKING:
    from fr_ensemble_assets.predictors.schema import CellsOriginDocument

CELLS_FILE = "planning_cells.csv.gz"
CELLS_ORIGIN_FILE = "planning_cells.json"


def save_cells(home: Home, reading: CellReading, origin: str, files: Sequence[str] = ()) -> None:
    """Keep cells under their sha256; where they came from is noted last.

    ``origin`` says it in words, ``files`` are the files' names.
    """
    folder = home.cells_dir(reading.cells.sha256)
    if not _is_stored(home, reading.cells):
        data = gzip.compress(cells_bytes(reading.cells), mtime=0)
        store.put(folder / CELLS_FILE, data)
    store.put_json(
        folder / CELLS_ORIGIN_FILE,
        {
            "sha256": reading.cells.sha256,
            "n_rows": len(reading.cells.frame),
            "read_from": one_line(origin),
            "files": [one_line(name) for name in files],
            "rows_read": reading.rows_read,
            "repeats_dropped": reading.repeats_dropped,
            "failed_dropped": reading.failed_dropped,
            "extra_keys": [one_line(key) for key in reading.extra_keys],
        },
    )


def load_cells(home: Home, sha256: str) -> Cells:
    """Read stored cells and prove that their content is still what its name says.

    Raises
    ------
    UnusableInput
        If they aren't there, are damaged, or hash to another sha256.
    """
    path = home.cells_dir(sha256) / CELLS_FILE
    looks = store.stamp(path)
    return _load(path, sha256) if looks is None else _load_once(path, sha256, looks)


@lru_cache(maxsize=2)
def _load_once(path: UPath, sha256: str, looks: store.Looks) -> Cells:  # noqa: ARG001 (a key)
    return _load(path, sha256)


def _load(path: UPath, sha256: str) -> Cells:
    cells = read_cells(path).cells
    if cells.sha256 != sha256:
        raise UnusableInput(
            f"{path}: expected cells with the sha256 {sha256}, found {cells.sha256}; "
            "the file was altered, materialise 'planning_corpus' again from its source."
        )
    return cells


def _is_stored(home: Home, cells: Cells) -> bool:
    try:
        return len(load_cells(home, cells.sha256).frame) == len(cells.frame)
    except UnusableInput:
        return False


def read_cells_origin(home: Home, sha256: str) -> CellsOriginDocument:
    """Where stored cells came from.

    Raises
    ------
    UnusableInput
        If the note is missing or damaged.
    """
    from fr_ensemble_assets.foundation.documents import parse_document
    from fr_ensemble_assets.predictors.schema import CellsOriginDocument

    path = home.cells_dir(sha256) / CELLS_ORIGIN_FILE
    return parse_document(CellsOriginDocument, store.read(path, "cells' origin"), str(path))


def load_reading(home: Home, sha256: str) -> tuple[CellReading, tuple[str, ...]]:
    """Stored cells with what became of the rows that they came from, and their files' names.

    Raises
    ------
    UnusableInput
        As :func:`load_cells` and :func:`read_cells_origin`.
    """
    origin = read_cells_origin(home, sha256)
    reading = CellReading(
        cells=load_cells(home, sha256),
        rows_read=origin.rows_read,
        repeats_dropped=origin.repeats_dropped,
        failed_dropped=origin.failed_dropped,
        extra_keys=origin.extra_keys,
    )
    return reading, origin.files
