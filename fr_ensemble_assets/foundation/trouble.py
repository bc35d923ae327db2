"""Disks that are full or fail, databases that others hold: told in one sentence, not in SQL.

These say nothing about the input and nothing about the ensemble. SQLite and Dagster wrap them in
their own exceptions, in several ways, so they are known by the words of the system.
"""

from __future__ import annotations

import errno
import os

#: What the system says, and what a person does about it.
_TROUBLES = {
    "No space left on device": "the disk is full, free some space",
    "database or disk is full": "the disk is full, free some space",
    "Disk quota exceeded": "the quota is used up, free some space",
    "database is locked": "another process holds the database, end it or wait for it",
    "disk I/O error": "the disk is full or fails, look at it",
    "Input/output error": "the disk fails, look at it",
    "Read-only file system": "nothing can be written there, look at how the disk is mounted",
    "unable to open database file": "the disk is full or the folder is gone, look at it",
}
_OF_THE_SYSTEM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS})


class StorageTrouble(Exception):
    """Disk or database failed under work that was all right: exit code 3.

    The message is one sentence. What was done before is kept, whole.
    """


def trouble_in(text: str, where: str = "") -> StorageTrouble | None:
    """The trouble that ``text``, somebody's account of a failure, speaks of."""
    for words, advice in _TROUBLES.items():
        if words in text:
            at = f"{where}: " if where else ""
            return StorageTrouble(
                f"{at}expected a disk that works, found '{words}': {advice}, then type the same "
                "command; finished work is kept."
            )
    return None


def trouble_behind(error: BaseException) -> StorageTrouble | None:
    """The trouble that led to ``error``, itself or through others."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if isinstance(link, StorageTrouble):
            return link
        if isinstance(link, OSError) and link.errno in _OF_THE_SYSTEM:
            return trouble_in(os.strerror(link.errno), str(link.filename or ""))
        if "sqlite3" in str(link) and (found := trouble_in(str(link))):
            return found
        link = link.__cause__ or link.__context__
    return None
