"""A fault at the n-th write: installed in a child, which then kills itself there.

Counted are, under one folder: opening a file for writing, writing to it (half of it arrives),
copying into it, making a folder, renaming, removing, syncing; and every commit of a database.
"""

from __future__ import annotations

import builtins
import io
import os
import pathlib
import shutil
import signal
import threading
from collections.abc import Callable
from typing import Any


class Killer:
    """Counts, and kills this process at event number ``at``; never, if that is 0."""

    def __init__(self, root: str, at: int = 0) -> None:
        self.root, self.at = os.path.realpath(root) + os.sep, at
        self.count = 0
        self.kinds: list[str] = []
        self._lock = threading.Lock()

    def event(self, kind: str, half: Callable[[], Any] | None = None) -> None:
        """One more; if it is the one, do half of it and die."""
        with self._lock:
            self.count += 1
            if self.at == 0:
                self.kinds.append(kind)
            if self.count == self.at:
                if half is not None:
                    half()
                os.kill(os.getpid(), signal.SIGKILL)

    def concerns(self, path: Any) -> bool:
        try:
            return os.path.abspath(os.fspath(path)).startswith(self.root)  # noqa: PTH100
        except TypeError:
            return False

    def install(self) -> None:
        """Into this process, for good."""
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        opened = self._opening(io.open)
        builtins.open = io.open = opened  # type: ignore[assignment]
        if hasattr(pathlib, "io"):
            pathlib.io.open = opened
        for name in ("rename", "replace", "mkdir", "unlink", "remove", "rmdir", "link", "symlink"):
            setattr(os, name, self._on_path(name, getattr(os, name)))
        os.fsync = self._on_fd("fsync", os.fsync)
        sendfile = os.sendfile
        os.sendfile = self._halving(sendfile)  # type: ignore[assignment]
        # Where a copy is not by sendfile, it is by write, which is counted by the file itself.
        shutil._USE_CP_SENDFILE = True  # type: ignore[attr-defined]
        event.listen(Engine, "commit", lambda _: self.event("commit"))

    def _on_path(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *more: Any, **named: Any) -> Any:
            # A folder that is there already is not made.
            if self.concerns(path) and not (name == "mkdir" and os.path.isdir(path)):  # noqa: PTH112
                self.event(name)
            return real(path, *more, **named)

        return call

    def _on_fd(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(fd: Any) -> Any:
            self.event(name)
            return real(fd)

        return call

    def _halving(self, real: Callable[..., int]) -> Callable[..., int]:
        def call(target: int, source: int, offset: Any, count: int) -> int:
            size = os.fstat(source).st_size
            self.event("copy", lambda: real(target, source, offset, max(1, size // 2)))
            return real(target, source, offset, count)

        return call

    def _opening(self, real: Callable[..., Any]) -> Callable[..., Any]:
        killer = self

        class Halving(io.BufferedWriter):
            def write(self, data: Any) -> int:
                def half() -> None:
                    view = memoryview(data)
                    super(Halving, self).write(view[: len(view) // 2])
                    self.flush()

                killer.event("write", half)
                return super().write(data)

        def call(file: Any, mode: str = "r", *more: Any, **named: Any) -> Any:
            if not set(mode) & set("wax+") or not killer.concerns(file):
                return real(file, mode, *more, **named)
            killer.event("open")
            if mode == "wb":
                return Halving(io.FileIO(file, "wb"))
            return real(file, mode, *more, **named)

        return call
