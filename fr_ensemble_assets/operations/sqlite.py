"""Dagster's SQLite files, written to without a wait for the disk at every record.

Dagster opens a connection for each record and closes it. The last one of a file that closes folds
the write-ahead log back into it and waits for the disk, some 200 times a run. An idle connection of
ours to each file keeps the log open meanwhile.
"""

from __future__ import annotations

import atexit
import sqlite3
import threading
from collections import OrderedDict
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

#: Dagster has three files, and one more a run.
_MOST = 12
_File = tuple[int, int]


class _Idle:
    """Connections that nobody uses, one a file; the files that were asked for last."""

    def __init__(self) -> None:
        self._open: OrderedDict[_File, sqlite3.Connection] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, path: str) -> None:
        """Have one to this file, if it has a write-ahead log by now."""
        with self._lock, suppress(OSError, sqlite3.Error):
            found = Path(path).stat()
            file = found.st_dev, found.st_ino
            if file in self._open:
                self._open.move_to_end(file)
                return
            connection = sqlite3.connect(path, check_same_thread=False)
            # To read is what attaches it to the log; a file that is being made has none yet.
            (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if mode != "wal":
                connection.close()
                return
            self._open[file] = connection
            while len(self._open) > _MOST:
                self._open.popitem(last=False)[1].close()

    def close(self) -> None:
        """The logs of files that nobody else has open are folded back into them."""
        with self._lock, suppress(sqlite3.Error):
            while self._open:
                self._open.popitem()[1].close()


idle = _Idle()


@cache
def write_without_waiting() -> None:
    """From now on, for every SQLite file that this process opens through SQLAlchemy.

    A process that is killed loses nothing. A machine that loses its power may lose the last
    records, never a file (SQLite's documentation of ``PRAGMA synchronous``, NORMAL with a log).
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    event.listen(Engine, "connect", _connected)
    atexit.register(idle.close)


def _connected(connection: Any, _record: object) -> None:
    if not isinstance(connection, sqlite3.Connection):
        return
    connection.execute("PRAGMA synchronous=NORMAL")
    for _, _, path in connection.execute("PRAGMA database_list").fetchall():
        if path:
            idle.keep(path)
