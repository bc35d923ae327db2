"""One process at a time: a lock that ends with the process that holds it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Taken(Exception):
    """Another process holds the lock.

    Attributes
    ----------
    pid
        Its number; empty where that can't be read.
    """

    def __init__(self, pid: str) -> None:
        super().__init__(pid)
        self.pid = pid


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Hold ``lock``, a file that is made where there is none, while the block runs.

    Raises
    ------
    Taken
        If another process holds it.
    """
    with lock.open("a+b") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            pid = handle.read(20).decode("ascii", "replace")
            raise Taken(pid if pid.isdecimal() else "") from None
        handle.truncate(0)
        handle.write(str(os.getpid()).encode())
        handle.flush()
        yield
