"""What all of this room works on: the seeds' out-of-fold predictions of a corpus."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from fr_ensemble_assets.contract.folds import FoldPlan
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.evidence.measure import Rows, SeedResult, folds_of
from fr_ensemble_assets.evidence.metrics import agreement, mean_or_none
from fr_ensemble_assets.foundation.schema import PRESET, VMAF_MAX, VMAF_MIN

Floats = npt.NDArray[np.float64]

#: Relative to the largest: directions that the training rows don't show carry nothing.
_SINGULAR = 1e-13


@dataclass(frozen=True)
class Outcome:
    """What the ensemble predicted of sources left out, with whole encodes beside the frames.

    Attributes
    ----------
    corpus
        What was predicted.
    members
        Out-of-fold VMAF as each seed's model predicts it; shape (n_seeds, n_rows), finite.
    plan
        Which sources were left out together: what stands beside the ensemble leaves out the same.
    """

    corpus: Corpus
    members: Floats
    plan: FoldPlan

    @classmethod
    def of(cls, corpus: Corpus, results: Sequence[SeedResult], plan: FoldPlan) -> Outcome:
        """Stack the seeds' predictions."""
        return cls(corpus, np.stack([result.prediction for result in results]), plan)

    @cached_property
    def folds(self) -> tuple[Rows, ...]:
        """The rows that each fold holds out, in order; shapes (n_held_out,)."""
        return folds_of(self.corpus, self.plan)

    @cached_property
    def mu(self) -> Floats:
        """The members' mean within 0..100; shape (n_rows,)."""
        return np.asarray(np.clip(self.members.mean(axis=0), VMAF_MIN, VMAF_MAX))

    @cached_property
    def sigma(self) -> Floats:
        """The members' sample deviation; shape (n_rows,)."""
        return np.asarray(self.members.std(axis=0, ddof=1))

    @cached_property
    def fold_plcc(self) -> Floats:
        """PLCC of each seed on each held-out source, NaN where undefined; (n_seeds, n_sources)."""
        sources = self.corpus.rows_of_sources
        return np.array([[self._plcc(member, rows) for rows in sources] for member in self.members])

    def _plcc(self, member: Floats, mine: Rows) -> float:
        plcc = agreement(member[mine], self.corpus.target[mine]).plcc
        return np.nan if plcc is None else plcc

    @cached_property
    def encodes(self) -> Encodes:
        """The rows pooled to whole encodes."""
        return Encodes.of(self)

    @property
    def rmse(self) -> float:
        """Of :attr:`mu`, over all rows; in VMAF."""
        return rmse(self.mu, self.corpus.target)


@dataclass(frozen=True)
class Encodes:
    """Means over the frames of each (source, encoder, quality[, preset]).

    Attributes
    ----------
    cell
        Which encoder, quality and preset; the same number for all sources. Shape (n,).
    source_index, mu, target
        Number of the source, VMAF as predicted and as measured; shapes (n,).
    """

    cell: npt.NDArray[np.intp]
    source_index: npt.NDArray[np.intp]
    mu: Floats
    target: Floats

    @classmethod
    def of(cls, outcome: Outcome) -> Encodes:
        frame = outcome.corpus.frame
        cell, _ = cells_of(outcome.corpus)
        grouped = frame.assign(
            cell=cell,
            source=outcome.corpus.source_index,
            mu=outcome.members.mean(axis=0),
            target=outcome.corpus.target,
        ).groupby(["source", "cell"])[["mu", "target"]]
        pooled = grouped.mean().reset_index()
        return cls(
            pooled["cell"].to_numpy(np.intp),
            pooled["source"].to_numpy(np.intp),
            np.clip(pooled["mu"].to_numpy(np.float64), VMAF_MIN, VMAF_MAX),
            pooled["target"].to_numpy(np.float64),
        )


def cells_of(corpus: Corpus) -> tuple[npt.NDArray[np.intp], int]:
    """Number of each row's (encoder, quality[, preset]), and how many of these there are."""
    columns = ["encoder", "cq", *([PRESET] if PRESET in corpus.frame else [])]
    groups = corpus.frame.groupby(columns, sort=True, dropna=False, observed=True)
    return np.asarray(groups.ngroup(), dtype=np.intp), int(groups.ngroups)


def least_squares(
    folds: Sequence[Rows], terms: Callable[[Floats], Floats], features: Floats, target: Floats
) -> Floats:
    """Each row as predicted by the fit that never saw its fold; shape as ``target``.

    By normal equations, whose sums are those of all folds less those of one: a fold costs a
    solution, not a pass over the rows.

    Parameters
    ----------
    folds
        The rows that each holds out; together all rows.
    terms
        Of features of about one size, columns of about one size: (n, 6) in, (n, n_terms) out.
    features
        Shape (n_rows, 6).
    target
        What to fit: shape (n_rows,), or (n_rows, n_tries) for many at once.
    """
    prediction = np.empty_like(target)
    grams, moments = [], []
    for mine in folds:
        x = terms(features[mine])
        grams.append(x.T @ x)
        moments.append(x.T @ target[mine])
    all_grams, all_moments = np.sum(grams, axis=0), np.sum(moments, axis=0)
    for mine, gram, moment in zip(folds, grams, moments, strict=True):
        inverse = np.linalg.pinv(all_grams - gram, rcond=_SINGULAR, hermitian=True)
        prediction[mine] = terms(features[mine]) @ (inverse @ (all_moments - moment))
    return prediction


def rmse(prediction: Floats, target: Floats) -> float:
    """Root mean square error; in the unit of its arguments."""
    return float(np.sqrt(np.mean((prediction - target) ** 2)))


def mean_fold_plcc(
    corpus: Corpus, prediction: Floats, target: Floats | None = None
) -> tuple[float | None, float | None]:
    """Mean and lowest PLCC over the held-out sources; ``None`` where that of any is undefined.

    ``target`` are other scores than the corpus', which a control was trained on.
    """
    truth = corpus.target if target is None else target
    found = [agreement(prediction[mine], truth[mine]).plcc for mine in corpus.rows_of_sources]
    defined = [plcc for plcc in found if plcc is not None]
    return mean_or_none(found), min(defined) if len(defined) == len(found) else None
