"""Rows as a file that becomes a corpus, and a note beside it of where they came from."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from upath import UPath

from fr_ensemble_assets.clips.clip import Clip
from fr_ensemble_assets.clips.ffmpeg import Ffmpeg
from fr_ensemble_assets.clips.inventory import Inventory
from fr_ensemble_assets.encodes.generate import Generated, rows_of
from fr_ensemble_assets.encodes.grid import Grid
from fr_ensemble_assets.foundation import destination, store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import sha256_of
from fr_ensemble_assets.foundation.tables import parquet_bytes


def _json_lines(table: pa.Table) -> bytes:
    return b"".join(_line(row) for row in table.to_pylist())


def _line(row: dict[str, Any]) -> bytes:
    if row["cq"] == int(row["cq"]):
        row["cq"] = int(row["cq"])
    known = {key: value for key, value in row.items() if value is not None}
    return json.dumps(known, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _gzipped(table: pa.Table) -> bytes:
    # Without a time inside: the same rows give the same bytes.
    return gzip.compress(_json_lines(table), mtime=0)


_WRITERS: dict[str, Callable[[pa.Table], bytes]] = {
    ".jsonl": _json_lines,
    ".jsonl.gz": _gzipped,
    ".parquet": parquet_bytes,
}


def suffix_of(out: UPath, endings: Sequence[str] = tuple(_WRITERS)) -> str:
    """The ending that says in which form rows are written.

    Raises
    ------
    UnusableInput
        For any other ending.
    """
    for suffix in endings:
        if out.name.endswith(suffix) and out.name != suffix:
            return suffix
    raise UnusableInput(
        f"{out}: expected a name ending in {', '.join(endings)}, found another ending."
    )


def require_writable(
    out: UPath, endings: Sequence[str] = tuple(_WRITERS), option: str = "--out"
) -> None:
    """Find out before hours of work whether its fruit can be kept.

    Raises
    ------
    UnusableInput
        If ``out`` has an ending that isn't known, or it or the note beside it can't be written.
    StorageTrouble
        If the disk is full or fails.
    """
    suffix_of(out, endings)
    if out.protocol not in ("", "file"):
        raise UnusableInput(f"{out}: expected a local file to write, found another store.")
    destination.require_writable(out, option)
    destination.require_writable(provenance_file(out), option)


def provenance_file(out: UPath) -> UPath:
    """The note beside ``out``."""
    return out.parent / f"{out.name}.provenance.json"


def write_rows(
    out: UPath, ffmpeg: Ffmpeg, inventory: Inventory, grid: Grid, made: Generated
) -> int:
    """Write the rows, then the note of where they came from; returns how many rows."""
    table = rows_of(made.scored, grid.every)
    data = _WRITERS[suffix_of(out)](table)
    store.put(out, data)
    document = {
        "file": out.name,
        "file_sha256": sha256_of(data),
        "rows": table.num_rows,
        "ffmpeg": ffmpeg.version,
        "grid": grid.to_json(),
        "clips": [clip_note(clip) for clip in inventory.clips],
        "encodes": _encodes(made, ffmpeg),
        "failed": [str(failed) for failed in made.failed],
        "refused_clips": list(inventory.refused),
        "ignored_files": list(inventory.ignored),
    }
    store.put_json(provenance_file(out), document)
    return int(table.num_rows)


def clip_note(clip: Clip) -> dict[str, Any]:
    """What is known of a clip, wherever it lay."""
    known = clip.to_json()
    return {"file": Path(known.pop("path")).name} | known


def _encodes(made: Generated, ffmpeg: Ffmpeg) -> list[dict[str, Any]]:
    """With which arguments ffmpeg encoded; the same for all clips of one format."""
    told = ("encoder", "quality", "preset", "arguments", "conversion")
    identities = (scored.cell.identity(ffmpeg.version) for scored in made.scored)
    ways = [{key: identity[key] for key in told} for identity in identities]
    return [way for number, way in enumerate(ways) if way not in ways[:number]]
