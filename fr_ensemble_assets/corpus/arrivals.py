"""What has arrived in the inbox: noticed by content, once, and only when it is whole."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fr_ensemble_assets.corpus.shards import SUFFIXES
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import parse_json, sha256_of_file
from fr_ensemble_assets.foundation.stamps import Stamp, read_stamp, stamp_files

#: A folder of shards is whole when this file lies in it.
MARKER_FILE = "_SUCCESS"
_PARQUET_MAGIC = b"PAR1"
#: Looks at an unchanging file that isn't whole, until its run says what is wrong with it.
_PATIENCE = 3
_CURSOR_VERSION = 1


@dataclass(frozen=True)
class Arrival:
    """A corpus that is to be trained on.

    Attributes
    ----------
    path
        Where it lies.
    sha256
        Over its bytes: of one file, or of the names and bytes of a folder's shards.
    """

    path: Path
    sha256: str


@dataclass(frozen=True)
class Watched:
    """An entry of the inbox that may still be written: as it was when last seen, how often."""

    stamp: Stamp
    looks: int = 1


@dataclass(frozen=True)
class Memory:
    """What is known from earlier looks.

    Attributes
    ----------
    watched
        Entries that have not been whole yet, by name.
    settled
        Entries that were taken or skipped, as they were then, by name.
    taken
        The first name of every content that was taken, by sha256.
    """

    watched: Mapping[str, Watched] = field(default_factory=dict)
    settled: Mapping[str, Stamp] = field(default_factory=dict)
    taken: Mapping[str, str] = field(default_factory=dict)

    def to_text(self) -> str:
        """For the sensor's cursor."""
        return json.dumps(
            {
                "version": _CURSOR_VERSION,
                "watched": {name: [w.stamp, w.looks] for name, w in self.watched.items()},
                "settled": self.settled,
                "taken": self.taken,
            },
            sort_keys=True,
        )

    @classmethod
    def from_text(cls, text: str | None) -> Memory:
        """Back from :meth:`to_text`; nothing is known where it can't be read."""
        try:
            known = parse_json((text or "").encode(), "the sensor's cursor")
            if known["version"] != _CURSOR_VERSION:
                return cls()
            return cls(
                {
                    n: Watched(read_stamp(s), int(looks))
                    for n, (s, looks) in known["watched"].items()
                },
                {name: read_stamp(stamp) for name, stamp in known["settled"].items()},
                {str(sha256): str(name) for sha256, name in known["taken"].items()},
            )
        except (UnusableInput, KeyError, TypeError, ValueError):
            return cls()


@dataclass(frozen=True)
class Look:
    """One look into the inbox: what to train on, what to say, what to remember."""

    arrivals: tuple[Arrival, ...]
    said: tuple[str, ...]
    memory: Memory


def look_into(inbox: Path, memory: Memory) -> Look:
    """Find what arrived since the last look.

    An entry is taken when it has not changed since the last look and is whole: a Parquet file with
    its magic at both ends, a gzip that unpacks to its end, a folder with its marker. A file that
    stays the same and doesn't become whole is taken all the same after some looks, so that its run
    says what is wrong with it; a folder waits for its marker as long as it takes, since its shards
    by themselves would pass for a smaller corpus. A content that was taken before, under whatever
    name, is skipped.
    """
    arrivals: list[Arrival] = []
    said: list[str] = []
    watched: dict[str, Watched] = {}
    settled: dict[str, Stamp] = {}
    taken = dict(memory.taken)
    for entry in sorted(_entries(inbox)):
        try:
            _require_utf8(entry)
            stamp = _stamp(entry)
            if memory.settled.get(entry.name) == stamp:
                settled[entry.name] = stamp
                continue
            before = memory.watched.get(entry.name)
            looks = before.looks + 1 if before is not None and before.stamp == stamp else 1
            if looks == 1 or (_may_become_whole(entry, looks) and not _is_whole(entry)):
                watched[entry.name] = Watched(stamp, looks)
                said.append(f"'{entry.name}' waits until {_wholeness(entry)}")
                continue
            sha256 = _sha256(entry)
            if _stamp(entry) != stamp:
                watched[entry.name] = Watched(_stamp(entry))
                continue
        except OSError as error:
            said.append(f"'{entry.name}' can't be read: {error.strerror or error}")
            continue
        except UnicodeEncodeError as error:
            shown = str(error.object).encode("utf-8", "backslashreplace").decode()
            said.append(f"'{shown}' is left alone: its name is not UTF-8, rename it")
            continue
        settled[entry.name] = stamp
        if sha256 in taken:
            said.append(f"'{entry.name}' is skipped: its content came as '{taken[sha256]}'")
        else:
            taken[sha256] = entry.name
            arrivals.append(Arrival(entry, sha256))
    return Look(tuple(arrivals), tuple(said), Memory(watched, settled, taken))


def require_unchanged_arrival(path: Path, sha256: str) -> None:
    """Raise :class:`UnusableInput` if what lies at ``path`` isn't what was noticed any more."""
    try:
        found = _sha256(path)
    except OSError as error:
        raise UnusableInput(
            f"{path}: expected the corpus that arrived, found it unreadable "
            f"({error.strerror or error}); put it into the inbox again."
        ) from error
    if found != sha256:
        raise UnusableInput(
            f"{path}: expected the corpus that arrived, with the sha256 {sha256}, found {found}; "
            "it was replaced in the meantime, and what replaced it has a run of its own."
        )


def _entries(inbox: Path) -> Iterator[Path]:
    for entry in inbox.iterdir():
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            # A link to the inbox, or to what it lies in, is no folder of shards.
            if not inbox.resolve().is_relative_to(entry.resolve()):
                yield entry
        elif entry.is_file() and entry.name.endswith(SUFFIXES):
            yield entry


def _require_utf8(entry: Path) -> None:
    """Raise :class:`UnicodeEncodeError` if a name can't be written down."""
    for path in (entry, *_files(entry)):
        path.name.encode("utf-8")


def _may_become_whole(entry: Path, looks: int) -> bool:
    return entry.is_dir() or looks <= _PATIENCE


def _wholeness(entry: Path) -> str:
    return f"a file {MARKER_FILE} lies in it" if entry.is_dir() else "it is whole"


def _files(entry: Path) -> list[Path]:
    return sorted(f for f in entry.iterdir() if f.is_file()) if entry.is_dir() else [entry]


def _stamp(entry: Path) -> Stamp:
    return stamp_files(_files(entry))


def _is_whole(entry: Path) -> bool:
    if entry.is_dir():
        return (entry / MARKER_FILE).exists()
    with entry.open("rb") as handle:
        head = handle.read(4)
        if head[:2] == b"\x1f\x8b":
            return _unpacks(entry)
        if head == _PARQUET_MAGIC or entry.name.endswith(".parquet"):
            handle.seek(max(0, entry.stat().st_size - 4))
            return head == handle.read(4) == _PARQUET_MAGIC
    return bool(head)


def _unpacks(entry: Path) -> bool:
    try:
        with gzip.open(entry) as handle:
            while handle.read(1 << 20):
                pass
    except (EOFError, OSError, zlib.error):
        return False
    return True


def _sha256(entry: Path) -> str:
    if entry.is_file():
        return sha256_of_file(entry)
    digest = hashlib.sha256()
    for file in _files(entry):
        if file.name != MARKER_FILE:
            digest.update(f"{file.name}\n{_sha256(file)}\n".encode())
    return digest.hexdigest()
