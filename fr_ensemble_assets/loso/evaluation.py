"""Held-out sources, a piece at a time: split, scale, train, predict, measure."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fr_ensemble_assets.contract.folds import Assignment
from fr_ensemble_assets.contract.recipe import Recipe
from fr_ensemble_assets.foundation.machine import machine_record
from fr_ensemble_assets.foundation.progress import StepReport, report_nothing
from fr_ensemble_assets.loso.prepared import PreparedCorpus
from fr_ensemble_assets.loso.recentred import correct_fold
from fr_ensemble_assets.training.compiled import predict
from fr_ensemble_assets.training.recentre import Correction
from fr_ensemble_assets.training.trainer import Trainer


@dataclass(frozen=True)
class HeldOut:
    """What a part gives: predictions of the rows that it held out, and the seconds it took.

    Attributes
    ----------
    rows
        Positions in the corpus, int64, shape (n,).
    prediction
        VMAF, float64, shape (n,).
    corrections
        Of each fold's model, in the order of the part's folds.
    machine
        On what it was made (:func:`~fr_ensemble_assets.foundation.machine.machine_record`).
    """

    rows: npt.NDArray[np.int64]
    prediction: npt.NDArray[np.float64]
    corrections: tuple[Correction, ...]
    seconds: float
    machine: Mapping[str, Any]


@dataclass(frozen=True)
class Part:
    """A picklable piece of work: some folds of one seed, over the corpus that ``data`` names."""

    data: str
    seed: int
    folds: tuple[tuple[str, ...], ...]
    recipe: Recipe
    trainer: Trainer

    def work(self, data: PreparedCorpus, report: StepReport = report_nothing) -> HeldOut:
        """Train the folds, predict what they hold out, and see what they leave on the rest."""
        started = time.perf_counter()
        folds = [data.fold(held_out, self.seed) for held_out in self.folds]
        trained = self.trainer.train([fold.fit for fold in folds], self.recipe, report)
        predicted = [
            predict(parameters, fold.held_out_inputs)
            for fold, parameters in zip(folds, trained, strict=True)
        ]
        corrections = tuple(map(correct_fold, folds, trained))
        return HeldOut(
            rows=np.concatenate([fold.held_out_rows for fold in folds]),
            prediction=np.concatenate(predicted),
            corrections=corrections,
            seconds=time.perf_counter() - started,
            machine=machine_record(),
        )


def parts_of(
    sha256: str, assignment: Assignment, seed: int, recipe: Recipe, trainer: Trainer
) -> list[Part]:
    """Cut a seed's folds as the trainer wants them: all in one stack, or one by one."""
    pieces: Sequence[tuple[tuple[str, ...], ...]] = (
        [assignment.folds] if trainer.stacks else [(fold,) for fold in assignment.folds]
    )
    return [Part(sha256, seed, piece, recipe, trainer) for piece in pieces]
