"""Publications in a store of objects, where two publishers may be at work and nothing is locked.

::

    candidates/<sha, short>/
    ├── 3f0c…-9a1b2c3d/            the files of one publication, never changed
    ├── 81d2…-5e6f7a8b/            those of the next
    └── publications/
        ├── 00000001.json          names the first
        └── 00000002.json          names the second: it stands

Files are put first, into a folder of their own; then the pointer with the next number, which the
store lets only one publisher create. A reader takes the newest pointer: it sees a whole publication
or the one before it. On a disk a publication is the folder itself (:func:`.store.publish`).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping

from upath import UPath

from fr_ensemble_assets.foundation import seen, store
from fr_ensemble_assets.foundation.documents import read_object
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import json_bytes, sha256_of

PUBLICATIONS = "publications"
_POINTER = re.compile(r"([0-9]{8})\.json")
_VERSION = re.compile(r"[0-9a-f]{12}-[0-9a-f]{8}")
_DIGITS = 12


def standing(folder: UPath) -> UPath:
    """Where the files of the publication in ``folder`` lie.

    On a disk, and where somebody copied the files of one to a store of objects, ``folder`` itself.

    Raises
    ------
    UnusableInput
        If the newest pointer is none of ours.
    """
    return folder if store.is_local(folder) else _newest(folder)[1]


def publish(folder: UPath, files: Mapping[str, bytes], manifest: str) -> None:
    """:func:`.store.publish`, and in a store of objects a new version that replaces the standing.

    Raises
    ------
    UnusableInput
        If another publisher was faster with other files; its publication stands.
    """
    if store.is_local(folder):
        store.publish(folder, files, manifest)
        return
    seen.was_changed(folder)  # others may have published since it was listed
    number, _ = _newest(folder)
    version = folder / f"{_digest(files)[:_DIGITS]}-{secrets.token_hex(4)}"
    for name in sorted(files, key=lambda name: (name == manifest, name)):
        store.put(version / name, files[name])
    pointer = {"version": version.name, "files": sorted(files)}
    if store.put_new(folder / PUBLICATIONS / f"{number + 1:08d}.json", json_bytes(pointer)):
        return
    store.delete(version)
    _, faster = _newest(folder)
    if not faster.name.startswith(f"{_digest(files)[:_DIGITS]}-"):
        raise UnusableInput(
            f"{folder}: expected to be the only one that publishes here, found that another "
            f"process published '{faster.name}' at the same moment; that one stands, run again to "
            "replace it."
        )


def unpointed(folder: UPath) -> list[UPath]:
    """Versions in ``folder`` of a store of objects that no reader takes any more, or none yet."""
    _, newest = _newest(folder)
    return [
        version
        for version in store.folders(folder)
        if _VERSION.fullmatch(version.name) and version.name != newest.name
    ]


def _newest(folder: UPath) -> tuple[int, UPath]:
    """The highest number of a pointer, and the version that it names; 0 where there is none."""
    pointers = folder / PUBLICATIONS
    numbers = [int(match[1]) for match in map(_POINTER.fullmatch, store.names(pointers)) if match]
    if not numbers:
        return 0, folder
    path = pointers / f"{max(numbers):08d}.json"
    named = str(read_object(store.read(path, "a pointer"), str(path)).get("version"))
    if not _VERSION.fullmatch(named):
        raise UnusableInput(
            f"{path}: expected the name of a version, found {named[:40]!a}; it was altered, "
            "remove it and run again."
        )
    return max(numbers), folder / named


def _digest(files: Mapping[str, bytes]) -> str:
    told = {name: sha256_of(data) for name, data in sorted(files.items())}
    return sha256_of(json_bytes(told))
