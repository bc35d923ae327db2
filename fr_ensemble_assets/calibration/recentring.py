"""The two kinds of out-of-fold predictions: as the networks give them, and recentred."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from upath import UPath

from fr_ensemble_assets.calibration.pooling import OutOfFold, out_of_fold
from fr_ensemble_assets.calibration.rules import RECENTRED_FLOOR
from fr_ensemble_assets.contract.agreed import Contract
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.evidence.measure import rows_by_source
from fr_ensemble_assets.gate.verdict import Judgement
from fr_ensemble_assets.loso.recentred import load_corrections, recentred_predictions
from fr_ensemble_assets.training.recentre import Correction, fit_correction

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Predicted:
    """The same rows, predicted by the same members.

    Attributes
    ----------
    raw
        What the gate judged, and what consumers of the manifest compute.
    recentred
        What intervals are built on.
    """

    raw: OutOfFold
    recentred: OutOfFold


def judged_predictions(
    folder: UPath, corpus: Corpus, contract: Contract, judgement: Judgement
) -> Predicted:
    """The predictions that ``judgement`` judged, and the same ones recentred.

    Raises
    ------
    UnusableInput
        If a seed's folds have no corrections, or other ones than those of its predictions.
    """
    raw = out_of_fold(corpus, judgement.results)
    corrections = [load_corrections(folder, corpus, contract, s) for s in judgement.scores]
    assignment = contract.plan.assign(rows_by_source(corpus))
    members = recentred_predictions(corpus, assignment, raw.members, corrections)
    return Predicted(raw, with_members(raw, members))


def with_members(rows: OutOfFold, members: Floats) -> OutOfFold:
    """The same rows as recentred members predict them, shape (n_members, n_rows)."""
    return replace(rows, members=members, floor=RECENTRED_FLOOR)


def final_corrections(
    inputs: npt.NDArray[np.float32], scores: Floats, target: Floats
) -> tuple[Correction, ...]:
    """Of final fits, by what they make of the rows that they were trained on.

    Parameters
    ----------
    inputs, scores, target
        Shapes (n_rows, 20), (n_members, n_rows) and (n_rows,).
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # the last bits depend on it
        return tuple(fit_correction(inputs, score, target) for score in scores)
