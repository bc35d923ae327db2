"""All seeds that were asked for: what is done already is taken as it is, the rest is trained."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from upath import UPath

from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.loso.evaluation import SeedResult, evaluate_seed
from fr_ensemble_assets.loso.results import load_seed, load_seed_result, results_file, save_seed
from fr_ensemble_assets.training.progress import Progress
from fr_ensemble_assets.training.recipe import Recipe
from fr_ensemble_assets.training.streams import STREAMS_VERSION
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
) -> list[SeedOutcome]:
    """Leave-one-source-out for each of ``seeds``, side by side; outcomes in the order of seeds.

    A seed's files are written as soon as it is done, so that an interruption loses only what was
    in the making.
    """
    outcomes: dict[int, SeedOutcome] = {}
    for seed in seeds:
        result = None if force else finished_seed(folder, corpus, recipe, seed)
        if result is not None:
            outcomes[seed] = SeedOutcome(result, reused=True)

    def work(seed: int, stop: threading.Event) -> None:
        report = stoppable(progress.report(f"seed {seed}"), stop)
        result = evaluate_seed(corpus, seed, recipe, trainer, report)
        save_seed(folder, corpus, recipe, result, trainer.backend)
        outcomes[seed] = SeedOutcome(result, reused=False)

    trainer.side_by_side(work, [seed for seed in seeds if seed not in outcomes])
    return [outcomes[seed] for seed in seeds]


def finished_seed(folder: UPath, corpus: Corpus, recipe: Recipe, seed: int) -> SeedResult | None:
    """The result of a seed that is done for this corpus, recipe and version of the streams."""
    try:
        score = load_seed(folder / results_file(seed), seed)
        result = load_seed_result(folder, corpus, score)
    except UnusableInput:
        return None
    wanted = asdict(recipe) | {"streams_version": STREAMS_VERSION}
    same = all(score.settings.get(name) == value for name, value in wanted.items())
    return result if same and score.corpus_sha256 == corpus.sha256 else None
