"""What the network must beat to be worth its training: the same folds, ordinary least squares.

A gate at PLCC 0.95 is passed by a single feature. How far the ensemble is ahead of what needs no
network says more than how far it is above the gate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fr_ensemble_assets.assurance.outcome import (
    Floats,
    Outcome,
    cells_of,
    least_squares,
    mean_fold_plcc,
    rmse,
)
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.evidence.measure import Rows
from fr_ensemble_assets.features.scaler import fit_scaler
from fr_ensemble_assets.foundation.schema import CANONICAL_6, VMAF_MAX, VMAF_MIN
from fr_ensemble_assets.training.recentre import cut_ridge

_FIRST, _SECOND = np.triu_indices(len(CANONICAL_6))


@dataclass(frozen=True)
class Baseline:
    """One simple model on the ensemble's own folds, and the ensemble's skill over it.

    Attributes
    ----------
    name
        In words.
    plcc, lowest_plcc
        Mean and lowest over the held-out sources; ``None`` where that of any is undefined.
    rmse
        Over all rows, predictions within 0..100.
    skill
        ``1 - RMSE of the ensemble / RMSE of this``: 0 where they are as good, negative where the
        ensemble is worse.
    won, sources
        Held-out sources on which the ensemble has the smaller RMSE, and of how many.
    """

    name: str
    plcc: float | None
    lowest_plcc: float | None
    rmse: float
    skill: float
    won: int
    sources: int

    @property
    def beats_the_ensemble(self) -> bool:
        return self.skill <= 0


def single_feature(features: Floats) -> Floats:
    """A line through the feature that correlates best in VMAF's own model, ADM."""
    return np.column_stack([np.ones(len(features)), features[:, 0]])


def linear(features: Floats) -> Floats:
    return np.column_stack([np.ones(len(features)), features])


def quadratic(features: Floats) -> Floats:
    products = features[:, _FIRST] * features[:, _SECOND]
    return np.column_stack([np.ones(len(features)), features, products])


QUADRATIC = "quadratic in six features"
#: The same terms, fitted to a score that ends at 0 and 100, as VMAF does: the strictest of them.
CUT_QUADRATIC = "quadratic in six features, fitted as cut at 100"
#: Keeps features that don't vary from making the fit singular.
_RIDGE = 1e-6


def baselines(outcome: Outcome) -> tuple[Baseline, ...]:
    """Every baseline, the strictest last, beside the ensemble."""
    corpus, folds = outcome.corpus, outcome.folds
    scaler = fit_scaler(corpus.features)  # for size alone: least squares doesn't mind the scale
    features = scaler.standardise(corpus.features).astype(np.float64)

    def fitted(terms: Callable[[Floats], Floats]) -> Floats:
        return least_squares(folds, terms, features, corpus.target)

    found = {
        f"{CANONICAL_6[0]} alone": fitted(single_feature),
        "encoder and quality alone": cell_means(corpus, folds),
        "linear in six features": fitted(linear),
        QUADRATIC: fitted(quadratic),
        CUT_QUADRATIC: cut_quadratic(folds, features, corpus.target),
    }
    return tuple(
        _compare(name, np.clip(prediction, VMAF_MIN, VMAF_MAX), outcome)
        for name, prediction in found.items()
    )


def cell_means(corpus: Corpus, folds: Sequence[Rows]) -> Floats:
    """The mean of each row's encoder and quality over the other folds, 0 where they have none."""
    cell, count = cells_of(corpus)
    sums, rows = np.bincount(cell, corpus.target, count), np.bincount(cell, minlength=count)
    prediction = np.empty(corpus.n_rows)
    for mine in folds:
        here = cell[mine]
        others = rows - np.bincount(here, minlength=count)
        rest = sums - np.bincount(here, corpus.target[mine], count)
        means = np.divide(rest, others, out=np.zeros(count), where=others > 0)
        prediction[mine] = means[here]
    return prediction


def cut_quadratic(folds: Sequence[Rows], features: Floats, target: Floats) -> Floats:
    """:data:`CUT_QUADRATIC` out of fold; shape (n_rows,)."""
    prediction = np.empty(len(target))
    for mine in folds:
        others = np.delete(np.arange(len(target)), mine)

        def terms(rows: slice, others: Rows = others) -> Floats:
            return quadratic(features[others[rows]])

        fitted = cut_ridge(terms, np.zeros(len(others)), target[others], _RIDGE)
        prediction[mine] = quadratic(features[mine]) @ fitted
    return prediction


def _compare(name: str, prediction: Floats, outcome: Outcome) -> Baseline:
    corpus = outcome.corpus
    plcc, lowest = mean_fold_plcc(corpus, prediction)
    total = rmse(prediction, corpus.target)
    won = [
        rmse(outcome.mu[mine], corpus.target[mine]) < rmse(prediction[mine], corpus.target[mine])
        for mine in corpus.rows_of_sources
    ]
    skill = 1 - outcome.rmse / total if total > 0 else -np.inf
    return Baseline(name, plcc, lowest, total, float(skill), sum(won), len(won))
