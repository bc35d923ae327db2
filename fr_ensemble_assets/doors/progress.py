"""Progress of long steps, as log lines in the UI, and back from them."""

import re
import threading
from collections.abc import Callable

import dagster as dg

from fr_ensemble_assets.foundation.progress import Progress, StepReport, in_parts

#: The resource ``watch``: from a step's log to whoever shows its progress.
Watch = Callable[[dg.DagsterLogManager], Progress]

_LINE = re.compile(r"(?P<name>[^:]+): (?P<percent>\d{1,3})%")


class LogProgress:
    """One line for each tenth of a piece of work."""

    def __init__(self, log: dg.DagsterLogManager) -> None:
        self._log = log
        self._lock = threading.Lock()

    def report(self, name: str) -> StepReport:
        def tell(done: int, total: int) -> None:
            with self._lock:
                self._log.info(f"{name}: {done / total:.0%}")

        return in_parts(10, tell)


def read_progress(message: str) -> tuple[str, int] | None:
    """What a line of :class:`LogProgress` says: the piece of work, and how many per cent."""
    match = _LINE.fullmatch(message)
    return (match["name"], int(match["percent"])) if match else None
