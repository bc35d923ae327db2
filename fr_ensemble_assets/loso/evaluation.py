"""Leave-one-source-out, a piece at a time: split, scale, train, predict, measure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.features.codec_block import fit_codec_block
from fr_ensemble_assets.features.scaler import fit_scaler
from fr_ensemble_assets.foundation.progress import StepReport, report_nothing
from fr_ensemble_assets.loso.metrics import Agreement, agreement
from fr_ensemble_assets.training.compiled import predict
from fr_ensemble_assets.training.model import FitInput
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
        Seconds that were spent on the seed's folds, added up.
    """

    seed: int
    folds: tuple[FoldResult, ...]
    prediction: npt.NDArray[np.float64]
    wall_time_s: float


def prepare_fold(corpus: Corpus, number: int, seed: int) -> Fold:
    """The fold that holds out the ``number``-th source in sorted order.

    The scaler of a fold is fitted on its training rows alone. The codec block's quality range is
    taken over the corpus, as contracts section 1 says.
    """
    codec = fit_codec_block(corpus).encode(corpus)
    target = corpus.target.astype(np.float32)
    held_out = corpus.source_index == number
    scaler = fit_scaler(corpus.features[~held_out])
    inputs = np.concatenate([scaler.standardise(corpus.features), codec], axis=1)
    return Fold(
        held_out=corpus.sources[number],
        fit=FitInput(seed, inputs[~held_out], target[~held_out]),
        held_out_rows=np.flatnonzero(held_out),
        held_out_inputs=inputs[held_out],
    )


@dataclass(frozen=True)
class Part:
    """A piece of work: some folds of one seed."""

    seed: int
    folds: tuple[int, ...]


def parts_of(corpus: Corpus, seed: int, trainer: Trainer) -> list[Part]:
    """Cut a seed's folds as the trainer wants them: all in one stack, or one by one."""
    folds = range(len(corpus.sources))
    if trainer.stacks:
        return [Part(seed, tuple(folds))]
    return [Part(seed, (fold,)) for fold in folds]


def predict_held_out(
    corpus: Corpus,
    part: Part,
    recipe: Recipe,
    trainer: Trainer,
    prediction: npt.NDArray[np.float64],
    report: StepReport = report_nothing,
) -> None:
    """Train the part's folds and fill in ``prediction``, shape (n_rows,), where they hold out."""
    folds = [prepare_fold(corpus, number, part.seed) for number in part.folds]
    trained = trainer.train([fold.fit for fold in folds], recipe, report)
    for fold, parameters in zip(folds, trained, strict=True):
        prediction[fold.held_out_rows] = predict(parameters, fold.held_out_inputs)


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
