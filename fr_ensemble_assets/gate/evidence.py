"""What the gate judges from: the results files of a folder, read anew every time."""

from __future__ import annotations

import re

from upath import UPath

from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.loso.results import (
    SeedScore,
    load_seed,
    load_seed_result,
    recipe_of,
    recipe_record,
    results_file,
)
from fr_ensemble_assets.training.recipe import Recipe

_RESULTS_FILE = re.compile(r"^loso_seed(?P<seed>0|[1-9][0-9]*)\.json$")


def load_scores(folder: UPath) -> list[SeedScore]:
    """Every ``loso_seed{N}.json`` of ``folder``, by seed.

    Raises
    ------
    UnusableInput
        If the folder doesn't exist, holds no results, or holds one that can't be read.
    """
    if not folder.is_dir():
        raise UnusableInput(
            f"{folder}: expected a folder of {results_file(0)} and its like, found no such folder."
        )
    found = sorted(int(m["seed"]) for p in folder.iterdir() if (m := _RESULTS_FILE.match(p.name)))
    if not found:
        raise UnusableInput(
            f"{folder}: expected {results_file(0)} and its like, found none; "
            "point at the folder that holds the results themselves."
        )
    return [load_seed(folder / results_file(seed), seed) for seed in found]


def audit_predictions(
    folder: UPath, corpus: Corpus, recipe: Recipe, scores: list[SeedScore]
) -> list[str]:
    """Recompute all that the gate judges of our own results from the out-of-fold predictions.

    Returns one sentence a seed whose figures don't follow from its predictions on this corpus, or
    that doesn't record how it was trained: a file of the fork may leave that out, ours never does.
    """
    problems = []
    for score in scores:
        if recipe_of(score) != recipe_record(recipe):
            problems.append(f"seed {score.seed}: its file does not record this run's recipe")
        try:
            load_seed_result(folder, corpus, score)
        except UnusableInput as error:
            problems.append(f"seed {score.seed}: {error}")
    return problems
