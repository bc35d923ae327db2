"""Cells that are done, kept so that none is ever done twice: ``cells/<clip sha256>/….json``.

Each file says what its rows depend on and with which arguments ffmpeg made them, so that every
row of a corpus can be traced to its encode.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any

from upath import UPath

from fr_ensemble_assets.encodes.grid import Cell
from fr_ensemble_assets.encodes.score import Scored
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import sha256_of
from fr_ensemble_assets.foundation.schema import CANONICAL_6


def cell_file(cells: UPath, cell: Cell, ffmpeg_version: str) -> UPath:
    """Where a cell is kept; its name depends on everything that its rows depend on."""
    name = f"{cell.encoder.name}-{cell.quality:g}-{cell.digest(ffmpeg_version)}.json"
    return cells / cell.clip.sha256 / name


def save_cell(cells: UPath, scored: Scored, ffmpeg_version: str) -> None:
    """Keep a cell, whole or not at all."""
    document = {
        "made_from": scored.cell.identity(ffmpeg_version),
        "command": list(scored.command),
        "enc_bytes": scored.enc_bytes,
        "enc_time_ms": scored.enc_time_ms,
        "vmaf": list(scored.vmaf),
        **{
            name: [row[column] for row in scored.features]
            for column, name in enumerate(CANONICAL_6)
        },
    }
    document = {"sha256": _digest(document), **document}
    data = json.dumps(document, allow_nan=False).encode() + b"\n"
    store.put(cell_file(cells, scored.cell, ffmpeg_version), data)


def load_cell(cells: UPath, cell: Cell, ffmpeg_version: str) -> Scored | None:
    """A cell that is done; ``None`` where it isn't, or where its file is not what it should be."""
    unusable = (UnusableInput, ValueError, KeyError, TypeError, AttributeError, OverflowError)
    with contextlib.suppress(*unusable, RecursionError):
        document = json.loads(store.read(cell_file(cells, cell, ffmpeg_version), "a cell"))
        whole = document.pop("sha256") == _digest(document)
        if whole and document["made_from"] == cell.identity(ffmpeg_version):
            return _scored(cell, document)
    return None


def _digest(document: dict[str, Any]) -> str:
    """Over everything in the file, so that a change of it is noticed and the cell made again."""
    return sha256_of(json.dumps(document, sort_keys=True).encode())


def _scored(cell: Cell, document: dict[str, Any]) -> Scored | None:
    columns = [document["vmaf"], *(document[name] for name in CANONICAL_6)]
    vmaf, *features = ([float(value) for value in column] for column in columns)
    scored = Scored(
        cell=cell,
        vmaf=tuple(vmaf),
        features=tuple(zip(*features, strict=True)),
        enc_bytes=int(document["enc_bytes"]),
        enc_time_ms=float(document["enc_time_ms"]),
        command=tuple(document["command"]),
    )
    return None if scored.problem else scored
