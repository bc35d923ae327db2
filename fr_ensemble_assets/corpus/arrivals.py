"""What has arrived in the inbox: noticed by content, once, and only when it is whole.

A look unpacks nothing and reads no more than its budget allows; a file that takes longer is read
on at the next look, after the smaller ones. So no file, however large it is or becomes, keeps
others from being noticed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from upath import UPath

from fr_ensemble_assets.corpus.arrival_digest import (
    Budget,
    Progress,
    digest_on,
    whole_digest,
)
from fr_ensemble_assets.corpus.parsing import (
    GZIP_MAGIC,
    PARQUET_MAGIC,
    SUFFIXES,
    Held,
    opened,
)
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.cursor import cursor_text, read_cursor
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.stamps import Stamp, read_stamp, stamp_files
from fr_ensemble_assets.foundation.wording import shown

#: A folder of shards is whole when this file lies in it.
MARKER_FILE = "_SUCCESS"
#: Looks at an unchanging file that doesn't seem whole, until its run says what is wrong with it.
_PATIENCE = 3
#: Dagster gives up a sensor after 60 s, and what it had found is lost then.
_LOOK_SECONDS = 10.0
#: What a whole gzip unpacks to, in its own sizes: never much less than one, rarely more than this.
#: Real corpora have 8. Beyond so many bytes too many endings would seem likely.
_GZIP_LEAST, _GZIP_MOST, _GZIP_FRAME_BYTES, _GZIP_BYTES = 0.99, 30, 1024, 4 << 20
_CURSOR_VERSION = 2
#: What arrived is read once, and parsed from memory, up to this size.
HELD_BYTES = 256 << 20


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

    path: UPath
    sha256: str


@dataclass(frozen=True)
class Watched:
    """An entry that may still be written, or isn't read to its end: as last seen, how often."""

    stamp: Stamp
    looks: int = 1
    progress: Progress = field(default_factory=Progress)

    @classmethod
    def from_json(cls, stamp: list[list[object]], looks: int, progress: list[object]) -> Watched:
        return cls(read_stamp(stamp), int(looks), Progress.from_json(progress))


@dataclass(frozen=True)
class Memory:
    """What is known from earlier looks.

    Attributes
    ----------
    watched
        Entries that have not been whole yet, or are being read, by name.
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
        return cursor_text(
            _CURSOR_VERSION,
            {
                "watched": {
                    name: [w.stamp, w.looks, w.progress.to_json()]
                    for name, w in self.watched.items()
                },
                "settled": self.settled,
                "taken": self.taken,
            },
        )

    @classmethod
    def from_text(cls, text: str | None) -> Memory:
        """Back from :meth:`to_text`; nothing is known where it can't be read."""
        return read_cursor(text, _CURSOR_VERSION, cls._read, cls)

    @classmethod
    def _read(cls, fields: dict[str, Any]) -> Memory:
        return cls(
            {name: Watched.from_json(*parts) for name, parts in fields["watched"].items()},
            {name: read_stamp(stamp) for name, stamp in fields["settled"].items()},
            {str(sha256): str(name) for sha256, name in fields["taken"].items()},
        )


@dataclass(frozen=True)
class Look:
    """One look into the inbox: what to train on, what to say, what to remember."""

    arrivals: tuple[Arrival, ...]
    remarks: tuple[str, ...]
    memory: Memory


@dataclass(frozen=True)
class _Seen:
    """What one look finds of an entry: either it stays watched, or its content is known."""

    watched: Watched | None = None
    sha256: str = ""
    remarks: str = ""


def look_into(
    inbox: UPath, memory: Memory, budget: Budget | None = None, also: tuple[str, ...] = ()
) -> Look:
    """Find what arrived since the last look, within ``budget`` (without one, ten seconds).

    Files are those that end as a corpus does, and those that end as ``also`` says.

    An entry is taken when it has not changed since the last look and is whole as far as can be
    seen without unpacking: a Parquet file with its magic at both ends, a gzip whose end tells a
    likely size, a folder with its marker. A file that stays the same and doesn't become whole is
    taken all the same after some looks, so that its run says what is wrong with it; a folder waits
    for its marker as long as it takes, since its shards by themselves would pass for a smaller
    corpus. A content that was taken before, under whatever name, is skipped.
    """
    budget = budget or Budget(seconds=_LOOK_SECONDS)
    arrivals: list[Arrival] = []
    said: list[str] = []
    watched: dict[str, Watched] = {}
    settled: dict[str, Stamp] = {}
    taken = dict(memory.taken)
    for entry, stamp in _smallest_first(inbox, SUFFIXES + also, said):
        if memory.settled.get(entry.name) == stamp:
            settled[entry.name] = stamp
            continue
        try:
            seen = _see(entry, stamp, memory, budget)
        except OSError as error:
            said.append(_unreadable(entry, error))
            continue
        if seen.remarks:
            said.append(seen.remarks)
        if seen.watched is not None:
            watched[entry.name] = seen.watched
            continue
        settled[entry.name] = stamp
        if seen.sha256 in taken:
            first = shown(taken[seen.sha256])
            said.append(f"'{shown(entry.name)}' is skipped: its content came as '{first}'")
        else:
            taken[seen.sha256] = entry.name
            arrivals.append(Arrival(entry, seen.sha256))
    return Look(tuple(arrivals), tuple(said), Memory(watched, settled, taken))


@contextmanager
def unchanged_arrival(path: UPath, sha256: str) -> Iterator[Held]:
    """Read in this block what was noticed: nothing else before it, nothing else until its end.

    Yields the bytes that the sha256 was taken over, to be read instead of the files: what is
    hashed is what is parsed. Only of what is larger than :data:`HELD_BYTES` none are held.

    Raises
    ------
    UnusableInput
        If what lies at ``path`` isn't what was noticed any more, or was touched in the meantime.
    """
    try:
        before = _touched(path)
        files = _content(path)
        small = sum(file.stat().st_size for file in files) <= HELD_BYTES
        held = {file: file.read_bytes() for file in files} if small else {}
        found = whole_digest(files, path.is_dir(), partial(opened, held=held))
        if found == sha256:
            yield held
            if _touched(path) == before:
                return
            found = "one that changed while it was read"
    except OSError as error:
        raise UnusableInput(
            f"{path}: expected the corpus that arrived, found it unreadable "
            f"({error.strerror or error}); put it into the inbox again."
        ) from error
    raise UnusableInput(
        f"{path}: expected the corpus that arrived, with the sha256 {sha256}, found {found}; "
        "it was replaced in the meantime, and what replaced it has a run of its own."
    )


def _smallest_first(
    inbox: UPath, endings: tuple[str, ...], said: list[str]
) -> list[tuple[UPath, Stamp]]:
    """The entries and how they look now; ``said`` gets a sentence for each that can't be seen."""
    found: list[tuple[int, UPath, Stamp]] = []
    for entry in _entries(inbox, endings):
        try:
            stamp = _stamp(entry)
            _require_utf8(entry, stamp)
        except OSError as error:
            said.append(_unreadable(entry, error))
        except UnicodeEncodeError as error:
            said.append(f"'{shown(error.object)}' is left alone: its name is not UTF-8, rename it")
        else:
            found.append((_size(stamp), entry, stamp))
    return [(entry, stamp) for _, entry, stamp in sorted(found)]


def _see(entry: UPath, stamp: Stamp, memory: Memory, budget: Budget) -> _Seen:
    before = memory.watched.get(entry.name)
    if before is None or before.stamp != stamp:
        return _Seen(Watched(stamp), remarks=_waits(entry))
    seen = replace(before, looks=before.looks + 1)
    if _may_become_whole(entry, seen.looks) and not _seems_whole(entry):
        return _Seen(seen, remarks=_waits(entry))
    progress, sha256 = digest_on(_content(entry), entry.is_dir(), seen.progress, budget)
    if _stamp(entry) != stamp:
        return _Seen(Watched(_stamp(entry)), remarks=_waits(entry))
    if sha256 is None:
        megabytes = f"{_size(stamp) / 1e6:.0f} MB"
        told = f"'{shown(entry.name)}' is being read, {megabytes} take more than one look"
        return _Seen(replace(seen, progress=progress), remarks=told)
    return _Seen(sha256=sha256)


def _entries(inbox: UPath, endings: tuple[str, ...]) -> Iterator[UPath]:
    for entry in inbox.iterdir():
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            # A link to the inbox, or to what it lies in, is no folder of shards.
            if not inbox.resolve().is_relative_to(entry.resolve()):
                yield entry
        elif entry.is_file() and entry.name.endswith(endings):
            yield entry


def _require_utf8(entry: UPath, stamp: Stamp) -> None:
    """Raise :class:`UnicodeEncodeError` if a name can't be written down."""
    for name in (entry.name, *(name for name, *_ in stamp)):
        name.encode("utf-8")


def _may_become_whole(entry: UPath, looks: int) -> bool:
    return entry.is_dir() or looks <= _PATIENCE


def _waits(entry: UPath) -> str:
    wholeness = f"a file {MARKER_FILE} lies in it" if entry.is_dir() else "it is whole"
    return f"'{shown(entry.name)}' waits until {wholeness}"


def _unreadable(entry: UPath, error: OSError) -> str:
    return f"'{shown(entry.name)}' can't be read: {error.strerror or error}"


def _files(entry: UPath) -> list[UPath]:
    return sorted(f for f in entry.iterdir() if f.is_file()) if entry.is_dir() else [entry]


def _content(entry: UPath) -> list[UPath]:
    return [file for file in _files(entry) if file.name != MARKER_FILE or file == entry]


def _stamp(entry: UPath) -> Stamp:
    return stamp_files(_files(entry))


def _touched(path: UPath) -> tuple[object, ...]:
    """The stamp, and when each file was last touched, which nobody can set back."""
    if not store.is_local(path):
        return (_stamp(path),)
    return _stamp(path), [file.stat().st_ctime_ns for file in _files(path)]


def _size(stamp: Stamp) -> int:
    return sum(size for _, size, *_ in stamp)


def _seems_whole(entry: UPath) -> bool:
    if entry.is_dir():
        return (entry / MARKER_FILE).exists()
    with entry.open("rb") as handle:
        head = handle.read(len(PARQUET_MAGIC))
        size = entry.stat().st_size
        handle.seek(max(0, size - 4))
        tail = handle.read(4)
    if head.startswith(GZIP_MAGIC):
        # The size before packing (modulo 4 GiB) ends a gzip. Other bytes stand for one that is
        # out of proportion almost always; where they don't, the run says that the end is missing.
        unpacked = int.from_bytes(tail, "little")
        if size > _GZIP_BYTES:
            return False
        return _GZIP_LEAST * size - _GZIP_FRAME_BYTES <= unpacked <= _GZIP_MOST * size
    if head == PARQUET_MAGIC or entry.name.endswith(".parquet"):
        return head == tail == PARQUET_MAGIC
    return bool(head)
