"""Sources dealt to folds: by names and row counts alone, every source once."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.contract.folds import LEAVE_ONE_SOURCE_OUT, FoldPlan
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.evidence.measure import rows_by_source
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.loso.evaluation import parts_of
from fr_ensemble_assets.loso.prepared import prepare
from fr_ensemble_tests.conftest import CPU

sizes = st.dictionaries(st.text(min_size=1), st.integers(1, 1000), min_size=5, max_size=40)


@given(sizes, st.integers(2, 5))
def test_every_source_is_held_out_once_whatever_order_it_comes_in(
    rows: dict[str, int], n: int
) -> None:
    dealt = FoldPlan(n).assign(rows)
    assert sorted(source for fold in dealt.folds for source in fold) == sorted(rows)
    counts = [len(fold) for fold in dealt.folds]
    assert max(counts) - min(counts) <= 1
    backwards = dict(reversed(rows.items()))
    assert FoldPlan(n).assign(backwards).digest == dealt.digest


@given(sizes)
def test_one_source_a_fold_is_leave_one_source_out(rows: dict[str, int]) -> None:
    for n in (len(rows), len(rows) + 1, 10**6):
        assert FoldPlan(n).assign(rows) == LEAVE_ONE_SOURCE_OUT.assign(rows)
    assert LEAVE_ONE_SOURCE_OUT.assign(rows).folds == tuple((s,) for s in sorted(rows))


@pytest.mark.parametrize("n", [0, 1])
def test_impossible_numbers_of_folds_are_refused(n: int) -> None:
    with pytest.raises(UnusableInput, match=f"one a source \\(3\\), found {n}"):
        FoldPlan(n).assign({"a": 1, "b": 1, "c": 1})


def test_a_fold_is_the_rows_of_all_other_sources_scaled_by_themselves(few: Corpus) -> None:
    data = prepare(few)
    fold = data.fold(few.sources[::2], seed=0)
    held_out = np.isin(few.frame["src"], few.sources[::2])
    np.testing.assert_array_equal(fold.held_out_rows, np.flatnonzero(held_out))
    np.testing.assert_array_equal(fold.fit.target, few.target[~held_out].astype(np.float32))
    kept = few.features[~held_out]
    expected = (kept - kept.mean(axis=0)) / kept.std(axis=0)
    np.testing.assert_array_equal(fold.fit.inputs[:, :6], expected.astype(np.float32))
    np.testing.assert_array_equal(fold.fit.inputs[:, 6:], data.codec[~held_out])


def test_a_part_can_be_sent_elsewhere_and_gives_the_same_there(few: Corpus) -> None:
    contract = ENSEMBLE.under(epochs=2)
    assignment = contract.plan.assign(rows_by_source(few))
    part, *_ = parts_of(few.sha256, assignment, 1, contract.recipe, CPU)
    there = pickle.loads(pickle.dumps(part))
    assert there.data == few.sha256
    data = prepare(few)
    np.testing.assert_array_equal(there.work(data).prediction, part.work(data).prediction)
