"""How a file looks from outside: what a writer can't help changing, without reading a byte."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from upath import UPath

from fr_ensemble_assets.foundation import objects, store
from fr_ensemble_assets.foundation.files import sha256_of

#: Name, size, change time (ns) and inode of each file.
Stamp = tuple[tuple[str, int, int, int], ...]


def stamp_files(files: Iterable[Path | UPath]) -> Stamp:
    """How ``files`` look now.

    A store of objects knows neither inodes nor changes; what it tells instead (its tag of the
    content, for instance) stands for both.

    Raises
    ------
    OSError
        If one is gone.
    """
    return tuple(_stamp(file) for file in files)


def stamp_objects(looks: Iterable[tuple[str, tuple[int, store.Looks | None]]]) -> Stamp:
    """The same of objects that were listed: names, sizes and looks."""
    return tuple((name, size, _number(told), 0) for name, (size, told) in looks)


def _number(looks: store.Looks | None) -> int:
    return int(sha256_of(repr(looks).encode())[:12], 16)


def _stamp(file: Path | UPath) -> tuple[str, int, int, int]:
    if not store.is_local(file):
        size, looks = objects.look_at(UPath(file))
        return file.name, size, _number(looks), 0
    found = file.stat()
    return file.name, found.st_size, found.st_mtime_ns, found.st_ino


def read_stamp(parts: Sequence[Sequence[object]]) -> Stamp:
    """Back from JSON.

    Raises
    ------
    ValueError, TypeError
        If it is something else.
    """
    return tuple((str(name), int(str(s)), int(str(t)), int(str(i))) for name, s, t, i in parts)
