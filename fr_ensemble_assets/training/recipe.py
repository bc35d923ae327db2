"""What is trained, and under which seeds (contracts section 2, ADR-0303)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields

#: The deep ensemble: a candidate has exactly these members.
ENSEMBLE_SEEDS = (0, 1, 2, 3, 4)
#: Seeds up to this one may be trained for studies of the spread; none of them is ever a member.
LAST_STUDY_SEED = 99


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of one fit of ``FRRegressor``; the defaults are the contract's.

    Attributes
    ----------
    epochs
        Passes over the training rows, reshuffled each time.
    batch_size
        Rows a step; the last short batch of an epoch is kept.
    lr, weight_decay, beta1, beta2, eps
        Adam's (Kingma and Ba, 2015), the decay as L2 inside the gradient.
    hidden, depth
        Width and number of hidden layers.
    dropout
        Probability with which a hidden unit is dropped in training.
    """

    epochs: int = 200
    batch_size: int = 32
    lr: float = 5e-4
    weight_decay: float = 1e-5
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    hidden: int = 64
    depth: int = 2
    dropout: float = 0.1

    @property
    def digest(self) -> str:
        """Eight hex digits that tell this recipe from any other."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:8]

    @property
    def folder(self) -> str:
        """The name of the folder that holds this recipe's results for a corpus."""
        return f"loso-{self.epochs}epochs-{self.digest}"


CONTRACT_RECIPE = Recipe()


def deviations(recipe: Recipe) -> tuple[str, ...]:
    """Where ``recipe`` differs from the contract's, in words; such a run is a dry run."""
    return tuple(
        f"{field.name} {getattr(recipe, field.name)} instead of "
        f"{getattr(CONTRACT_RECIPE, field.name)}"
        for field in fields(Recipe)
        if getattr(recipe, field.name) != getattr(CONTRACT_RECIPE, field.name)
    )
