"""Cells that are done, kept so that none is ever done twice: ``cells/<clip sha256>/….json``.

Each file says what its rows depend on and with which arguments ffmpeg made them, so that every
row of a corpus can be traced to its encode.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from upath import UPath

from fr_ensemble_assets.encodes.grid import Cell
from fr_ensemble_assets.encodes.score import Scored
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import sha256_of
from fr_ensemble_assets.foundation.schema import CANONICAL_6

if TYPE_CHECKING:
    from fr_ensemble_assets.encodes.schema import CellDocument


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
    from fr_ensemble_assets.encodes.schema import CellDocument
    from fr_ensemble_assets.foundation.documents import parse_document, read_object

    path = cell_file(cells, cell, ffmpeg_version)
    try:
        data = store.read(path, "a scored cell")
        told, document = read_object(data, str(path)), parse_document(CellDocument, data, str(path))
    except UnusableInput:
        return None
    whole = told.pop("sha256") == _digest(told)
    if not whole or told["made_from"] != cell.identity(ffmpeg_version):
        return None
    return _scored(cell, document)


def _digest(document: dict[str, Any]) -> str:
    """Over everything in the file, so that a change of it is noticed and the cell made again."""
    return sha256_of(json.dumps(document, sort_keys=True).encode())


def _scored(cell: Cell, document: CellDocument) -> Scored | None:
    columns = [getattr(document, name) for name in CANONICAL_6]
    if len({len(document.vmaf), *map(len, columns)}) > 1:
        return None
    scored = Scored(
        cell=cell,
        vmaf=document.vmaf,
        features=tuple(zip(*columns, strict=True)),
        enc_bytes=document.enc_bytes,
        enc_time_ms=document.enc_time_ms,
        command=document.command,
    )
    return None if scored.problem else scored
