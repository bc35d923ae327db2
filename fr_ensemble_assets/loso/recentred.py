"""Out-of-fold predictions without their model's own bias, for the intervals and for them alone.

A fold's correction is fitted on that fold's training rows, while its model is at hand; what is kept
is the correction, some sixty numbers a fold. From it and the raw predictions, which the gate judges
as they are, the recentred ones follow at any time: there is no second column to contradict the
first, and none to audit.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.loso.prepared import Fold, prepare
from fr_ensemble_assets.training.compiled import predict
from fr_ensemble_assets.training.model import Parameters
from fr_ensemble_assets.training.recentre import RECENTRE_VERSION, Correction, fit_correction

Floats = npt.NDArray[np.float64]


def correct_fold(fold: Fold, parameters: Parameters) -> Correction:
    """The correction of a fold's model, from the rows that it was trained on."""
    seen = predict(parameters, fold.fit.inputs)
    return fit_correction(fold.fit.inputs, seen, fold.fit.target.astype(np.float64))


def recentred_predictions(
    corpus: Corpus, predictions: Floats, corrections: Sequence[Sequence[Correction]]
) -> Floats:
    """Each seed's out-of-fold predictions, recentred and within 0..100; shape (n_seeds, n_rows).

    Parameters
    ----------
    predictions
        Raw, of each seed; shape (n_seeds, n_rows).
    corrections
        Of each seed, one a source in sorted order.
    """
    recentred, data = np.empty_like(predictions), prepare(corpus)
    for number, source in enumerate(corpus.sources):
        fold = data.fold([source], seed=0)  # inputs don't depend on the seed
        for member, of_fold in enumerate(corrections):
            raw = predictions[member, fold.held_out_rows]
            found = of_fold[number].apply(fold.held_out_inputs, raw)
            recentred[member, fold.held_out_rows] = found
    return recentred


def corrections_json(corrections: Sequence[Correction]) -> str:
    """One seed's corrections in sorted source order; floats are kept to the bit."""
    told = [correction.to_json() for correction in corrections]
    return json.dumps({"version": RECENTRE_VERSION, "folds": told}, allow_nan=False)


def parse_corrections(text: str, n_sources: int) -> tuple[Correction, ...]:
    """Read what :func:`corrections_json` gave.

    Raises
    ------
    ValueError
        In one sentence: other JSON, another version of the terms, another number of folds, or a
        correction that can't be one.
    """
    told = json.loads(text)
    if not isinstance(told, dict) or not isinstance(told.get("folds"), list):
        raise ValueError("expected corrections by fold, found something else")
    if told.get("version") != RECENTRE_VERSION:
        raise ValueError(
            f"expected corrections of version {RECENTRE_VERSION}, found {told.get('version')}"
        )
    if len(told["folds"]) != n_sources:
        raise ValueError(f"expected {n_sources} corrections, found {len(told['folds'])}")
    return tuple(Correction.from_json(one) for one in told["folds"])
