"""What the network must beat to be worth its training: the same folds, ordinary least squares.

A gate at PLCC 0.95 is passed by a single feature. How far the ensemble is ahead of what needs no
network says more than how far it is above the gate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from fr_ensemble_assets.assurance.outcome import (
    Floats,
    Outcome,
    cells_of,
    folds,
    least_squares,
    mean_fold_plcc,
    rmse,
)
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.features.scaler import fit_scaler
from fr_ensemble_assets.foundation.schema import CANONICAL_6, VMAF_MAX, VMAF_MIN
from fr_ensemble_assets.training.recentre import cut_ridge

_FIRST, _SECOND = np.triu_indices(len(CANONICAL_6))


@dataclass(frozen=True)
class Baseline:
    """One simple model by leave-one-source-out, and the ensemble's skill over it.

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


def single_feature(corpus: Corpus, features: Floats) -> Floats:  # noqa: ARG001
    """A line through the feature that correlates best in VMAF's own model, ADM."""
    return np.column_stack([np.ones(len(features)), features[:, 0]])


def linear(corpus: Corpus, features: Floats) -> Floats:  # noqa: ARG001
    return np.column_stack([np.ones(len(features)), features])


def quadratic(corpus: Corpus, features: Floats) -> Floats:  # noqa: ARG001
    products = features[:, _FIRST] * features[:, _SECOND]
    return np.column_stack([np.ones(len(features)), features, products])


def cell_means(corpus: Corpus, features: Floats) -> Floats:  # noqa: ARG001
    """One column an (encoder, quality): the least-squares fit is its mean over the sources."""
    cell, count = cells_of(corpus)
    return np.eye(count)[cell]


TERMS: Mapping[str, Callable[[Corpus, Floats], Floats]] = {
    f"{CANONICAL_6[0]} alone": single_feature,
    "encoder and quality alone": cell_means,
    "linear in six features": linear,
    "quadratic in six features": quadratic,
}
QUADRATIC = "quadratic in six features"
#: The same terms, fitted to a score that ends at 0 and 100, as VMAF does: the strictest of them.
CUT_QUADRATIC = "quadratic in six features, fitted as cut at 100"
#: Keeps features that don't vary from making the fit singular.
_RIDGE = 1e-6


def out_of_fold(corpus: Corpus, terms: Callable[[Corpus, Floats], Floats]) -> Floats:
    """Each row as predicted by the least-squares fit that never saw its source; within 0..100."""
    scaler = fit_scaler(corpus.features)  # for size alone: least squares doesn't mind the scale
    columns = terms(corpus, scaler.standardise(corpus.features).astype(np.float64))
    prediction = least_squares(corpus, columns, corpus.target)
    return np.clip(prediction, VMAF_MIN, VMAF_MAX)


def cut_quadratic(corpus: Corpus) -> Floats:
    """:data:`CUT_QUADRATIC` out of fold; shape (n_rows,)."""
    scaler = fit_scaler(corpus.features)
    columns = quadratic(corpus, scaler.standardise(corpus.features).astype(np.float64))
    prediction = np.empty(corpus.n_rows)
    for held_out in folds(corpus):
        seen, target = columns[~held_out], corpus.target[~held_out]
        fitted = cut_ridge(seen, np.zeros(len(target)), target, _RIDGE)
        prediction[held_out] = columns[held_out] @ fitted
    return np.clip(prediction, VMAF_MIN, VMAF_MAX)


def baselines(outcome: Outcome) -> tuple[Baseline, ...]:
    """Every baseline of :data:`TERMS`, then the strictest, beside the ensemble."""
    corpus = outcome.corpus
    found = {name: out_of_fold(corpus, terms) for name, terms in TERMS.items()}
    found[CUT_QUADRATIC] = cut_quadratic(corpus)
    return tuple(_compare(name, prediction, outcome) for name, prediction in found.items())


def _compare(name: str, prediction: Floats, outcome: Outcome) -> Baseline:
    corpus = outcome.corpus
    plcc, lowest = mean_fold_plcc(corpus, prediction)
    total = rmse(prediction, corpus.target)
    won = [
        rmse(outcome.mu[mine], corpus.target[mine]) < rmse(prediction[mine], corpus.target[mine])
        for mine in folds(corpus)
    ]
    skill = 1 - outcome.rmse / total if total > 0 else -np.inf
    return Baseline(name, plcc, lowest, total, float(skill), sum(won), len(won))
