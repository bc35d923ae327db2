"""The gate over a codec's folds (ADR-0303), and what is told beside its verdict.

Thresholds, decimal arithmetic and inclusive comparisons are the ensemble's own; the units are
folds instead of seeds. With five folds of four clips the spread allowed is near its own noise: how
other groupings would have come out is told, and never chosen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from fr_ensemble_assets.contract.agreed import Contract
from fr_ensemble_assets.evidence.metrics import mean_or_none
from fr_ensemble_assets.gate.rule import Figures, mean_and_spread, weigh
from fr_ensemble_assets.predictors.cells import Cells
from fr_ensemble_assets.predictors.evaluation import (
    Evaluation,
    FoldResult,
    NotJudged,
    Task,
    evaluate,
    scored_probe_fit,
    task_of,
)
from fr_ensemble_assets.predictors.folds import FOLD_SEED, folds_digest

PASS, FAIL = "pass", "fail"
#: Of a codec without cells: nothing is judged, and nothing is wrong.
MISSING_ROWS = "missing-rows"
SCORED_PROBE = "scored-probe"
#: What other groupings are dealt with; fixed, like the one that is judged.
OTHER_SEEDS = tuple(range(10))
_MOST_CULPRITS = 5


@dataclass(frozen=True)
class Grouping:
    """How one dealing of the sources into folds comes out."""

    fold_seed: int
    mean_plcc: float | None
    plcc_spread: float | None
    lowest_plcc: float | None
    passes: bool


@dataclass(frozen=True)
class Hard:
    """A source, its error, and the spread if its encodes weren't in its fold."""

    source: str
    fold: int
    rmse: float
    spread_without: float | None


@dataclass(frozen=True)
class CodecVerdict:
    """What the gate says of one codec.

    Attributes
    ----------
    status
        ``pass``, ``fail``, or why there is no verdict: ``insufficient-sources``,
        ``missing-rows``, ``unusable``.
    reasons
        Each failing aspect with its numbers; empty on ``pass``.
    evaluation
        What was judged; ``None`` where nothing could be.
    others
        How :data:`OTHER_SEEDS` come out; no part of the verdict.
    """

    encoder: str
    kind: str
    status: str
    reasons: tuple[str, ...]
    mean_plcc: float | None = None
    plcc_spread: float | None = None
    folds: tuple[FoldResult, ...] = ()
    evaluation: Evaluation | None = None
    others: tuple[Grouping, ...] = ()

    @cached_property
    def hardest(self) -> tuple[Hard, ...]:
        """Sources by their error, the largest first."""
        return () if self.evaluation is None else _hardest(self.evaluation)

    @cached_property
    def culprits(self) -> tuple[str, ...]:
        """A few sources without whose encodes the verdict would be a pass.

        Empty where it is one, or where a few don't do.
        """
        return () if self.evaluation is None else _culprits(self.evaluation, self.hardest)

    @property
    def passed(self) -> bool:
        return self.status == PASS

    @property
    def mean_srocc(self) -> float | None:
        return mean_or_none([fold.agreement.srocc for fold in self.folds])

    @property
    def mean_rmse(self) -> float | None:
        return mean_or_none([fold.agreement.rmse for fold in self.folds])

    @property
    def rmse(self) -> float | None:
        """Over all judged encodes, in VMAF."""
        return None if self.evaluation is None else _rmse(self.evaluation.predictions)


def judge_scored_probe(cells: Cells, encoder: str, others: bool = True) -> CodecVerdict:
    """Train and judge the scored probe of one codec; never raises for what cells can hold.

    ``others`` asks for the other groupings, which are no part of the verdict, take ten times as
    long, and are shown where there is room.
    """
    return judge_with(cells, encoder, SCORED_PROBE, lambda task: _scored_runs(cells, task), others)


def _scored_runs(cells: Cells, task: Task) -> Callable[[int], Evaluation]:
    fit = scored_probe_fit(cells, task)
    return lambda seed: evaluate(cells.sha256, task, SCORED_PROBE, fit, seed)


def judge_with(
    cells: Cells,
    encoder: str,
    kind: str,
    runs: Callable[[Task], Callable[[int], Evaluation]],
    others: bool = True,
) -> CodecVerdict:
    """Judge any kind of predictor: ``runs`` gives, for a task, the evaluation by fold seed."""
    try:
        run = runs(task_of(cells, encoder))
        evaluation = run(FOLD_SEED)
    except NotJudged as refusal:
        return CodecVerdict(encoder, kind, refusal.status, (str(refusal),))
    seeds = OTHER_SEEDS if others else ()
    return decide(evaluation, tuple(_grouping(run, seed) for seed in seeds))


def decide(evaluation: Evaluation, others: tuple[Grouping, ...] = ()) -> CodecVerdict:
    """The verdict on predictions, from the predictions alone: every figure is recomputed."""
    folds = evaluation.results()
    figures = figures_of(folds, evaluation.contract)
    reasons = (*_off_recipe(evaluation), *shortfalls(figures, evaluation.contract))
    return CodecVerdict(
        encoder=evaluation.task.encoder,
        kind=evaluation.kind,
        status=FAIL if reasons else PASS,
        reasons=reasons,
        mean_plcc=figures.mean,
        plcc_spread=figures.spread,
        folds=folds,
        evaluation=evaluation,
        others=others,
    )


def figures_of(folds: Sequence[FoldResult], contract: Contract) -> Figures:
    """The gate's own figures, with folds for units."""
    return weigh({fold.index: fold.agreement.plcc for fold in folds}, contract)


def shortfalls(figures: Figures, contract: Contract) -> tuple[str, ...]:
    """Each of the gate's figures that fails, in the words that the fork's readers know."""
    limits, found = contract.thresholds, []
    undefined = [f"fold{n}" for n, plcc in figures.per_unit.items() if plcc is None]
    if figures.mean is None or figures.spread is None:
        found.append(f"PLCC is undefined in {', '.join(undefined) or 'every fold'}")
    else:
        if not figures.mean >= limits.mean_plcc_min:
            told = _apart(figures.mean, "<", limits.mean_plcc_min)
            found.append(f"mean PLCC {told} (ADR-0303 part 1)")
        if not figures.spread <= limits.plcc_spread_max:
            told = _apart(figures.spread, ">", limits.plcc_spread_max)
            found.append(f"PLCC spread {told} (ADR-0303 part 2)")
    low = [
        f"fold{number}={_apart_value(plcc, limits.each_plcc_min)}"
        for number, plcc in figures.per_unit.items()
        if number in figures.failing and plcc is not None
    ]
    if low:
        found.append(f"per-fold PLCC < {limits.each_plcc_min:.4f}: {', '.join(low)}")
    # Whatever the gate's own rule finds and no words above name still fails.
    return tuple(found) or figures.shortfalls


def digests(evaluation: Evaluation) -> tuple[str, str]:
    """Of the folds and of the predictions."""
    return folds_digest(evaluation.folds), evaluation.predictions_sha256


def _off_recipe(evaluation: Evaluation) -> tuple[str, ...]:
    contract: tuple[tuple[str, int, int], ...] = (
        ("fold seed", evaluation.fold_seed, FOLD_SEED),
        ("epochs", evaluation.epochs, evaluation.contract.recipe.epochs),
    )
    return tuple(
        f"dry run: {name} {is_} instead of {be}" for name, is_, be in contract if is_ != be
    )


def _grouping(run: Callable[[int], Evaluation], seed: int) -> Grouping:
    try:
        evaluation = run(seed)
    except NotJudged:
        return Grouping(seed, None, None, None, passes=False)
    figures = figures_of(evaluation.results(), evaluation.contract)
    plcc = list(figures.per_unit.values())
    defined = [value for value in plcc if value is not None]
    lowest = min(defined) if len(defined) == len(plcc) else None
    return Grouping(seed, figures.mean, figures.spread, lowest, passes=not figures.shortfalls)


def _hardest(evaluation: Evaluation) -> tuple[Hard, ...]:
    fold_of = {name: number for number, fold in enumerate(evaluation.folds) for name in fold}
    whole = [fold.agreement.plcc for fold in evaluation.results()]
    found = []
    for source, rows in evaluation.predictions.groupby("src", sort=True):
        name = str(source)
        plcc = list(whole)
        plcc[fold_of[name]] = evaluation.fold(fold_of[name], without=[name]).agreement.plcc
        _, spread = mean_and_spread(plcc)
        found.append(Hard(name, fold_of[name], _rmse(rows), spread))
    return tuple(sorted(found, key=lambda hard: -hard.rmse))


def _culprits(evaluation: Evaluation, hardest: Sequence[Hard]) -> tuple[str, ...]:
    """Of the fold that is lowest, the source with the largest error; and again until it passes."""
    error = {hard.source: hard.rmse for hard in hardest}
    left_out: list[str] = []
    folds = evaluation.results()
    while figures_of(folds, evaluation.contract).shortfalls:
        lowest = min(folds, key=_plcc)
        left = [name for name in lowest.held_out if name not in left_out]
        if len(left) < 2 or len(left_out) == _MOST_CULPRITS:
            return ()
        left_out.append(max(left, key=lambda name: error[name]))
        folds = evaluation.results(left_out)
    return tuple(left_out)


def _plcc(fold: FoldResult) -> float:
    return -math.inf if fold.agreement.plcc is None else fold.agreement.plcc


def _rmse(rows: pd.DataFrame) -> float:
    error = rows["predicted"].to_numpy(dtype=np.float64) - rows["vmaf"].to_numpy(dtype=np.float64)
    return float(np.sqrt(np.mean(error**2)))


def _apart(value: float, sign: str, threshold: float) -> str:
    return f"{_apart_value(value, threshold)} {sign} {threshold:.4f}"


def _apart_value(value: float | None, threshold: float) -> str:
    """Four digits, or as many as it takes to tell it from the threshold."""
    assert value is not None
    for digits in (4, 6, 8, 12):
        if f"{value:.{digits}f}" != f"{threshold:.{digits}f}":
            return f"{value:.{digits}f}"
    return repr(value)
