"""Held-out sources, a piece at a time: split, scale, train, predict, measure."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fr_ensemble_assets.contract.folds import Assignment
from fr_ensemble_assets.contract.recipe import Recipe
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.foundation.progress import StepReport, report_nothing
from fr_ensemble_assets.loso.metrics import Agreement, agreement
from fr_ensemble_assets.loso.prepared import PreparedCorpus
from fr_ensemble_assets.training.compiled import predict
from fr_ensemble_assets.training.trainer import Trainer


@dataclass(frozen=True)
class FoldResult:
    """What was reached on one held-out source."""

    held_out: str
    n_train: int
    n_val: int
    agreement: Agreement


@dataclass(frozen=True)
class SeedResult:
    """One seed's predictions of sources that its models didn't see.

    Attributes
    ----------
    folds
        A source each, in sorted order.
    prediction
        Out-of-fold VMAF of every corpus row, float64, shape (n_rows,): each row is predicted by
        the model that held its source out.
    wall_time_s
        Seconds that were spent on the seed's folds, added up.
    """

    seed: int
    folds: tuple[FoldResult, ...]
    prediction: npt.NDArray[np.float64]
    wall_time_s: float


@dataclass(frozen=True)
class HeldOut:
    """What a part gives: predictions of the rows that it held out, and the seconds it took.

    Attributes
    ----------
    rows
        Positions in the corpus, int64, shape (n,).
    prediction
        VMAF, float64, shape (n,).
    """

    rows: npt.NDArray[np.int64]
    prediction: npt.NDArray[np.float64]
    seconds: float


@dataclass(frozen=True)
class Part:
    """A picklable piece of work: some folds of one seed, over the corpus that ``data`` names."""

    data: str
    seed: int
    folds: tuple[tuple[str, ...], ...]
    recipe: Recipe
    trainer: Trainer

    def work(self, data: PreparedCorpus, report: StepReport = report_nothing) -> HeldOut:
        """Train the folds, and predict what they hold out."""
        started = time.perf_counter()
        folds = [data.fold(held_out, self.seed) for held_out in self.folds]
        trained = self.trainer.train([fold.fit for fold in folds], self.recipe, report)
        predicted = [
            predict(parameters, fold.held_out_inputs)
            for fold, parameters in zip(folds, trained, strict=True)
        ]
        return HeldOut(
            rows=np.concatenate([fold.held_out_rows for fold in folds]),
            prediction=np.concatenate(predicted),
            seconds=time.perf_counter() - started,
        )


def parts_of(
    sha256: str, assignment: Assignment, seed: int, recipe: Recipe, trainer: Trainer
) -> list[Part]:
    """Cut a seed's folds as the trainer wants them: all in one stack, or one by one."""
    pieces: Sequence[tuple[tuple[str, ...], ...]] = (
        [assignment.folds] if trainer.stacks else [(fold,) for fold in assignment.folds]
    )
    return [Part(sha256, seed, piece, recipe, trainer) for piece in pieces]


def measure_folds(
    corpus: Corpus, prediction: npt.NDArray[np.float64], assignment: Assignment
) -> tuple[FoldResult, ...]:
    """Each source's agreement with its out-of-fold predictions, shape (n_rows,)."""
    rows_of = rows_by_source(corpus)
    together = [sum(rows_of[source] for source in fold) for fold in assignment.folds]
    # Canonical order sorts by source already; where it holds, a stable sort costs next to nothing.
    order = np.argsort(corpus.source_index, kind="stable")
    results, start = [], 0
    for source in corpus.sources:
        rows = order[start : start + rows_of[source]]
        start += len(rows)
        results.append(
            FoldResult(
                held_out=source,
                n_train=corpus.n_rows - together[assignment.fold_of[source]],
                n_val=len(rows),
                agreement=agreement(prediction[rows], corpus.target[rows]),
            )
        )
    return tuple(results)


def rows_by_source(corpus: Corpus) -> dict[str, int]:
    """How many rows each source has."""
    counts = np.bincount(corpus.source_index, minlength=len(corpus.sources))
    return dict(zip(corpus.sources, counts.tolist(), strict=True))
