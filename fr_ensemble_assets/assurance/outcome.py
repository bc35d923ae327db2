"""What all of this room works on: the seeds' out-of-fold predictions of a corpus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.evidence.measure import SeedResult
from fr_ensemble_assets.evidence.metrics import agreement, mean_or_none
from fr_ensemble_assets.foundation.schema import PRESET, VMAF_MAX, VMAF_MIN

Floats = npt.NDArray[np.float64]

#: Relative to the largest: directions that the training rows don't show carry nothing.
_SINGULAR = 1e-13


@dataclass(frozen=True)
class Outcome:
    """The ensemble's leave-one-source-out, with whole encodes beside the frames.

    Attributes
    ----------
    corpus
        What was predicted.
    members
        Out-of-fold VMAF as each seed's model predicts it; shape (n_seeds, n_rows), finite.
    """

    corpus: Corpus
    members: Floats

    @classmethod
    def of(cls, corpus: Corpus, results: Sequence[SeedResult]) -> Outcome:
        """Stack the seeds' predictions."""
        return cls(corpus, np.stack([result.prediction for result in results]))

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
        sources = range(len(self.corpus.sources))
        return np.array([[self._plcc(member, n) for n in sources] for member in self.members])

    def _plcc(self, member: Floats, number: int) -> float:
        mine = self.corpus.source_index == number
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


def folds(corpus: Corpus) -> Iterator[npt.NDArray[np.bool_]]:
    """Which rows each fold holds out, in sorted source order; shape (n_rows,)."""
    for number in range(len(corpus.sources)):
        yield corpus.source_index == number


def least_squares(corpus: Corpus, columns: Floats, target: Floats) -> Floats:
    """Each row as predicted by the fit that never saw its source; shape as ``target``.

    By normal equations, whose sums are those of all sources less those of one: a fold costs a
    solution, not a pass over the rows.

    Parameters
    ----------
    columns
        Terms of every row, of about one size; shape (n_rows, n_terms).
    target
        What to fit: shape (n_rows,), or (n_rows, n_tries) for many at once.
    """
    prediction = np.empty_like(target)
    parts = [(columns[mine], target[mine]) for mine in folds(corpus)]
    grams = [x.T @ x for x, _ in parts]
    moments = [x.T @ y for x, y in parts]
    all_grams, all_moments = np.sum(grams, axis=0), np.sum(moments, axis=0)
    for mine, (x, _), gram, moment in zip(folds(corpus), parts, grams, moments, strict=True):
        inverse = np.linalg.pinv(all_grams - gram, rcond=_SINGULAR, hermitian=True)
        prediction[mine] = x @ (inverse @ (all_moments - moment))
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
    found = [agreement(prediction[mine], truth[mine]).plcc for mine in folds(corpus)]
    defined = [plcc for plcc in found if plcc is not None]
    return mean_or_none(found), min(defined) if len(defined) == len(found) else None
