"""Leave-one-source-out for one seed: split, scale, train, predict, measure."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.features.codec_block import fit_codec_block
from fr_ensemble_assets.features.scaler import fit_scaler
from fr_ensemble_assets.loso.metrics import Agreement, agreement
from fr_ensemble_assets.training.model import FitInput, predict
from fr_ensemble_assets.training.progress import StepReport, report_nothing
from fr_ensemble_assets.training.recipe import Recipe
from fr_ensemble_assets.training.trainer import Trainer


@dataclass(frozen=True)
class Fold:
    """One held-out source, ready to train and to predict.

    Attributes
    ----------
    held_out
        The source that training doesn't see.
    fit
        The training rows, scaled by their own statistics.
    held_out_rows
        Positions of the held-out rows in the corpus.
    held_out_inputs
        Their inputs under the fold's scaler; float32, shape (n_val, 20).
    """

    held_out: str
    fit: FitInput
    held_out_rows: npt.NDArray[np.int64]
    held_out_inputs: npt.NDArray[np.float32]


@dataclass(frozen=True)
class FoldResult:
    """What one fold reached on its held-out source."""

    held_out: str
    n_train: int
    n_val: int
    agreement: Agreement


@dataclass(frozen=True)
class SeedResult:
    """One seed's leave-one-source-out.

    Attributes
    ----------
    folds
        In sorted source order.
    prediction
        Out-of-fold VMAF of every corpus row, float64, shape (n_rows,): each row is predicted by
        the fold that held its source out.
    wall_time_s
        What the seed took, in seconds.
    """

    seed: int
    folds: tuple[FoldResult, ...]
    prediction: npt.NDArray[np.float64]
    wall_time_s: float


def split_folds(corpus: Corpus, seed: int) -> list[Fold]:
    """One fold a distinct source, in sorted order.

    The scaler of a fold is fitted on its training rows alone. The codec block's quality range is
    taken over the corpus, as contracts section 1 says.
    """
    codec = fit_codec_block(corpus).encode(corpus)
    target = corpus.target.astype(np.float32)
    folds = []
    for number, source in enumerate(corpus.sources):
        held_out = corpus.source_index == number
        scaler = fit_scaler(corpus.features[~held_out])
        inputs = np.concatenate([scaler.standardise(corpus.features), codec], axis=1)
        folds.append(
            Fold(
                held_out=source,
                fit=FitInput(seed, inputs[~held_out], target[~held_out]),
                held_out_rows=np.flatnonzero(held_out),
                held_out_inputs=inputs[held_out],
            )
        )
    return folds


def evaluate_seed(
    corpus: Corpus,
    seed: int,
    recipe: Recipe,
    trainer: Trainer,
    report: StepReport = report_nothing,
) -> SeedResult:
    """Train all folds of ``seed`` and measure each on the source that it never saw."""
    started = time.perf_counter()
    folds = split_folds(corpus, seed)
    trained = trainer.train([fold.fit for fold in folds], recipe, report)
    prediction = np.empty(corpus.n_rows)
    for fold, parameters in zip(folds, trained, strict=True):
        prediction[fold.held_out_rows] = predict(parameters, fold.held_out_inputs)
    return SeedResult(
        seed=seed,
        folds=measure_folds(corpus, prediction),
        prediction=prediction,
        wall_time_s=time.perf_counter() - started,
    )


def measure_folds(corpus: Corpus, prediction: npt.NDArray[np.float64]) -> tuple[FoldResult, ...]:
    """Each source's agreement with its out-of-fold predictions, shape (n_rows,)."""
    results = []
    for number, source in enumerate(corpus.sources):
        held_out = corpus.source_index == number
        n_val = int(held_out.sum())
        results.append(
            FoldResult(
                held_out=source,
                n_train=corpus.n_rows - n_val,
                n_val=n_val,
                agreement=agreement(prediction[held_out], corpus.target[held_out]),
            )
        )
    return tuple(results)
