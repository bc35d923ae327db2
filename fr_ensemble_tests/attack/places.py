"""What stands where a regular file should: pipes, devices, links, folders."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

#: What can be put in a file's place; none of it is that file.
ODD = (
    "FIFO",
    "folder",
    "link loop",
    "broken link",
    "zero device",
    "null device",
    "nothing",
    "empty",
)


def put(chance: random.Random, path: Path, *kinds: str) -> str:
    """Put something odd at ``path``; returns what."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    kind = chance.choice(kinds or ODD)
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link loop":
        path.symlink_to(path)
    elif kind == "broken link":
        path.symlink_to(path.parent / "nowhere")
    elif kind == "zero device":
        path.symlink_to(chance.choice(("/dev/zero", "/dev/urandom")))
    elif kind == "null device":
        path.symlink_to(chance.choice(("/dev/null", "/dev/full")))
    elif kind == "empty":
        path.write_bytes(b"")
    return kind
