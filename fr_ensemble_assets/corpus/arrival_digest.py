"""The sha256 of what arrived, taken piece by piece, so that one look need not reach its end."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO

from upath import UPath

#: A file up to this size has its plain sha256. A larger one has that of a chain: of each piece
#: after the hexadecimal sha256 of everything before it.
PIECE_BYTES = 16 << 20


Opening = Callable[[UPath], IO[bytes]]


def open_file(file: UPath) -> IO[bytes]:
    """For reading, where it lies."""
    return file.open("rb")


@dataclass
class Budget:
    """What one look may spend; each piece that is read is taken from it.

    Attributes
    ----------
    n_bytes
        To be read at most; a piece that was begun is read to its end.
    seconds
        After which no other piece is begun.
    """

    n_bytes: float = float("inf")
    seconds: float = float("inf")
    _began: float = field(default_factory=time.monotonic)

    @property
    def is_spent(self) -> bool:
        return self.n_bytes <= 0 or time.monotonic() - self._began >= self.seconds


@dataclass(frozen=True)
class Progress:
    """How far an entry has been read.

    Attributes
    ----------
    before
        Over the names and digests of the files that are done (of a folder).
    n_files
        How many those are.
    chain, offset
        Over the file in hand, and up to where.
    """

    before: str = ""
    n_files: int = 0
    chain: str = ""
    offset: int = 0

    def to_json(self) -> list[str | int]:
        return [self.before, self.n_files, self.chain, self.offset]

    @classmethod
    def from_json(cls, parts: Sequence[object]) -> Progress:
        """Back from :meth:`to_json`; :class:`ValueError` if it is something else."""
        before, n_files, chain, offset = map(str, parts)
        return cls(before, int(n_files), chain, int(offset))


def digest_on(
    files: Sequence[UPath],
    as_folder: bool,
    progress: Progress,
    budget: Budget,
    opened: Opening = open_file,
) -> tuple[Progress, str | None]:
    """Read on from ``progress`` while the budget lasts; the sha256 once the end is reached.

    Of one file it is over its bytes, of a folder over the names and digests of its files.
    """
    while progress.n_files < len(files):
        file = files[progress.n_files]
        progress, sha256 = _file_on(file, progress, budget, opened)
        if sha256 is None:
            return progress, None
        if not as_folder:
            return progress, sha256
        before = _sha256(f"{progress.before}{file.name}\n{sha256}\n".encode())
        progress = Progress(before, progress.n_files + 1)
    return progress, progress.before or _sha256(b"")


def whole_digest(files: Sequence[UPath], as_folder: bool, opened: Opening = open_file) -> str:
    """The same at once, however long it takes."""
    _, sha256 = digest_on(files, as_folder, Progress(), Budget(), opened)
    assert sha256 is not None  # a budget without an end reaches the end
    return sha256


def _file_on(
    file: UPath, progress: Progress, budget: Budget, opened: Opening
) -> tuple[Progress, str | None]:
    chain, offset = progress.chain, progress.offset
    with opened(file) as handle:
        handle.seek(offset)
        while not budget.is_spent:
            piece = handle.read(PIECE_BYTES)
            if piece or not chain:
                chain = _sha256(chain.encode() + piece)
            offset += len(piece)
            budget.n_bytes -= max(len(piece), 1)  # an empty file costs something too
            if len(piece) < PIECE_BYTES:
                return Progress(progress.before, progress.n_files, chain, offset), chain
    return Progress(progress.before, progress.n_files, chain, offset), None


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
