"""How trainers tell how far they are, and how they are told to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

#: Called now and then with (steps done, steps in all); may raise :class:`Cancelled`.
StepReport = Callable[[int, int], None]


class Cancelled(Exception):
    """Raised inside a trainer's report when its result is no longer wanted."""


def report_nothing(done: int, total: int) -> None:
    """A report that nobody reads."""


def in_parts(parts: int, tell: Callable[[int, int], None]) -> StepReport:
    """A report that calls ``tell`` with the same figures, at most ``parts`` times."""
    told = 0

    def report(done: int, total: int) -> None:
        nonlocal told
        part = parts * done // total
        if part > told:
            told = part
            tell(done, total)

    return report


class Shares:
    """One report over several pieces of work of the same size, done in any order by any thread."""

    _GRAIN = 1000

    def __init__(self, pieces: int, whole: StepReport) -> None:
        self._fractions = [0.0] * pieces
        self._whole = whole
        self._lock = threading.Lock()

    def report(self, piece: int) -> StepReport:
        """The report of one piece; the whole is told in thousandths."""

        def tell(done: int, total: int) -> None:
            with self._lock:
                self._fractions[piece] = done / total
                fraction = sum(self._fractions) / len(self._fractions)
                self._whole(round(fraction * self._GRAIN), self._GRAIN)

        return tell


class Progress(Protocol):
    """Somebody who shows how far named pieces of work are; called from several threads."""

    def report(self, name: str) -> StepReport:
        """A report for one piece of work."""
        ...


class Silent:
    """Progress that nobody watches."""

    def report(self, name: str) -> StepReport:  # noqa: ARG002 (the protocol's)
        return report_nothing
