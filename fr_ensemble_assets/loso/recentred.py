"""Out-of-fold predictions without their model's own bias, for the intervals and for them alone.

A fold's correction is fitted on that fold's training rows, while its model is at hand; what is kept
is the correction, some sixty numbers a fold, in a file beside the results. From it and the raw
predictions, which the gate judges as they are, the recentred ones follow at any time: there is no
second column to contradict the first. The file names the predictions that it belongs to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from upath import UPath

from fr_ensemble_assets.contract.agreed import Contract
from fr_ensemble_assets.contract.folds import Assignment
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.evidence.measure import rows_by_source
from fr_ensemble_assets.evidence.results import SeedScore
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.documents import read_object
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.wording import shown
from fr_ensemble_assets.loso.prepared import Fold, prepare
from fr_ensemble_assets.training.compiled import predict
from fr_ensemble_assets.training.model import Parameters
from fr_ensemble_assets.training.recentre import RECENTRE_VERSION, Correction, fit_correction

Floats = npt.NDArray[np.float64]


def corrections_file(seed: int) -> str:
    """The name of one seed's corrections; no results file, and not named like one."""
    return f"recentring_seed{seed}.json"


def correct_fold(fold: Fold, parameters: Parameters) -> Correction:
    """The correction of a fold's model, from the rows that it was trained on."""
    seen = predict(parameters, fold.fit.inputs)
    return fit_correction(fold.fit.inputs, seen, fold.fit.target.astype(np.float64))


def recentred_predictions(
    corpus: Corpus,
    assignment: Assignment,
    predictions: Floats,
    corrections: Sequence[Sequence[Correction]],
) -> Floats:
    """Each seed's out-of-fold predictions, recentred and within 0..100; shape (n_seeds, n_rows).

    Parameters
    ----------
    predictions
        Raw, of each seed; shape (n_seeds, n_rows).
    corrections
        Of each seed, one a fold in the order of ``assignment``.
    """
    recentred, data = np.empty_like(predictions), prepare(corpus)
    for number, held_out in enumerate(assignment.folds):
        fold = data.fold(held_out, seed=0)  # inputs don't depend on the seed
        for member, of_fold in enumerate(corrections):
            raw = predictions[member, fold.held_out_rows]
            found = of_fold[number].apply(fold.held_out_inputs, raw)
            recentred[member, fold.held_out_rows] = found
    return recentred


def corrections_document(
    corpus: Corpus,
    assignment: Assignment,
    corrections: Sequence[Correction],
    predictions_sha256: str,
) -> dict[str, Any]:
    """One seed's corrections, a fold each in the order of ``assignment``; exact to the bit."""
    folds = zip(assignment.folds, corrections, strict=True)
    return {
        "schema_version": 1,
        "kind": "fold_recentring",
        "version": RECENTRE_VERSION,
        "corpus_sha256": corpus.sha256,
        "predictions_sha256": predictions_sha256,
        "folds": [{"held_out": [*held_out], **found.to_json()} for held_out, found in folds],
    }


def load_corrections(
    folder: UPath, corpus: Corpus, contract: Contract, score: SeedScore
) -> tuple[Correction, ...]:
    """One seed's corrections, in the order of its folds.

    Raises
    ------
    UnusableInput
        If the file is missing, is of another version, holds what can't be a correction, or belongs
        to another corpus, other predictions or other folds than ``score``.
    """
    path = folder / corrections_file(score.seed)
    assignment = contract.plan.assign(rows_by_source(corpus))
    told = read_object(store.read(path, "the corrections of a seed's folds"), str(path))
    wanted = {
        "version": RECENTRE_VERSION,
        "corpus_sha256": corpus.sha256,
        "predictions_sha256": score.predictions_sha256,
    }
    again = "train the seed again with --force."
    for name, value in wanted.items():
        if told.get(name) != value:
            raise UnusableInput(
                f"{path}: expected '{name}' to be {value}, found {shown(told.get(name))}; {again}"
            )
    listed = told.get("folds")
    folds = listed if isinstance(listed, list) else []
    held_out = [fold.get("held_out") if isinstance(fold, dict) else None for fold in folds]
    if held_out != [[*sources] for sources in assignment.folds]:
        raise UnusableInput(
            f"{path}: expected a correction for each of {len(assignment.folds)} folds, found "
            f"others; {again}"
        )
    try:
        return tuple(map(Correction.from_json, folds))
    except ValueError as error:
        raise UnusableInput(f"{path}: {error}; {again}") from error
