"""One corpus shard a clip: ``shards/<src>.parquet``, bound to the clip's content and the grid."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet
from upath import UPath

from fr_ensemble_assets.clips.clip import Clip
from fr_ensemble_assets.clips.ffmpeg import Ffmpeg
from fr_ensemble_assets.clips.inventory import Inventory
from fr_ensemble_assets.encodes.generate import rows_of
from fr_ensemble_assets.encodes.grid import Grid
from fr_ensemble_assets.encodes.score import Scored
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import sha256_of
from fr_ensemble_assets.foundation.wording import listed, shown

_NOTE = b"fr_ensemble"


def shard_file(shards: UPath, src: str) -> UPath:
    """Where a clip's shard is kept."""
    return shards / f"{src}.parquet"


def save_shard(
    shards: UPath, ffmpeg: Ffmpeg, clip: Clip, grid: Grid, scored: Sequence[Scored]
) -> str:
    """Keep a clip's rows, with a note of what they were made from; returns the file's sha256."""
    note = {"clip": clip.identity(), "grid": grid.to_json(), "ffmpeg": ffmpeg.version}
    table = rows_of(scored, grid.every)
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(
        table.replace_schema_metadata({_NOTE: json.dumps(note, sort_keys=True).encode()}),
        buffer,
        compression="zstd",
    )
    store.put(shard_file(shards, clip.src), buffer.getvalue())
    return sha256_of(buffer.getvalue())


def has_shard(shards: UPath, clip: Clip) -> bool:
    """Whether the clip has a shard of its present content."""
    try:
        note = _note(shards, clip)
    except UnusableInput:
        return False
    return note is not None and not _is_stale(note, clip)


def shards_of(shards: UPath, inventory: Inventory) -> list[UPath]:
    """The shards of all clips that the folder holds, in the order of names.

    Raises
    ------
    UnusableInput
        If a clip has no shard, if one was made from other content of its clip, or if shards were
        made over different grids or by different versions of ffmpeg.
    """
    notes = {clip.src: _note(shards, clip) for clip in inventory.clips}
    missing = [src for src, note in notes.items() if note is None]
    stale = [clip.src for clip in inventory.clips if _is_stale(notes[clip.src], clip)]
    for sources, found in ((missing, "no shard"), (stale, "a shard of another content")):
        if sources:
            raise UnusableInput(
                f"corpus_shards: expected a shard of every clip, found {found} for "
                f"{listed(sources)}; materialise 'corpus_shards' for these partitions."
            )
    settings = {
        src: json.dumps([note["grid"], note["ffmpeg"]], sort_keys=True)
        for src, note in notes.items()
        if note is not None
    }
    first, *others = settings
    odd = [src for src in others if settings[src] != settings[first]]
    if odd:
        raise UnusableInput(
            f"corpus_shards: expected all shards over one grid and by one ffmpeg, found those of "
            f"{listed(odd)} made otherwise than that of {shown(first)}; materialise "
            "'corpus_shards' for all partitions, what is done already is not done again."
        )
    return [shard_file(shards, clip.src) for clip in inventory.clips]


def _note(shards: UPath, clip: Clip) -> dict[str, Any] | None:
    path = shard_file(shards, clip.src)
    if not store.exists(path):
        return None
    data = store.read(path, "a shard")
    try:
        metadata = pyarrow.parquet.read_schema(io.BytesIO(data)).metadata or {}
        note: dict[str, Any] = json.loads(metadata[_NOTE])
        return {key: note[key] for key in ("clip", "grid", "ffmpeg")}
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise UnusableInput(
            f"{path}: expected a shard of ours, found something else; materialise "
            f"'corpus_shards' for '{clip.src}' again."
        ) from error


def _is_stale(note: dict[str, Any] | None, clip: Clip) -> bool:
    return note is not None and note["clip"] != clip.identity()
