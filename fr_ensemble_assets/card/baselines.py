"""What simpler predictors reach on the same folds: a figure alone says little."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fr_ensemble_assets.card.facts import Baseline
from fr_ensemble_assets.card.means import mean_over
from fr_ensemble_assets.contract.folds import FoldPlan
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.evidence.measure import Rows, folds_of
from fr_ensemble_assets.evidence.metrics import agreement
from fr_ensemble_assets.features.codec_block import fit_codec_block
from fr_ensemble_assets.foundation.schema import VMAF_MAX, VMAF_MIN

Floats = npt.NDArray[np.float64]


def baselines(corpus: Corpus, plan: FoldPlan) -> tuple[Baseline, ...]:
    """The other folds' mean, and least squares on features alone and on all 20 inputs."""
    features, folds = corpus.features, folds_of(corpus, plan)
    codec = fit_codec_block(corpus).encode(corpus).astype(np.float64)
    means = _fitted(corpus, folds, np.ones((corpus.n_rows, 1)))
    by_features = least_squares(corpus, folds, features)
    by_inputs = least_squares(corpus, folds, np.concatenate([features, codec], axis=1))
    return (
        _measured("mean of the other sources", corpus, means),
        _measured("least squares on the 6 features", corpus, by_features),
        _measured("least squares on the same 20 inputs", corpus, by_inputs),
    )


def least_squares(corpus: Corpus, folds: Sequence[Rows], inputs: Floats) -> Floats:
    """VMAF of every row by a linear fit on all other folds; (n_rows, n) to (n_rows,)."""
    centred = inputs - inputs.mean(axis=0)
    return _fitted(corpus, folds, np.concatenate([np.ones((corpus.n_rows, 1)), centred], axis=1))


def _fitted(corpus: Corpus, folds: Sequence[Rows], inputs: Floats) -> Floats:
    """Fit without each fold in one pass: what a fold adds to the normal equations goes."""
    square, right = inputs.T @ inputs, inputs.T @ corpus.target
    predicted = np.empty(corpus.n_rows)
    for held_out in folds:
        own = inputs[held_out]
        left = square - own.T @ own
        # One-hot columns add up to the constant: the solution of least norm is as good as any.
        weights = np.linalg.pinv(left, hermitian=True) @ (right - own.T @ corpus.target[held_out])
        predicted[held_out] = own @ weights
    return np.clip(predicted, VMAF_MIN, VMAF_MAX)


def _measured(name: str, corpus: Corpus, predicted: Floats) -> Baseline:
    found = [agreement(predicted[r], corpus.target[r]) for r in corpus.rows_of_sources]
    plccs = [a.plcc for a in found if a.plcc is not None]
    return Baseline(
        name,
        mean_over(plccs) if len(plccs) == len(found) else None,
        mean_over([a.rmse for a in found if a.rmse is not None]),
    )
