"""Progress on stderr: bars where somebody watches, else a line now and then."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from fr_ensemble_assets.cli.printing.terminal import err
from fr_ensemble_assets.foundation.progress import StepReport, in_parts


class _Bars:
    """A bar for each piece of work."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars

    def report(self, name: str) -> StepReport:
        task = self._bars.add_task(name, total=None)

        def advance(done: int, total: int) -> None:
            self._bars.update(task, completed=done, total=total)

        return advance


class _Lines:
    """A line for each quarter of a piece of work, where nobody watches a terminal."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def report(self, name: str) -> StepReport:
        def tell(done: int, total: int) -> None:
            with self._lock:
                err.print(f"{name}: {done / total:.0%}")

        return in_parts(4, tell)


@contextmanager
def watched() -> Iterator[_Bars | _Lines]:
    """Show progress on stderr while the block runs."""
    if not err.is_terminal:
        yield _Lines()
        return
    columns = (
        TextColumn("{task.description:>10}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err) as bars:
        yield _Bars(bars)
