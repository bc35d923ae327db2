"""How a file looks from outside: what a writer can't help changing, without reading a byte."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

#: Name, size, change time (ns) and inode of each file.
Stamp = tuple[tuple[str, int, int, int], ...]


def stamp_files(files: Iterable[Path]) -> Stamp:
    """How ``files`` look now.

    Raises
    ------
    OSError
        If one is gone.
    """
    found = ((file.name, file.stat()) for file in files)
    return tuple((name, stat.st_size, stat.st_mtime_ns, stat.st_ino) for name, stat in found)


def read_stamp(parts: Sequence[Sequence[object]]) -> Stamp:
    """Back from JSON.

    Raises
    ------
    ValueError, TypeError
        If it is something else.
    """
    return tuple((str(name), int(str(s)), int(str(t)), int(str(i))) for name, s, t, i in parts)
