"""All seeds that were asked for: what is done already is taken as it is, the rest is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from upath import UPath

from fr_ensemble_assets.contract.agreed import Contract
from fr_ensemble_assets.contract.folds import Assignment
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.evidence.audit import load_seed_result
from fr_ensemble_assets.evidence.measure import SeedResult, measure_folds, rows_by_source
from fr_ensemble_assets.evidence.results import (
    load_seed,
    recorded,
    results_file,
    training_record,
)
from fr_ensemble_assets.features.codec_block import CodecBlock
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.progress import Progress, Shares, StepReport
from fr_ensemble_assets.loso.evaluation import HeldOut, Part, parts_of
from fr_ensemble_assets.loso.prepared import prepare
from fr_ensemble_assets.loso.recentred import load_corrections
from fr_ensemble_assets.loso.writing import save_seed
from fr_ensemble_assets.training.executors import Executor
from fr_ensemble_assets.training.recentre import Correction
from fr_ensemble_assets.training.trainer import Trainer


@dataclass(frozen=True)
class SeedOutcome:
    """One seed's result, and whether it was there already."""

    result: SeedResult
    reused: bool


def evaluate_seeds(
    folder: UPath,
    corpus: Corpus,
    seeds: Sequence[int],
    contract: Contract,
    trainer: Trainer,
    progress: Progress,
    force: bool = False,
    executor: Executor | None = None,
    block: CodecBlock | None = None,
) -> Iterator[SeedOutcome]:
    """Hold out every source once under each of ``seeds``; yields outcomes as seeds are done.

    All folds of all seeds share one executor (threads of this process unless told). A seed's files
    are written as soon as its last fold is done, so that an interruption loses only the seeds in
    the making; what the caller does with an outcome, it does while the other seeds train.
    """
    assignment = contract.plan.assign(rows_by_source(corpus))
    open_seeds = {}
    for seed in seeds:
        result = None if force else finished_seed(folder, corpus, contract, seed)
        if result is None:
            cut = parts_of(corpus.sha256, assignment, seed, contract.recipe, trainer)
            open_seeds[seed] = _OpenSeed(corpus, seed, cut, progress)
        else:
            yield SeedOutcome(result, reused=True)
    if not open_seeds:
        return
    parts = {part: report for one in open_seeds.values() for part, report in one.reports.items()}
    data = {corpus.sha256: prepare(corpus, block)}
    for part, held_out in trainer.side_by_side(parts, data, executor):
        open_seed = open_seeds[part.seed]
        open_seed.take(part, held_out)
        if not open_seed.pending:
            result = open_seed.result(assignment)
            corrections = open_seed.corrections(assignment)
            save_seed(folder, corpus, contract, result, trainer.backend, corrections)
            yield SeedOutcome(result, reused=False)


class _OpenSeed:
    """A seed at work: its parts, its predictions so far, the time that they took."""

    def __init__(
        self, corpus: Corpus, seed: int, parts: Sequence[Part], progress: Progress
    ) -> None:
        self._corpus, self._seed = corpus, seed
        shares = Shares(len(parts), progress.report(f"seed {seed}"))
        self.reports: Mapping[Part, StepReport] = {
            part: shares.report(number) for number, part in enumerate(parts)
        }
        self.pending = set(parts)
        self._prediction = np.empty(corpus.n_rows)
        self._corrections: dict[tuple[str, ...], Correction] = {}
        self._seconds = 0.0

    def take(self, part: Part, held_out: HeldOut) -> None:
        self._prediction[held_out.rows] = held_out.prediction
        self._corrections |= zip(part.folds, held_out.corrections, strict=True)
        self._seconds += held_out.seconds
        self.pending.remove(part)

    def result(self, assignment: Assignment) -> SeedResult:
        folds = measure_folds(self._corpus, self._prediction, assignment)
        return SeedResult(self._seed, folds, self._prediction, self._seconds)

    def corrections(self, assignment: Assignment) -> tuple[Correction, ...]:
        return tuple(self._corrections[held_out] for held_out in assignment.folds)


def finished_seed(
    folder: UPath, corpus: Corpus, contract: Contract, seed: int
) -> SeedResult | None:
    """The result of a seed that is done for this corpus, contract and version of the streams.

    Without its folds' corrections a seed is not done: no interval can be calibrated on it.
    """
    try:
        score = load_seed(folder / results_file(seed), seed)
        result = load_seed_result(folder, corpus, contract, score)
        load_corrections(folder, corpus, contract, score)
    except UnusableInput:
        return None
    same = recorded(score, contract) == training_record(contract)
    return result if same and score.corpus_sha256 == corpus.sha256 else None
