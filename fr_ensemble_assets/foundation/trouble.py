"""Disks that are full or fail, databases that others hold, stores and databases that don't answer:
told in one sentence, not in SQL.

These say nothing about the input and nothing about the ensemble. SQLite, Dagster and the drivers of
databases and stores wrap them in their own exceptions, in several ways, so they are known by the
words of the system.
"""

from __future__ import annotations

import errno
import os

from fr_ensemble_assets.foundation.wording import shown

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
#: The same of services, by the words of their drivers.
_SILENCE = {
    **dict.fromkeys(
        (
            "Could not connect to the endpoint URL",
            "Connect timeout on endpoint URL",
            "Read timeout on endpoint URL",
            "Connection was closed before we received a valid response",
            "We encountered an internal error, please try again",
            "Cannot connect to host",
            "Server disconnected",
        ),
        "the store of objects doesn't answer, look whether it runs and at its address",
    ),
    **dict.fromkeys(
        (
            "too many retries for DB connection",
            "connection to server at",
            "could not translate host name",
            "server closed the connection unexpectedly",
            "terminating connection due to",
            "the database system is",
        ),
        "the database doesn't answer, look whether it runs and at its address",
    ),
}
#: Libraries whose errors are about a service, whatever their words are about.
_OF_SERVICES = {
    "botocore": "the store of objects doesn't answer as it should, look at it",
    "aiohttp": "the store of objects doesn't answer as it should, look at it",
    "azure": "the store of objects doesn't answer as it should, look at it",
    "gcsfs": "the store of objects doesn't answer as it should, look at it",
    "psycopg2": "the database doesn't answer as it should, look at it",
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
            return _told(at, "a disk that works", words, advice)
    for words, advice in _SILENCE.items():
        if words in text:
            at = f"{where}: " if where else ""
            return _told(at, "a service that answers", words, advice)
    return None


def _told(at: str, expected: str, found: str, advice: str) -> StorageTrouble:
    return StorageTrouble(
        f"{at}expected {expected}, found '{found}': {advice}, then type the same command; "
        "finished work is kept."
    )


def trouble_behind(error: BaseException, where: str = "") -> StorageTrouble | None:
    """The trouble that led to ``error``, itself or through others.

    ``where`` is told in place of the file that the system names, such as one under a name that
    holds only until it is whole.
    """
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if isinstance(link, StorageTrouble):
            return link
        if isinstance(link, OSError) and link.errno in _OF_THE_SYSTEM:
            return trouble_in(os.strerror(link.errno), where or str(link.filename or ""))
        if "sqlite3" in str(link) and (found := trouble_in(str(link))):
            return found
        if found := _of_a_service(link):
            return found
        link = link.__cause__ or link.__context__
    return None


def _of_a_service(error: BaseException) -> StorageTrouble | None:
    """The trouble of a store or a database, told by its driver's own exceptions."""
    library = type(error).__module__.partition(".")[0]
    if library == "fsspec" and isinstance(error, TimeoutError):
        return _told(
            "",
            "a service that answers",
            "no answer in time",
            "the store of objects is slow or gone, look at it",
        )
    if library not in _OF_SERVICES or _is_refusal(error):
        return None
    text = " ".join(str(error).split())
    return trouble_in(text) or _told(
        "", "a service that answers", shown(text), _OF_SERVICES[library]
    )


def _is_refusal(error: BaseException) -> bool:
    """Whether a service answered, and what: an answer is no silence."""
    code = getattr(error, "code", None)
    return hasattr(error, "response") or (isinstance(code, int) and 400 <= code < 500)
