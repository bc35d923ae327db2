"""The ensemble's recipe and seeds, under the names that they had before ``contract/``."""

from __future__ import annotations

from fr_ensemble_assets.contract.agreed import ENSEMBLE, LAST_STUDY_SEED
from fr_ensemble_assets.contract.recipe import Recipe

ENSEMBLE_SEEDS = ENSEMBLE.units
CONTRACT_RECIPE = ENSEMBLE.recipe


def deviations(recipe: Recipe) -> tuple[str, ...]:
    """Where ``recipe`` differs from the contract's, in words; such a run is a dry run."""
    return recipe.departures(CONTRACT_RECIPE)


__all__ = ["CONTRACT_RECIPE", "ENSEMBLE_SEEDS", "LAST_STUDY_SEED", "Recipe", "deviations"]
