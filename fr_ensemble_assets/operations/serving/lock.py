"""One home, one server: the lock on a home, and the note of who serves it where."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upath import UPath

from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.alone import Taken
from fr_ensemble_assets.foundation.alone import alone as hold
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import parse_json
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.operations.front.service import answers
from fr_ensemble_assets.operations.serving.sessions import Session

#: What the folder of a server begins with, so that no other is removed on a note's word.
FOLDER_PREFIX = "fr-ensemble-"
_LOCK_FILE, _NOTE_FILE = "ui.lock", "ui.json"


@dataclass(frozen=True)
class Note:
    """What a server leaves in its home for whoever asks, or clears up after it.

    Attributes
    ----------
    address
        Where a browser finds it; ``None`` while that isn't known.
    sessions
        Every session of processes that it ever started.
    folder
        Where its sockets and settings lie; empty if there is none.
    """

    address: str | None = None
    sessions: tuple[Session, ...] = ()
    folder: str = ""


def write_note(home: Home, note: Note) -> None:
    """Say who serves ``home``."""
    told = {"address": note.address, "sessions": note.sessions, "folder": note.folder}
    store.put_json(UPath(home.dagster / _NOTE_FILE), told)


def read_note(home: Home) -> Note:
    """Who served ``home`` last; an empty note where none can be read."""
    path = UPath(home.dagster / _NOTE_FILE)
    try:
        told = parse_json(store.read(path, "a note of the UI"), str(path))
    except UnusableInput:
        return Note()
    if not isinstance(told, dict):
        return Note()
    address = told.get("address")
    return Note(
        address=None if address is None else str(address),
        sessions=_sessions(told),
        folder=str(told.get("folder", "")),
    )


def remove_note(home: Home) -> None:
    """Nobody serves ``home`` any more."""
    (home.dagster / _NOTE_FILE).unlink(missing_ok=True)


def remove_folder(note: Note) -> None:
    """Remove what a killed server left in the folder for temporary files, and nothing else."""
    folder = Path(note.folder)
    if folder.name.startswith(FOLDER_PREFIX) and folder.parent == Path(tempfile.gettempdir()):
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def alone(home: Home) -> Iterator[None]:
    """Be the only one who serves ``home`` while the block runs.

    Raises
    ------
    UnusableInput
        If another process serves it.
    """
    with ExitStack() as held:
        try:
            held.enter_context(hold(home.dagster / _LOCK_FILE))
        except Taken:
            where = read_note(home).address or "an address that isn't known yet"
            raise UnusableInput(
                f"{home.root}: expected a home that nobody serves, found one that is served at "
                f"{where} already; use that one, or another --home."
            ) from None
        yield


def verdict_page(address: str) -> str:
    """Where the UI at ``address`` shows the verdict."""
    return f"{address}/assets/ensemble_verdict"


def where_to_look(home: Home) -> str:
    """Where a browser shows the verdict, or what to type first."""
    served = served_at(home)
    return verdict_page(served) if served else "fr-ensemble ui (it prints the verdict's address)"


def served_at(home: Home) -> str | None:
    """The address of the UI that serves this home now, if any does."""
    path = home.dagster / _LOCK_FILE
    try:
        with Path(str(path)).open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return read_note(home).address
    except OSError:
        return None
    # Nobody holds the lock. Services that a killed `fr-ensemble ui` left go on serving.
    left = read_note(home).address
    return left if left is not None and answers(left) else None


def _sessions(record: Mapping[str, Any]) -> tuple[Session, ...]:
    try:
        return tuple((int(pid), float(began)) for pid, began in record.get("sessions") or ())
    except (TypeError, ValueError):
        return ()
