"""How one model is trained (contracts section 2)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of one fit of ``FRRegressor``; the defaults are the ensemble's.

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

    def departures(self, agreed: Recipe) -> tuple[str, ...]:
        """Where this recipe differs from the one agreed on, in words."""
        return tuple(
            f"{field.name} {getattr(self, field.name)} instead of {getattr(agreed, field.name)}"
            for field in fields(Recipe)
            if getattr(self, field.name) != getattr(agreed, field.name)
        )
