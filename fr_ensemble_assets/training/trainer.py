"""Which arithmetic trains a set of models, and how many of them train at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from fr_ensemble_assets.foundation.cores import cores
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.progress import Cancelled, Shares, StepReport, report_nothing
from fr_ensemble_assets.training.compiled import compile_kernel, train_compiled
from fr_ensemble_assets.training.model import FitInput, Parameters
from fr_ensemble_assets.training.recipe import Recipe

Device = Literal["auto", "cpu", "cuda", "reference"]

#: What a machine with a CUDA driver has; without any of them PyTorch need not be asked, and
#: importing it takes seconds.
_CUDA_SIGNS = ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg")

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Trainer:
    """The choice of arithmetic.

    Attributes
    ----------
    device
        ``auto`` (CUDA where there is one, else the processor), ``cpu`` (the compiled kernel),
        ``cuda`` (the stacked trainer), or ``reference`` (the plain loop: slow, for comparison).
    workers
        Models that train at the same time on the processor, one thread each; 0 for one a core.
    """

    device: Device = "auto"
    workers: int = 0

    @property
    def backend(self) -> str:
        """What ``device`` comes down to on this machine: ``cpu``, ``cuda`` or ``reference``.

        Raises
        ------
        UnusableInput
            If ``device`` is none of the four, or CUDA is asked for and PyTorch finds none.
        """
        if self.device not in ("auto", "cpu", "cuda", "reference"):
            raise UnusableInput(
                f"trainer device: expected auto, cpu, cuda or reference, found '{self.device}'."
            )
        if self.device in ("cpu", "reference"):
            return self.device
        if any(Path(sign).exists() for sign in _CUDA_SIGNS):
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
    def stacks(self) -> bool:
        """Whether models are best trained many at once, as one stack."""
        return self.backend == "cuda"

    @property
    def parallel(self) -> int:
        """How many pieces of work are done at the same time."""
        return 1 if self.stacks else self.workers or cores()

    def train(
        self, fits: Sequence[FitInput], recipe: Recipe, report: StepReport = report_nothing
    ) -> list[Parameters]:
        """Train ``fits`` and return their parameters in the same order."""
        if self.stacks:
            from fr_ensemble_assets.training.stacked import train_stack

            return train_stack(fits, recipe, self.backend, report)
        if len(fits) == 1:
            return [self._train_one(fits[0], recipe, report)]
        shares = Shares(len(fits), report)
        trained: dict[int, Parameters] = {}

        def work(number: int, stop: threading.Event) -> None:
            share = stoppable(shares.report(number), stop)
            trained[number] = self._train_one(fits[number], recipe, share)

        for _ in self.side_by_side(work, range(len(fits))):
            pass
        return [trained[number] for number in range(len(fits))]

    def _train_one(self, fit: FitInput, recipe: Recipe, report: StepReport) -> Parameters:
        if self.backend == "cpu":
            return train_compiled(fit, recipe, report)
        from fr_ensemble_assets.training.reference import train_reference

        return train_reference(fit, recipe, report)

    def side_by_side(
        self, work: Callable[[_Item, threading.Event], None], items: Sequence[_Item]
    ) -> Iterator[_Item]:
        """Call ``work(item, stop)`` for every item, some at a time; yield each when it is done.

        The first failure stops all, and so does closing the iterator: ``work`` is to raise
        :class:`Cancelled` soon after ``stop`` is set.
        """
        from threadpoolctl import threadpool_limits

        if self.backend == "cpu" and items:
            compile_kernel()
        stop = threading.Event()
        # More than one BLAS thread inside a model only costs, and could change its last bits.
        with threadpool_limits(1), ThreadPoolExecutor(max_workers=self.parallel) as pool:
            pending = {pool.submit(work, item, stop): item for item in items}
            try:
                for future in as_completed(pending):
                    future.result()
                    yield pending[future]
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
