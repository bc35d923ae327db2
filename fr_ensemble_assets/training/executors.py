"""Where models are trained: a small interface, and the threads of this process behind it.

A part is a picklable piece of work that names its data by the digest of a corpus. Whoever works on
it is offered that data once and keeps it, so that a worker elsewhere needs no more than the part
itself. Another executor is another class with these four methods.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from fr_ensemble_assets.foundation.progress import Cancelled, StepReport

Result_co = TypeVar("Result_co", covariant=True)
Result = TypeVar("Result")


class Part(Protocol, Generic[Result_co]):
    """A piece of work: a frozen dataclass of plain values."""

    @property
    def data(self) -> str:
        """The digest by which its data was offered."""
        ...

    def work(self, data: Any, report: StepReport) -> Result_co:
        """Do it; ``report`` may raise :class:`Cancelled`."""
        ...


class Executor(AbstractContextManager["Executor"], Protocol):
    """Works on parts, some at a time; leaving its context by an error cancels what is left."""

    def offer(self, digest: str, data: object) -> None:
        """Make ``data`` known to whoever works on parts that name this digest."""
        ...

    def submit(self, part: Part[Result], report: StepReport) -> Future[Result]:
        """Have ``part`` worked on; ``report`` is called with its progress, from any thread."""
        ...

    def cancel(self) -> None:
        """Start nothing more, and have what is at work stop soon."""
        ...


class Threads:
    """The embedded default: threads of this process, one model each.

    Parameters
    ----------
    workers
        How many parts are worked on at the same time.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._offered: dict[str, object] = {}
        self._stop = threading.Event()

    def __enter__(self) -> Threads:
        self._pool = ThreadPoolExecutor(max_workers=self._workers)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.cancel()
        self._pool.shutdown()

    def offer(self, digest: str, data: object) -> None:
        self._offered[digest] = data

    def submit(self, part: Part[Result], report: StepReport) -> Future[Result]:
        checked = stoppable(report, self._stop)
        return self._pool.submit(part.work, self._offered[part.data], checked)

    def cancel(self) -> None:
        self._stop.set()
        self._pool.shutdown(wait=False, cancel_futures=True)


def stoppable(report: StepReport, stop: threading.Event) -> StepReport:
    """A report that raises :class:`Cancelled` once ``stop`` is set."""

    def checked(done: int, total: int) -> None:
        if stop.is_set():
            raise Cancelled
        report(done, total)

    return checked
