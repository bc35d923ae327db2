"""Predictions of sources held out, fold by fold, and how they agree with the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from fr_ensemble_assets.contract.agreed import Contract, codec_predictor
from fr_ensemble_assets.evidence.metrics import Agreement, agreement
from fr_ensemble_assets.foundation.files import sha256_of
from fr_ensemble_assets.foundation.schema import TARGET
from fr_ensemble_assets.predictors.cells import Cells
from fr_ensemble_assets.predictors.folds import FOLD_SEED, Folds, grouped_folds
from fr_ensemble_assets.predictors.ladders import (
    Ladders,
    NoCurves,
    ladders_of,
    scored_features,
)
from fr_ensemble_assets.predictors.model import Probe, ScoredProbe
from fr_ensemble_assets.predictors.scale import Array
from fr_ensemble_assets.predictors.scope import (
    MIN_FOLD_ENCODES,
    MIN_SOURCES,
    in_judged_range,
    probe_index,
)

#: From the cells of some sources, a function that predicts another one: takes its name, returns the
#: VMAF of its rows, by ascending quality.
Predict = Callable[[str], Array]
Fit = Callable[[tuple[str, ...]], Predict]


class NotJudged(Exception):
    """Cells of which no verdict can be made: ``status`` and the reason."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Task:
    """What is judged of one encoder.

    Attributes
    ----------
    encoder
        Its name.
    rows
        Its cells at the judged qualities and the probe's, by source and quality.
    sources
        Sorted.
    probe
        The quality of the scored probe, whose own rows are never judged; ``None`` where the probe
        is none of these encodes.
    judged
        The other qualities, ascending.
    """

    encoder: str
    rows: pd.DataFrame
    sources: tuple[str, ...]
    probe: float | None
    judged: tuple[float, ...]

    def judging_all(self) -> Task:
        """The same with every quality judged, for a probe that is none of these encodes."""
        judged = tuple(sorted(float(quality) for quality in self.rows["cq"].unique()))
        return replace(self, probe=None, judged=judged)

    @cached_property
    def ordered(self) -> pd.DataFrame:
        """The rows by the sources' order, then by ascending quality."""
        order = np.lexsort((self.rows["cq"].to_numpy(dtype=np.float64), self.place(self.rows)))
        return self.rows.iloc[order].reset_index(drop=True)

    @cached_property
    def of_source(self) -> dict[str, pd.DataFrame]:
        """Each source's rows, by ascending quality."""
        ends = np.searchsorted(self.place(self.ordered), np.arange(len(self.sources) + 1))
        return {
            name: self.ordered.iloc[ends[number] : ends[number + 1]]
            for number, name in enumerate(self.sources)
        }

    def place(self, rows: pd.DataFrame) -> npt.NDArray[np.intp]:
        """Which of the sources each row is of, by number."""
        return pd.Index(self.sources).get_indexer(pd.Index(rows["src"]))


@dataclass(frozen=True)
class FoldResult:
    """One fold: what was held out, and how its encodes' predictions agree with their VMAF."""

    index: int
    held_out: tuple[str, ...]
    agreement: Agreement
    n_train: int
    n_val: int


@dataclass(frozen=True)
class Evaluation:
    """All folds of one encoder.

    Attributes
    ----------
    predictions
        One row a judged encode: ``src``, ``cq``, ``fold``, ``vmaf``, ``predicted``; by source and
        quality.
    fold_seed, epochs
        The recipe, which is the contract's or makes a dry run.
    """

    task: Task
    kind: str
    corpus_sha256: str
    folds: Folds
    predictions: pd.DataFrame
    fold_seed: int
    epochs: int = 0

    @property
    def contract(self) -> Contract:
        """What was agreed on for this codec."""
        return codec_predictor(self.task.encoder)

    @property
    def predictions_bytes(self) -> bytes:
        """The predictions as CSV; equal predictions give equal bytes."""
        text: str = self.predictions.to_csv(index=False, lineterminator="\n")
        return text.encode()

    @property
    def predictions_sha256(self) -> str:
        return sha256_of(self.predictions_bytes)

    def results(self, without: Sequence[str] = ()) -> tuple[FoldResult, ...]:
        """The figures of each fold, recomputed; ``without`` some sources' encodes."""
        return tuple(self.fold(number, without) for number in range(len(self.folds)))

    def fold(self, number: int, without: Sequence[str] = ()) -> FoldResult:
        """The figures of one of them."""
        held_out, (fold, truth, predicted) = self.folds[number], self._columns
        rows = fold == number
        if without:
            rows = rows & ~self.predictions["src"].isin(without).to_numpy(dtype=bool)
        return FoldResult(
            index=number,
            held_out=held_out,
            agreement=_agreement(predicted[rows], truth[rows]),
            n_train=len(self.task.judged) * (len(self.task.sources) - len(held_out)),
            n_val=int(rows.sum()),
        )

    @cached_property
    def _columns(self) -> tuple[Array, Array, Array]:
        """Of the predictions: number of the fold, truth, prediction."""
        fold, truth, predicted = (
            self.predictions[name].to_numpy(dtype=np.float64)
            for name in ("fold", TARGET, "predicted")
        )
        return fold, truth, predicted


def task_of(cells: Cells, encoder: str) -> Task:
    """What would be judged of ``encoder``.

    Raises
    ------
    NotJudged
        ``missing-rows`` without cells, ``insufficient-sources`` with fewer than five sources,
        ``unusable`` where the sources' qualities differ or are too few, or a target is constant.
    """
    rows = cells.of_encoder(encoder)
    if rows.empty:
        raise NotJudged("missing-rows", "no rows in corpus for this codec")
    sources = tuple(sorted(rows["src"].unique()))
    if len(sources) < MIN_SOURCES:
        raise NotJudged(
            "insufficient-sources", f"need >= {MIN_SOURCES} distinct sources; have {len(sources)}"
        )
    rows = rows[in_judged_range(encoder, rows["cq"].to_numpy(dtype=np.float64))]
    quality, at = np.unique(rows["cq"].to_numpy(dtype=np.float64), return_inverse=True)
    there = np.zeros((len(sources), len(quality)), dtype=bool)
    there[pd.Index(sources).get_indexer(pd.Index(rows["src"])), at] = True
    for source, lacking in np.argwhere(~there):
        raise NotJudged(
            "unusable",
            f"every source needs the same qualities; '{sources[source]}' lacks "
            f"{quality[lacking]:g}",
        )
    if len(quality) < 2:
        raise NotJudged("unusable", f"need >= 2 qualities in the judged range; have {len(quality)}")
    means = rows.groupby("cq")[TARGET].mean().to_numpy(dtype=np.float64)
    probe = float(quality[probe_index(encoder, quality, means)])
    judged = tuple(float(q) for q in quality if q != probe)
    return Task(encoder, rows.reset_index(drop=True), sources, probe, judged)


def evaluate(
    cells_sha256: str, task: Task, kind: str, fit: Fit, fold_seed: int = FOLD_SEED
) -> Evaluation:
    """Hold out each fold in turn, fit on the sources of the others, predict.

    ``cells_sha256`` names the cells that ``task`` is of.

    Raises
    ------
    NotJudged
        ``unusable`` where a fold has under 20 encodes or a constant target.
    """
    folds = grouped_folds(task.sources, fold_seed)
    _require_folds(task, folds)
    of_source: dict[str, Array] = {}
    for held_out in folds:
        predict = fit(tuple(name for name in task.sources if name not in held_out))
        of_source |= {name: predict(name) for name in held_out}
    predicted = np.concatenate([of_source[name] for name in task.sources])
    return _evaluation(cells_sha256, task, kind, predicted, folds, fold_seed)


def to_be_predicted(cells_sha256: str, task: Task, kind: str) -> Evaluation:
    """The same with nothing fitted and no prediction, for predictions that are there.

    Raises
    ------
    NotJudged
        As :func:`evaluate`.
    """
    folds = grouped_folds(task.sources, FOLD_SEED)
    _require_folds(task, folds)
    none = np.full(len(task.rows), np.nan)
    return _evaluation(cells_sha256, task, kind, none, folds, FOLD_SEED)


def _evaluation(
    cells_sha256: str, task: Task, kind: str, predicted: Array, folds: Folds, fold_seed: int
) -> Evaluation:
    """``predicted`` in the order of ``task.ordered``."""
    rows = task.ordered
    table = pd.DataFrame(
        {
            "src": rows["src"],
            "cq": rows["cq"],
            "fold": _fold_numbers(task, folds)[task.place(rows)],
            TARGET: rows[TARGET],
            "predicted": predicted,
        }
    )
    judged = table[table["cq"].isin(task.judged)].reset_index(drop=True)
    return Evaluation(task, kind, cells_sha256, folds, judged, fold_seed)


def scored_probe_fit(cells: Cells, task: Task) -> Fit:
    """How the kind ``scored-probe`` is fitted: curves over everything that the cells cover.

    Raises
    ------
    NotJudged
        ``unusable`` where no curves can be made of the cells.
    """
    try:
        everything = ladders_of(cells, task.encoder, task.sources)
    except NoCurves as error:
        raise NotJudged("unusable", str(error)) from error

    return curves_fit(
        everything, task, {name: _probe_of(task, rows) for name, rows in task.of_source.items()}
    )


def curves_fit(everything: Ladders, task: Task, probes: Mapping[str, Probe]) -> Fit:
    """The same from curves that are there, with each source's probe."""
    at = [everything.index_of(quality) for quality in np.unique(task.rows["cq"])]

    def fit(sources: tuple[str, ...]) -> Predict:
        predictor = ScoredProbe(everything.only(sources))
        return lambda source: predictor.belief([probes[source]]).vmaf[at]

    return fit


def _probe_of(task: Task, rows: pd.DataFrame) -> Probe:
    assert task.probe is not None
    mine = rows[rows["cq"] == task.probe]
    return Probe(task.probe, float(mine[TARGET].iloc[0]), scored_features(mine)[0])


def _agreement(predicted: Array, truth: Array) -> Agreement:
    return agreement(predicted, truth) if len(truth) else Agreement(None, None, None)


def _fold_numbers(task: Task, folds: Folds) -> npt.NDArray[np.int64]:
    """Which fold holds each source out."""
    fold_of = {name: number for number, held_out in enumerate(folds) for name in held_out}
    return np.array([fold_of[name] for name in task.sources])


def _require_folds(task: Task, folds: Folds) -> None:
    of_row = _fold_numbers(task, folds)[task.place(task.rows)]
    of_row = np.where(np.isin(task.rows["cq"].to_numpy(), task.judged), of_row, -1)
    truth = task.rows[TARGET].to_numpy(dtype=np.float64)
    for number, held_out in enumerate(folds):
        encodes = len(held_out) * len(task.judged)
        if encodes < MIN_FOLD_ENCODES:
            raise NotJudged(
                "unusable",
                f"need >= {MIN_FOLD_ENCODES} judged encodes a fold; fold{number} has {encodes} "
                f"({len(held_out)} sources at {len(task.judged)} qualities)",
            )
        if np.ptp(truth[of_row == number]) == 0:
            raise NotJudged("unusable", f"constant VMAF in fold{number}")
