"""Which arithmetic trains a set of models, and how many stacks run at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Literal, TypeVar

from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.training.model import FitInput, Parameters
from fr_ensemble_assets.training.progress import Cancelled, StepReport, report_nothing
from fr_ensemble_assets.training.recipe import Recipe

Device = Literal["auto", "cpu", "cuda", "reference"]

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Trainer:
    """The choice of arithmetic.

    Attributes
    ----------
    device
        ``auto`` (CUDA where there is one, else the processor), ``cpu``, ``cuda``, or
        ``reference`` (the plain loop: slow, for comparison).
    workers
        Stacks that train at the same time, one thread each; 0 means one a core.
    """

    device: Device = "auto"
    workers: int = 0

    @property
    def backend(self) -> str:
        """What ``device`` comes down to on this machine: ``cpu``, ``cuda`` or ``reference``.

        Raises
        ------
        UnusableInput
            If CUDA is asked for and PyTorch finds none.
        """
        if self.device in ("cpu", "reference"):
            return self.device
        import torch

        if torch.cuda.is_available():
            return "cuda"
        if self.device == "cuda":
            raise UnusableInput(
                "trainer device: expected a CUDA device, found none that PyTorch can use; "
                "choose 'auto' or 'cpu'."
            )
        return "cpu"

    @property
    def parallel(self) -> int:
        """How many stacks train at once."""
        return self.workers or len(os.sched_getaffinity(0))

    def train(
        self, fits: Sequence[FitInput], recipe: Recipe, report: StepReport = report_nothing
    ) -> list[Parameters]:
        """Train ``fits`` and return their parameters in the same order."""
        backend = self.backend
        if backend != "reference":
            from fr_ensemble_assets.training.stacked import train_stack

            return train_stack(fits, recipe, backend, report)
        from fr_ensemble_assets.training.reference import train_reference

        def report_part(number: int) -> StepReport:
            return lambda done, total: report(number * total + done, len(fits) * total)

        return [train_reference(fit, recipe, report_part(n)) for n, fit in enumerate(fits)]

    def side_by_side(
        self, work: Callable[[_Item, threading.Event], None], items: Sequence[_Item]
    ) -> None:
        """Call ``work(item, stop)`` for every item, a thread each; the first failure stops all.

        ``work`` is to raise :class:`Cancelled` soon after ``stop`` is set.
        """
        stop = threading.Event()
        with ThreadPoolExecutor(max_workers=self.parallel) as pool:
            pending = [pool.submit(work, item, stop) for item in items]
            try:
                for future in as_completed(pending):
                    future.result()
            except BaseException:
                stop.set()
                for future in pending:
                    future.cancel()
                raise


def stoppable(report: StepReport, stop: threading.Event) -> StepReport:
    """A report that raises :class:`Cancelled` once ``stop`` is set."""

    def checked(done: int, total: int) -> None:
        if stop.is_set():
            raise Cancelled
        report(done, total)

    return checked
