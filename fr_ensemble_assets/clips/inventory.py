"""Which files are clips, and what is in them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from upath import UPath

from fr_ensemble_assets.clips.clip import (
    SUFFIXES,
    Clip,
    RawVideo,
    file_sha256,
    read_clip,
)
from fr_ensemble_assets.clips.ffmpeg import Children, Ffmpeg
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import sha256_of
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.foundation.progress import StepReport, report_nothing
from fr_ensemble_assets.foundation.wording import listed, shown

_INVENTORY_VERSION = 1


@dataclass(frozen=True)
class Inventory:
    """What a clips folder holds.

    Attributes
    ----------
    clips
        The clips, sorted by name.
    refused
        A sentence for each file that looks like a clip and can't be used as one.
    ignored
        Names of files that are no clips by their ending.
    """

    clips: tuple[Clip, ...]
    refused: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Sixteen hex digits over the clips' names and contents."""
        content = [[clip.src, clip.identity()] for clip in self.clips]
        return sha256_of(json.dumps(content, sort_keys=True).encode())[:16]


def inventory_file(home: Home) -> UPath:
    """Where the inventory of a home's clips is kept."""
    return home.shards / "clips.json"


def clip_files(paths: Sequence[Path]) -> tuple[list[Path], tuple[str, ...]]:
    """The clips among ``paths``: files as named, and what lies in folders; and what was ignored.

    Raises
    ------
    UnusableInput
        If a path is missing, or a file that is named has the ending of no clip.
    """
    found: list[Path] = []
    ignored: list[str] = []
    for path in paths:
        if path.is_dir():
            entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
            # A pipe or a device under a clip's name would be read for ever.
            clips = [e for e in entries if e.suffix.lower() in SUFFIXES and e.is_file()]
            found += clips
            ignored += [entry.name for entry in entries if entry not in clips]
        elif path.is_file():
            if path.suffix.lower() not in SUFFIXES:
                raise UnusableInput(
                    f"{path}: expected a clip named *{', *'.join(SUFFIXES)}, found another ending; "
                    "convert it without loss, to FFV1 in Matroska for instance."
                )
            found.append(path)
        else:
            raise UnusableInput(f"{path}: expected a clip or a folder of clips, found neither.")
    once = {path.absolute(): path for path in found}
    return list(once.values()), tuple(ignored)


def take_inventory(
    ffmpeg: Ffmpeg,
    children: Children,
    files: Sequence[Path],
    raw: RawVideo | None,
    rate: str = "",
    workers: int = 1,
    report: StepReport = report_nothing,
) -> Inventory:
    """Look into every file; one that can't be used doesn't stop the others.

    Raises
    ------
    UnusableInput
        If two files have the same name but for their endings, which would be one source; or the
        same content, which would be one source under two names.
    """
    _require_distinct_names(files)
    clips: list[Clip] = []
    refused: list[str] = []

    def look(path: Path) -> Clip | str:
        try:
            return read_clip(ffmpeg, children, path, raw, rate)
        except UnusableInput as error:
            return str(error)

    with ThreadPoolExecutor(workers) as pool:
        try:
            for done, result in enumerate(pool.map(look, files), start=1):
                if isinstance(result, Clip):
                    clips.append(result)
                else:
                    refused.append(result)
                report(done, len(files))
        except BaseException:
            children.close()
            raise
    _require_distinct_content(clips)
    return Inventory(tuple(sorted(clips, key=lambda clip: clip.src)), tuple(refused))


def _require_distinct_names(files: Sequence[Path]) -> None:
    # By the stem itself: a name that can't be used is refused when its file's turn comes.
    names = Counter(path.stem for path in files)
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        same = [str(path) for path in files if path.stem == twice[0]]
        raise UnusableInput(
            f"{listed(same, separator=' and ')}: expected names that differ, since they become "
            f"'src' in the corpus, found '{shown(twice[0])}' {len(same)} times; rename one."
        )


def _require_distinct_content(clips: Sequence[Clip]) -> None:
    by_content: dict[str, list[str]] = {}
    for clip in clips:
        by_content.setdefault(clip.sha256, []).append(str(clip.path))
    copies = [listed(paths, separator=" and ") for paths in by_content.values() if len(paths) > 1]
    if copies:
        raise UnusableInput(
            f"{', '.join(copies)}: expected clips that differ, found the same content: a source "
            "would be held out under one name and trained on under another; keep one of each."
        )


def require_unchanged(clips: Sequence[Clip]) -> None:
    """Raise :class:`UnusableInput` if a clip's file isn't what it was when it was looked into."""
    for clip in clips:
        if file_sha256(Path(clip.path)) != clip.sha256:
            raise UnusableInput(
                f"{clip.path}: expected the content that the inventory knows, found another; "
                "the file changed, look into the clips again."
            )


def save_inventory(path: UPath, inventory: Inventory) -> None:
    """Write it down for the steps that follow."""
    document = {
        "schema_version": _INVENTORY_VERSION,
        "clips": [clip.to_json() for clip in inventory.clips],
        "refused": list(inventory.refused),
        "ignored": list(inventory.ignored),
    }
    store.put_json(path, document)


def load_inventory(path: UPath) -> Inventory:
    """Read what :func:`save_inventory` wrote.

    Raises
    ------
    UnusableInput
        If it isn't there or was written by another version.
    """
    try:
        document = json.loads(store.read(path, "the inventory of the clips folder"))
        if document["schema_version"] != _INVENTORY_VERSION:
            raise ValueError
        return Inventory(
            tuple(Clip.from_json(clip) for clip in document["clips"]),
            tuple(document["refused"]),
            tuple(document["ignored"]),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise UnusableInput(
            f"{path}: expected the inventory of the clips folder, found something else; "
            "materialise 'reference_clips' again."
        ) from error
