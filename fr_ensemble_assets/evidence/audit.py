"""Results held against the corpus and the predictions that they claim to be computed from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from upath import UPath

from fr_ensemble_assets.contract.agreed import Contract
from fr_ensemble_assets.corpus.identity import Corpus, key_columns
from fr_ensemble_assets.evidence.measure import (
    FoldResult,
    SeedResult,
    measure_folds,
    rows_by_source,
)
from fr_ensemble_assets.evidence.results import (
    SeedScore,
    predictions_file,
    recorded,
    training_record,
)
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import sha256_of
from fr_ensemble_assets.foundation.tables import parse_parquet
from fr_ensemble_assets.foundation.wording import shown

#: Figures recomputed from our own predictions differ by rounding in the last digits at most.
_RECOMPUTED_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Audit:
    """What became of results that were held against their predictions.

    Attributes
    ----------
    results
        Recomputed from the predictions, in the order of the scores; those that can't be are left
        out, and ``problems`` say why.
    problems
        One sentence each.
    """

    results: tuple[SeedResult, ...]
    problems: tuple[str, ...]


def audit_results(
    folder: UPath, corpus: Corpus, contract: Contract, scores: Sequence[SeedScore]
) -> Audit:
    """Recompute all that the gate judges of our own results from the out-of-fold predictions.

    A problem is a seed whose figures don't follow from its predictions on this corpus, or that
    doesn't record how it was trained: a file of the fork may leave that out, ours never does.
    """
    results, problems = [], []
    for score in scores:
        if recorded(score, contract) != training_record(contract):
            problems.append(f"seed {score.seed}: its file does not record this run's recipe")
        try:
            results.append(load_seed_result(folder, corpus, contract, score))
        except UnusableInput as error:
            problems.append(f"seed {score.seed}: {error}")
    return Audit(tuple(results), tuple(problems))


def load_seed_result(
    folder: UPath, corpus: Corpus, contract: Contract, score: SeedScore
) -> SeedResult:
    """A seed's result, recomputed from its out-of-fold predictions on ``corpus``.

    The files are read and held against ``score`` each time; what the very same bytes give on the
    same corpus is remembered by this process.

    Raises
    ------
    UnusableInput
        If the predictions are missing, are not the ones that ``score`` names, hold other rows,
        folds or targets than the corpus, or give other figures than ``score`` tells.
    """
    path = folder / predictions_file(score.seed)
    data = store.read(path, "out-of-fold predictions")
    if sha256_of(data) != score.predictions_sha256:
        raise UnusableInput(f"{path}: its results were computed from another file.")
    found = _recomputed(corpus, contract, data, path)
    alone = contract.plan.n_folds is None
    if score.fold_plan != found.fold_plan and not (alone and score.fold_plan is None):
        raise UnusableInput(
            f"{path}: its results were dealt to other folds than {found.fold_plan['plan']}."
        )
    result = SeedResult(score.seed, found.folds, found.prediction, score.wall_time_s)
    _require_told(path, result, score)
    return result


@dataclass(frozen=True)
class _Recomputed:
    """What the predictions of one seed give."""

    folds: tuple[FoldResult, ...]
    prediction: npt.NDArray[np.float64]
    fold_plan: Mapping[str, Any]


@lru_cache(maxsize=8)
def _recomputed(corpus: Corpus, contract: Contract, data: bytes, path: UPath) -> _Recomputed:
    """From the predictions' bytes; a pure function of them, ``path`` is for its sentences."""
    table = parse_parquet(data, path, "out-of-fold predictions")
    if not _same_rows(table, corpus):
        raise UnusableInput(f"{path}: holds other rows or targets than the corpus.")
    assignment = contract.plan.assign(rows_by_source(corpus))
    prediction = table.column("prediction").to_numpy().copy()
    prediction.flags.writeable = False
    folds = measure_folds(corpus, prediction, assignment)
    return _Recomputed(folds, prediction, assignment.to_json())


def _require_told(path: UPath, result: SeedResult, score: SeedScore) -> None:
    """Raise :class:`UnusableInput` where a file tells other figures than its predictions give."""
    given = [fold.held_out for fold in result.folds]
    told = [fold.held_out for fold in score.folds]
    if given != told:
        raise UnusableInput(f"{path}: holds out {_differing(given, told)}.")
    figures = [
        *(
            (f"fold {f.held_out}", t.plcc, f.agreement.plcc)
            for f, t in zip(result.folds, score.folds, strict=True)
        ),
        ("the mean", score.mean_plcc, result.mean_plcc),
    ]
    for name, tells, gives in figures:
        if not _same_figure(tells, gives):
            raise UnusableInput(f"{path}: gives PLCC {gives} in {name}, the results tell {tells}.")


def _differing(given: list[str], problems: list[str]) -> str:
    pairs = zip_longest(given, problems, fillvalue="no more")
    one, other = next((one, other) for one, other in pairs if one != other)
    counts = f"{len(given)} sources, the results {len(problems)}"
    return f"{counts}, the first that differs '{shown(one)}', not '{shown(other)}'"


def _same_rows(table: pa.Table, corpus: Corpus) -> bool:
    keys = key_columns(corpus.frame)
    if not {*keys, "target", "prediction"} <= set(table.column_names):
        return False
    if table.num_rows != corpus.n_rows:
        return False
    frame = table.to_pandas()
    return np.array_equal(frame["target"].to_numpy(), corpus.target) and all(
        (frame[key].fillna("") == corpus.frame[key].fillna("")).all() for key in keys
    )


def _same_figure(stated: float | None, recomputed: float | None) -> bool:
    if stated is None or recomputed is None:
        return stated is recomputed
    return abs(stated - recomputed) <= _RECOMPUTED_TOLERANCE
