"""How out-of-fold predictions agree with a corpus, source by source."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fr_ensemble_assets.contract.folds import Assignment, FoldPlan
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.evidence.metrics import Agreement, agreement, mean_or_none

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class FoldResult:
    """What was reached on one held-out source."""

    held_out: str
    n_train: int
    n_val: int
    agreement: Agreement


@dataclass(frozen=True)
class SeedResult:
    """One seed's predictions of sources that its models didn't see.

    Attributes
    ----------
    folds
        A source each, in sorted order.
    prediction
        Out-of-fold VMAF of every corpus row, float64, shape (n_rows,): each row is predicted by
        the model that held its source out.
    wall_time_s
        Seconds that were spent on the seed's folds, added up.
    """

    seed: int
    folds: tuple[FoldResult, ...]
    prediction: npt.NDArray[np.float64]
    wall_time_s: float

    @property
    def mean_plcc(self) -> float | None:
        """Over the sources; undefined where that of any is."""
        return mean_or_none([fold.agreement.plcc for fold in self.folds])


def measure_folds(
    corpus: Corpus, prediction: npt.NDArray[np.float64], assignment: Assignment
) -> tuple[FoldResult, ...]:
    """Each source's agreement with its out-of-fold predictions, shape (n_rows,)."""
    rows_of = rows_by_source(corpus)
    together = [sum(rows_of[source] for source in fold) for fold in assignment.folds]
    return tuple(
        FoldResult(
            held_out=source,
            n_train=corpus.n_rows - together[assignment.fold_of[source]],
            n_val=len(rows),
            agreement=agreement(prediction[rows], corpus.target[rows]),
        )
        for source, rows in zip(corpus.sources, corpus.rows_of_sources, strict=True)
    )


def rows_by_source(corpus: Corpus) -> dict[str, int]:
    """How many rows each source has."""
    return {
        source: len(rows)
        for source, rows in zip(corpus.sources, corpus.rows_of_sources, strict=True)
    }


def folds_of(corpus: Corpus, plan: FoldPlan) -> tuple[Rows, ...]:
    """The rows that each fold holds out under a plan, in order; shapes (n_held_out,)."""
    rows = dict(zip(corpus.sources, corpus.rows_of_sources, strict=True))
    assigned = plan.assign(rows_by_source(corpus))
    return tuple(np.sort(np.concatenate([rows[name] for name in fold])) for fold in assigned.folds)
