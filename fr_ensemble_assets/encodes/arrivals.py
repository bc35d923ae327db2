"""What changed in the clips folder: when to look into it anew, and whose shards are missing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from upath import UPath

from fr_ensemble_assets.clips.clip import Clip
from fr_ensemble_assets.clips.inventory import clip_files, inventory_file, load_inventory
from fr_ensemble_assets.encodes.shards import has_shard
from fr_ensemble_assets.foundation.cursor import cursor_text, read_cursor
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import sha256_of
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.foundation.stamps import Stamp, read_stamp, stamp_files

_CURSOR_VERSION = 1


@dataclass(frozen=True)
class Memory:
    """What is known from earlier looks.

    Attributes
    ----------
    seen
        The clips as they were at the last look.
    listed
        The clips as they were when an inventory was last asked for.
    scored
        The content (sha256) of each clip whose shard was asked for, by name.
    asked
        How many runs were asked for: part of their keys, since a state of the folder may recur.
    """

    seen: Stamp = ()
    listed: Stamp = ()
    scored: Mapping[str, str] = field(default_factory=dict)
    asked: int = 0

    def to_text(self) -> str:
        """For the sensor's cursor."""
        return cursor_text(_CURSOR_VERSION, self.__dict__)

    @classmethod
    def from_text(cls, text: str | None) -> Memory:
        """Back from :meth:`to_text`; nothing is known where it can't be read."""
        return read_cursor(text, _CURSOR_VERSION, cls._read, cls)

    @classmethod
    def _read(cls, fields: dict[str, Any]) -> Memory:
        return cls(
            read_stamp(fields["seen"]),
            read_stamp(fields["listed"]),
            {str(src): str(sha256) for src, sha256 in fields["scored"].items()},
            int(fields["asked"]),
        )


@dataclass(frozen=True)
class Look:
    """One look into the clips folder.

    Attributes
    ----------
    listing
        The key of a run that is to look into the clips, if one is needed.
    unscored
        Clips of the inventory without a shard of their content, that were not asked for yet.
    """

    listing: str | None
    unscored: tuple[Clip, ...]
    remarks: tuple[str, ...]
    memory: Memory


def look_into(home: Home, memory: Memory) -> Look:
    """Find what changed since the last look.

    The folder is looked into by a run once it has stayed the same between two looks; once it has
    an inventory, clips without a shard of their content are to be scored, each content once.
    """
    try:
        stamp = stamp_files(clip_files([home.clips])[0])
    except (OSError, UnusableInput):
        return Look(None, (), ("the clips folder changes; waiting",), replace(memory, seen=()))
    if stamp != memory.seen:
        told = "the clips folder changes; waiting until it stays the same"
        return Look(None, (), (told,), replace(memory, seen=stamp))
    if stamp != memory.listed:
        asked = memory.asked + 1
        key = f"clips-{sha256_of(json.dumps(stamp).encode())[:16]}-{asked}"
        return Look(key, (), (), replace(memory, listed=stamp, asked=asked))
    unscored = tuple(_unscored(home, memory))
    return Look(None, unscored, (), memory)


def remember_scored(memory: Memory, clips: Sequence[Clip]) -> Memory:
    """The memory after runs were asked for that score ``clips``."""
    scored = {**memory.scored, **{clip.src: clip.sha256 for clip in clips}}
    return replace(memory, scored=scored, asked=memory.asked + 1)


def _unscored(home: Home, memory: Memory) -> list[Clip]:
    known: UPath = inventory_file(home)
    if not known.exists():
        return []
    return [
        clip
        for clip in load_inventory(known).clips
        if memory.scored.get(clip.src) != clip.sha256
        and Path(clip.path).exists()
        and not has_shard(home.shards, clip)
    ]
