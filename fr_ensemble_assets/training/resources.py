"""Door: the settings of training as Dagster resources; each builds a plain object of ours."""

import dagster as dg

from fr_ensemble_assets.contract.agreed import ENSEMBLE, Contract
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.training.trainer import Trainer


class RecipeResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The training recipe. Another number of epochs than the contract's 200 is a dry run."""

    epochs: int = ENSEMBLE.recipe.epochs

    def contract(self) -> Contract:
        """The ensemble's contract under this recipe."""
        if self.epochs < 1:
            raise UnusableInput(f"recipe epochs: expected 1 or more, found {self.epochs}.")
        return ENSEMBLE.under(epochs=self.epochs)


class TrainerResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """``device``: auto, cpu, cuda or reference. ``workers``: models at once, 0 for one a core."""

    device: str = "auto"
    workers: int = 0

    def build(self) -> Trainer:
        if self.workers < 0:
            raise UnusableInput(f"trainer workers: expected 0 or more, found {self.workers}.")
        return Trainer(device=self.device, workers=self.workers)  # type: ignore[arg-type]


#: The pool shared by everything that trains, so that runs don't oversubscribe the machine.
TRAINING_POOL = "train"


class TrainingConfig(dg.Config):
    """``force`` trains again even what is done for this corpus and recipe."""

    force: bool = False
