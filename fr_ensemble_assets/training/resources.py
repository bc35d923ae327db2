"""Door: the settings of training as Dagster resources; each builds a plain object of ours."""

import os
from dataclasses import dataclass, replace
from typing import Self

import dagster as dg

from fr_ensemble_assets.contract.agreed import ENSEMBLE, Contract
from fr_ensemble_assets.doors.fixed import TreatAsResourceParam
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.training.executors import EXECUTOR_VARIABLE, ExecutorChoice
from fr_ensemble_assets.training.trainer import Trainer


class RecipeResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The training recipe. Another number of epochs than the contract's 200 is a dry run.

    ``folds``: in how many groups sources are held out, 0 for one at a time (leave-one-source-out).
    """

    epochs: int = ENSEMBLE.recipe.epochs
    folds: int = 0

    def contract(self) -> Contract:
        """The ensemble's contract under this recipe."""
        if self.epochs < 1:
            raise UnusableInput(f"recipe epochs: expected 1 or more, found {self.epochs}.")
        if self.folds < 0 or self.folds == 1:
            raise UnusableInput(
                f"recipe folds: expected 0 for leave-one-source-out, or 2 or more, found "
                f"{self.folds}."
            )
        return ENSEMBLE.under(epochs=self.epochs).grouped(self.folds or None)


class TrainerResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """``device``: auto, cpu, cuda or reference. ``workers``: models at once, 0 for one a core."""

    device: str = "auto"
    workers: int = 0

    def build(self) -> Trainer:
        if self.workers < 0:
            raise UnusableInput(f"trainer workers: expected 0 or more, found {self.workers}.")
        return Trainer(device=self.device, workers=self.workers)  # type: ignore[arg-type]

    def build_for(self, choice: ExecutorChoice) -> Trainer:
        """The trainer of parts that the executor works on: a cluster's nodes use processors."""
        trainer = self.build()
        if not choice.remote:
            return trainer
        if self.device not in ("auto", "cpu"):
            raise UnusableInput(
                f"trainer device: expected auto or cpu on a cluster, found '{self.device}'; "
                "train on this machine, or leave the device to us."
            )
        return replace(trainer, device="cpu")


@dataclass(frozen=True)
class ExecutorResource(TreatAsResourceParam):
    """Where parts are worked on: ``kind`` threads or ray, and the cluster's ``address``.

    With neither it is as ``FR_ENSEMBLE_EXECUTOR`` says, else threads.
    """

    kind: str = ""
    address: str = ""

    @classmethod
    def of(cls, choice: ExecutorChoice) -> Self:
        return cls(choice.kind, choice.address)

    def choice(self) -> ExecutorChoice:
        """The same as a value.

        Raises
        ------
        UnusableInput
            If it is no executor of ours.
        """
        told = self.address or self.kind or os.environ.get(EXECUTOR_VARIABLE, "")
        return ExecutorChoice.parse(told, EXECUTOR_VARIABLE)


#: The pool shared by everything that trains, so that runs don't oversubscribe the machine.
TRAINING_POOL = "train"


class TrainingConfig(dg.Config):
    """``force`` trains again even what is done for this corpus and recipe."""

    force: bool = False
