"""Processes with limits: whoever takes too long or too much memory is killed and replaced."""

from __future__ import annotations

import contextlib
import multiprocessing as mp
import multiprocessing.connection
import os
import resource
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import psutil

from fr_ensemble_tests.attack.case import BROKEN, Finding, Task

_FORK = mp.get_context("fork")
#: Beyond what a worker has when it starts; a backstop, in address space.
_ADDRESS_SPACE = 8 << 30
_LOOK_SECONDS = 0.1
#: A task may take so many times its seconds by the clock, of which it may work as many as it has.
_PATIENCE = 3

Work = Callable[[Task], Finding]


class _Worker:
    """A fork of this process that does one task after the other."""

    def __init__(self, work: Work) -> None:
        self.pipe, theirs = _FORK.Pipe()
        self.process = _FORK.Process(target=_serve, args=(theirs, work), daemon=False)
        self.process.start()
        theirs.close()
        self.task: Task | None = None
        self.since = self.worked = 0.0

    def give(self, task: Task) -> None:
        self.task, self.since, self.worked = task, time.monotonic(), self.cpu_seconds()
        self.pipe.send(task)

    def cpu_seconds(self) -> float:
        """What it has worked so far: on a busy machine the clock runs for others too."""
        with contextlib.suppress(psutil.Error):
            return sum(psutil.Process(self.process.pid).cpu_times()[:2])
        return 0.0

    def memory(self) -> int:
        """Bytes that it and its children have in memory."""
        total = 0
        with contextlib.suppress(psutil.Error):
            own = psutil.Process(self.process.pid)
            for process in (own, *own.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    total += process.memory_info().rss
        return total

    def kill(self) -> None:
        """With everything that it started in its own session."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid or 0, signal.SIGKILL)
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _serve(pipe: Any, work: Work) -> None:
    os.setsid()
    limit = psutil.Process().memory_info().vms + _ADDRESS_SPACE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    while (task := pipe.recv()) is not None:
        pipe.send(work(task))


def run_all(
    tasks: Iterable[Task], work: Work, workers: int, seconds: float, memory: int
) -> Iterator[Finding]:
    """What becomes of each task, as they end.

    ``work`` runs in forks: the parent must not have started threads before.
    """
    waiting = deque(tasks)
    crew = [_Worker(work) for _ in range(min(workers, len(waiting)) or 1)]
    try:
        while waiting or any(worker.task for worker in crew):
            for worker in crew:
                if worker.task is None and waiting:
                    worker.give(waiting.popleft())
            mp.connection.wait([w.pipe for w in crew if w.task], timeout=_LOOK_SECONDS)
            for place, worker in enumerate(crew):
                found = _look(worker, seconds, memory)
                if found is None:
                    continue
                finding, alive = found
                if not alive:
                    worker.kill()
                    crew[place] = _Worker(work)
                worker.task = None
                yield finding
    finally:
        for worker in crew:
            worker.kill()


def _look(worker: _Worker, seconds: float, memory: int) -> tuple[Finding, bool] | None:
    """What the worker found, or why it must go; and whether it can go on."""
    task = worker.task
    if task is None:
        return None
    if worker.pipe.poll():
        try:
            return worker.pipe.recv(), True
        except (EOFError, OSError):
            worker.process.join()
            return Finding(task, "", BROKEN, f"crashed: {worker.process.exitcode}"), False
    waited, worked = time.monotonic() - worker.since, worker.cpu_seconds() - worker.worked
    if worked > seconds or waited > _PATIENCE * seconds:
        return Finding(task, "", BROKEN, f"took longer than {seconds:g} s"), False
    if worker.memory() > memory:
        return Finding(task, "", BROKEN, f"took more than {memory >> 20} MiB of memory"), False
    return None
