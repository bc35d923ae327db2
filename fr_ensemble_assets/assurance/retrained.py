"""One seed trained again with something taken from it: what stays says what it was worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from fr_ensemble_assets.assurance.outcome import Floats
from fr_ensemble_assets.contract.agreed import Contract
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.evidence.measure import rows_by_source
from fr_ensemble_assets.foundation.progress import StepReport, report_nothing
from fr_ensemble_assets.loso.prepared import prepare
from fr_ensemble_assets.training.compiled import predict
from fr_ensemble_assets.training.trainer import Trainer

Inputs = npt.NDArray[np.float32]


def _as_they_are(inputs: Inputs) -> Inputs:
    return inputs


def retrain(
    corpus: Corpus,
    seed: int,
    contract: Contract,
    trainer: Trainer,
    *,
    inputs: Callable[[Inputs], Inputs] = _as_they_are,
    target: Floats | None = None,
    report: StepReport = report_nothing,
) -> Floats:
    """Each row as predicted by the network that never saw its source; shape (n_rows,).

    The folds are the contract's. Takes as long as one seed.

    Parameters
    ----------
    inputs
        Changes the inputs, float32 (n, 20), of training rows and held-out ones alike.
    target
        Other scores to learn than the corpus'; VMAF, shape (n_rows,).
    """
    data = prepare(corpus)
    if target is not None:
        data = replace(data, target=target.astype(np.float32))
    groups = contract.plan.assign(rows_by_source(corpus)).folds
    folds = [data.fold(held_out, seed) for held_out in groups]
    fits = [replace(fold.fit, inputs=inputs(fold.fit.inputs)) for fold in folds]
    prediction = np.empty(corpus.n_rows)
    trained = trainer.train(fits, contract.recipe, report)
    for fold, parameters in zip(folds, trained, strict=True):
        prediction[fold.held_out_rows] = predict(parameters, inputs(fold.held_out_inputs))
    return prediction
