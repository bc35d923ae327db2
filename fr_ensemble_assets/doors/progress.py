"""Progress of long steps, as log lines in the UI."""

import threading
from collections.abc import Callable

import dagster as dg

from fr_ensemble_assets.foundation.progress import Progress, StepReport, in_parts

#: The resource ``watch``: from a step's log to whoever shows its progress.
Watch = Callable[[dg.DagsterLogManager], Progress]


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
