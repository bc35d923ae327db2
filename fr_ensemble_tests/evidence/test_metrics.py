"""PLCC, SROCC and RMSE against figures worked out by hand, and where they are undefined."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from scipy import stats

from fr_ensemble_assets.contract.folds import LEAVE_ONE_SOURCE_OUT, FoldPlan
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.evidence.measure import SeedResult, measure_folds, rows_by_source
from fr_ensemble_assets.evidence.metrics import Agreement, agreement, mean_or_none

UP = np.array([1.0, 2.0, 3.0])


def test_figures_of_three_rows_by_hand() -> None:
    found = agreement(np.array([1.0, 3.0, 2.0]), UP)
    assert found.plcc == pytest.approx(0.5, abs=1e-15)
    assert found.srocc == pytest.approx(0.5, abs=1e-15)
    assert found.rmse == pytest.approx((2 / 3) ** 0.5, abs=1e-15)


def test_figures_are_those_of_scipy_with_ties_sharing_their_mean_rank() -> None:
    random = np.random.default_rng(0)
    target = np.minimum(random.normal(95, 5, 400), 100)  # a sixth sits at exactly 100
    prediction = target + random.normal(3, 2, 400)
    found = agreement(prediction, target)
    assert found.plcc == pytest.approx(stats.pearsonr(prediction, target).statistic, abs=1e-14)
    assert found.srocc == pytest.approx(stats.spearmanr(prediction, target).statistic, abs=1e-14)
    assert found.rmse == pytest.approx(np.sqrt(((prediction - target) ** 2).mean()), abs=1e-14)


def test_two_rows_have_a_correlation_and_one_has_none() -> None:
    assert agreement(np.array([5.0, 4.0]), UP[:2]).plcc == pytest.approx(-1, abs=1e-12)
    assert agreement(np.array([4.0]), UP[:1]) == Agreement(None, None, 3.0)


@pytest.mark.parametrize("flat", [0, 1], ids=["prediction", "target"])
def test_a_constant_has_no_correlation_but_an_error(flat: int) -> None:
    sides = [UP, UP]
    sides[flat] = np.full(3, 2.0)
    assert agreement(*sides) == Agreement(None, None, pytest.approx((2 / 3) ** 0.5))


def test_what_has_no_correlation_is_known_beforehand() -> None:
    """No figure comes of a division by zero, which numpy would warn of."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        flat = np.full(3, 2.0)
        for sides in ((flat, UP), (UP, flat), (flat, flat), (UP[:1], UP[1:2])):
            assert agreement(*sides).plcc is None
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert agreement(np.empty(0), np.empty(0)).plcc is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_prediction_that_is_not_finite_leaves_all_undefined(bad: float) -> None:
    assert agreement(np.array([1.0, bad, 3.0]), UP) == Agreement(None, None, None)


def test_rounding_never_leaves_minus_one_to_one() -> None:
    for n in range(3, 60):
        values = np.linspace(0.1, 0.7, n) ** 3
        assert agreement(3 * values, values).plcc <= 1.0  # type: ignore[operator]
        assert agreement(-3 * values, values).plcc >= -1.0  # type: ignore[operator]
        assert agreement(3 * values, values).plcc == pytest.approx(1.0, abs=1e-12)


def test_a_spread_beyond_what_float64_holds_has_no_correlation() -> None:
    with np.errstate(all="ignore"):
        assert agreement(np.array([1.7e308, 1.7e308, 1.0]), UP).plcc is None
        assert agreement(np.array([1e-200, 2e-200, 3e-200]), UP).plcc is None


def test_a_mean_over_anything_undefined_is_undefined() -> None:
    assert mean_or_none([0.5, 0.7]) == pytest.approx(0.6, abs=1e-15)
    assert mean_or_none([0.0]) == 0.0
    assert mean_or_none([0.5, None]) is None
    assert mean_or_none([None]) is None
    assert mean_or_none([]) is None


def measured(corpus: Corpus, plan: FoldPlan, **noise: float) -> dict[str, Any]:
    """Predictions that err on the named sources alone, measured."""
    scale = np.array([noise.get(source, 0.0) for source in corpus.sources])[corpus.source_index]
    prediction = corpus.target + scale * np.random.default_rng(0).normal(size=corpus.n_rows)
    folds = measure_folds(corpus, prediction, plan.assign(rows_by_source(corpus)))
    return {fold.held_out: fold for fold in folds}


def test_each_source_is_measured_by_itself(few: Corpus) -> None:
    of = measured(few, LEAVE_ONE_SOURCE_OUT, city=1.0)
    assert list(of) == list(few.sources)
    assert (of["bbb"].agreement.rmse, of["dog"].agreement.rmse) == (0.0, 0.0)
    assert 0.5 < of["city"].agreement.rmse < 1.5
    rows = rows_by_source(few)
    assert rows == {name: int((few.frame["src"] == name).sum()) for name in few.sources}
    for name, fold in of.items():
        assert fold.n_val == rows[name]
        assert fold.n_train == few.n_rows - rows[name]


def test_in_a_grouped_plan_a_fold_trains_without_all_of_its_sources(few: Corpus) -> None:
    plan = FoldPlan(2)
    rows = rows_by_source(few)
    of = measured(few, plan)
    for fold in plan.assign(rows).folds:
        for name in fold:
            assert of[name].n_train == few.n_rows - sum(rows[other] for other in fold)


def test_a_seed_without_one_correlation_has_no_mean(few: Corpus) -> None:
    prediction = few.target.copy()
    folds = measure_folds(few, prediction, LEAVE_ONE_SOURCE_OUT.assign(rows_by_source(few)))
    assert SeedResult(0, folds, prediction, 0.0).mean_plcc == pytest.approx(1.0)
    prediction[few.source_index == 1] = 50.0
    folds = measure_folds(few, prediction, LEAVE_ONE_SOURCE_OUT.assign(rows_by_source(few)))
    assert folds[1].agreement.plcc is None
    assert SeedResult(0, folds, prediction, 0.0).mean_plcc is None
