"""Which arithmetic trains a set of models, and how many of them train at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from fr_ensemble_assets.contract.recipe import Recipe
from fr_ensemble_assets.foundation.cores import cores
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.progress import Shares, StepReport, report_nothing
from fr_ensemble_assets.training.compiled import compile_kernel, train_compiled
from fr_ensemble_assets.training.executors import Executor, Part, Threads
from fr_ensemble_assets.training.model import FitInput, Parameters

Device = Literal["auto", "cpu", "cuda", "reference"]

#: What a machine with a CUDA driver has; without any of them PyTorch need not be asked, and
#: importing it takes seconds.
_CUDA_SIGNS = ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg")

_Part = TypeVar("_Part", bound=Part[Any])


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
        parts = {_Fit(self, number, recipe): shares.report(number) for number in range(len(fits))}
        trained = dict(self.side_by_side(parts, {_Fit.data: fits}))
        return [trained[part] for part in parts]

    def _train_one(self, fit: FitInput, recipe: Recipe, report: StepReport) -> Parameters:
        if self.backend == "cpu":
            return train_compiled(fit, recipe, report)
        from fr_ensemble_assets.training.reference import train_reference

        return train_reference(fit, recipe, report)

    def side_by_side(
        self,
        parts: Mapping[_Part, StepReport],
        data: Mapping[str, object],
        executor: Executor | None = None,
    ) -> Iterator[tuple[_Part, Any]]:
        """Work on all ``parts``, some at a time; yield each with its result when it is done.

        Parameters
        ----------
        parts
            What is to be done, and who is told how far each part is.
        data
            What the parts name, by digest.
        executor
            Where the work is done; threads of this process unless told.

        Notes
        -----
        The first failure cancels all, and so does closing the iterator.
        """
        from threadpoolctl import threadpool_limits

        if self.backend == "cpu" and parts:
            compile_kernel()
        # More than one BLAS thread inside a model only costs, and could change its last bits.
        with threadpool_limits(1), executor or Threads(self.parallel) as at_work:
            for digest, value in data.items():
                at_work.offer(digest, value)
            pending = {at_work.submit(part, report): part for part, report in parts.items()}
            for future in as_completed(pending):
                yield pending[future], future.result()


@dataclass(frozen=True)
class _Fit:
    """One of several fits that stay in this process."""

    trainer: Trainer
    number: int
    recipe: Recipe
    data: ClassVar[str] = "fits at hand"

    def work(self, data: Sequence[FitInput], report: StepReport) -> Parameters:
        return self.trainer._train_one(data[self.number], self.recipe, report)
