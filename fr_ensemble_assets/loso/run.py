"""All seeds that were asked for: what is done already is taken as it is, the rest is trained."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from upath import UPath

from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.foundation.progress import Progress, Shares
from fr_ensemble_assets.loso.evaluation import (
    Part,
    SeedResult,
    measure_folds,
    parts_of,
    predict_held_out,
)
from fr_ensemble_assets.loso.results import (
    load_seed,
    load_seed_result,
    recipe_of,
    recipe_record,
    results_file,
    save_seed,
)
from fr_ensemble_assets.training.recipe import Recipe
from fr_ensemble_assets.training.trainer import Trainer, stoppable


@dataclass(frozen=True)
class SeedOutcome:
    """One seed's result, and whether it was there already."""

    result: SeedResult
    reused: bool


def results_dir(home: Home, corpus_sha256: str, recipe: Recipe) -> UPath:
    """Where the results and the verdict of one corpus under one recipe are kept."""
    return home.corpus_dir(corpus_sha256) / recipe.folder


def evaluate_seeds(
    folder: UPath,
    corpus: Corpus,
    seeds: Sequence[int],
    recipe: Recipe,
    trainer: Trainer,
    progress: Progress,
    force: bool = False,
) -> Iterator[SeedOutcome]:
    """Leave-one-source-out for each of ``seeds``; yields outcomes as seeds are done.

    All folds of all seeds share one pool of workers. A seed's files are written as soon as its
    last fold is done, so that an interruption loses only the seeds in the making; what the caller
    does with an outcome, it does while the other seeds train.
    """
    open_seeds = {}
    for seed in seeds:
        result = None if force else finished_seed(folder, corpus, recipe, seed)
        if result is None:
            open_seeds[seed] = _OpenSeed(corpus, seed, trainer, progress)
        else:
            yield SeedOutcome(result, reused=True)

    def work(part: Part, stop: threading.Event) -> None:
        open_seeds[part.seed].work(part, recipe, trainer, stop)

    parts = [part for open_seed in open_seeds.values() for part in open_seed.parts]
    for part in trainer.side_by_side(work, parts):
        open_seed = open_seeds[part.seed]
        open_seed.pending.remove(part)
        if not open_seed.pending:
            result = open_seed.result()
            save_seed(folder, corpus, recipe, result, trainer.backend)
            yield SeedOutcome(result, reused=False)


class _OpenSeed:
    """A seed at work: its parts, its predictions so far, the time that they took."""

    def __init__(self, corpus: Corpus, seed: int, trainer: Trainer, progress: Progress) -> None:
        self._corpus, self._seed = corpus, seed
        self.parts = parts_of(corpus, seed, trainer)
        self.pending = set(self.parts)
        self._prediction = np.empty(corpus.n_rows)
        self._seconds = 0.0
        self._shares = Shares(len(self.parts), progress.report(f"seed {seed}"))
        self._lock = threading.Lock()

    def work(self, part: Part, recipe: Recipe, trainer: Trainer, stop: threading.Event) -> None:
        started = time.perf_counter()
        report = stoppable(self._shares.report(self.parts.index(part)), stop)
        predict_held_out(self._corpus, part, recipe, trainer, self._prediction, report)
        with self._lock:
            self._seconds += time.perf_counter() - started

    def result(self) -> SeedResult:
        folds = measure_folds(self._corpus, self._prediction)
        return SeedResult(self._seed, folds, self._prediction, self._seconds)


def finished_seed(folder: UPath, corpus: Corpus, recipe: Recipe, seed: int) -> SeedResult | None:
    """The result of a seed that is done for this corpus, recipe and version of the streams."""
    try:
        score = load_seed(folder / results_file(seed), seed)
        result = load_seed_result(folder, corpus, score)
    except UnusableInput:
        return None
    same = recipe_of(score) == recipe_record(recipe)
    return result if same and score.corpus_sha256 == corpus.sha256 else None
