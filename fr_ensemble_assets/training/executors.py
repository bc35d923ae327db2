"""Where models are trained: a small interface, and the threads of this process behind it.

A part is a picklable piece of work that names its data by the digest of a corpus. Whoever works on
it is offered that data once and keeps it, so that a worker elsewhere needs no more than the part
itself. Another executor is another class with these four methods.
"""

from __future__ import annotations

import re
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Literal, Protocol, TypeVar

from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.progress import Cancelled, StepReport
from fr_ensemble_assets.foundation.trouble import StorageTrouble
from fr_ensemble_assets.foundation.wording import shown

#: The environment variable that chooses the executor where nothing else does, as for the UI's runs.
EXECUTOR_VARIABLE = "FR_ENSEMBLE_EXECUTOR"
#: Where a Ray cluster's head listens for clients unless told otherwise.
RAY_PORT = 10001
_HOST_AND_PORT = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")

Result_co = TypeVar("Result_co", covariant=True)
Result = TypeVar("Result")


class ClusterTrouble(StorageTrouble):
    """A cluster failed under work that was all right: exit code 3; what was finished is kept."""


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


@dataclass(frozen=True)
class ExecutorChoice:
    """Which executor works on the parts of a run: settled where it is started.

    Attributes
    ----------
    kind
        ``threads`` of this process, or ``ray``: an existing cluster (``docs/cluster.md``).
    address
        Of the cluster, ``ray://HOST:10001``; empty for the one that this machine is a node of.
    """

    kind: Literal["threads", "ray"] = "threads"
    address: str = ""

    @classmethod
    def parse(cls, text: str, where: str = "--executor") -> ExecutorChoice:
        """``threads``, ``ray`` or ``ray://HOST:PORT``, as ``where`` has it.

        Raises
        ------
        UnusableInput
            If it is something else.
        """
        if text in ("", "threads"):
            return cls()
        if text == "ray":
            return cls("ray")
        scheme, _, rest = text.partition("://")
        if scheme == "ray" and _HOST_AND_PORT.fullmatch(rest):
            return cls("ray", text if ":" in rest.rpartition("]")[2] else f"{text}:{RAY_PORT}")
        raise UnusableInput(
            f"{where}: expected threads, ray or ray://HOST:{RAY_PORT}, found '{shown(text)}'."
        )

    @property
    def remote(self) -> bool:
        """Whether parts are worked on elsewhere."""
        return self.kind != "threads"

    def reach(self) -> None:
        """Look whether the executor can be had, before anything else is begun.

        Raises
        ------
        UnusableInput
            If what it needs isn't installed, or nothing that fits answers at the address.
        StorageTrouble
            If what answers is in trouble.
        """
        if self.remote:
            from fr_ensemble_assets.training.cluster import reach

            reach(self.address)

    def open(self) -> Executor | None:
        """The executor; ``None`` for the threads that a trainer has by itself."""
        if not self.remote:
            return None
        from fr_ensemble_assets.training.cluster import RayCluster

        return RayCluster(self.address)


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
