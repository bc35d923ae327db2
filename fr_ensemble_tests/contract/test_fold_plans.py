"""Folds dealt by hand: what the digest order gives, and what is recorded of it."""

from __future__ import annotations

import hashlib
import json

import pytest

from fr_ensemble_assets.contract.folds import LEAVE_ONE_SOURCE_OUT, Assignment, FoldPlan
from fr_ensemble_assets.foundation.errors import UnusableInput

ROWS = {"a": 10, "b": 40, "c": 20, "d": 30, "e": 5}


def by_digest(names: list[str]) -> list[str]:
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())


def test_each_source_goes_to_the_fold_of_fewest_sources_then_rows_then_the_first() -> None:
    first, second, third, fourth, fifth = by_digest(list(ROWS))
    dealt = FoldPlan(2).assign(ROWS)
    lighter, heavier = (0, 1) if ROWS[first] <= ROWS[second] else (1, 0)
    folds: list[list[str]] = [[first], [second]]
    folds[lighter].append(third)
    folds[heavier].append(fourth)
    rows = [sum(ROWS[name] for name in fold) for fold in folds]
    folds[0 if rows[0] <= rows[1] else 1].append(fifth)
    assert dealt.folds == tuple(tuple(sorted(fold)) for fold in folds)


def test_rows_decide_among_folds_of_as_many_sources() -> None:
    """Whichever of the first two is heavier, the third joins the other."""
    first, second, third, _ = by_digest(list("abcd"))
    for heavy, light in ((first, second), (second, first)):
        rows = dict.fromkeys("abcd", 10) | {heavy: 1000}
        dealt = FoldPlan(2).assign(rows)
        assert dealt.fold_of[third] == dealt.fold_of[light]
        assert dealt.fold_of[third] != dealt.fold_of[heavy]


def test_sources_count_before_rows() -> None:
    names = by_digest([f"s{n}" for n in range(6)])
    rows = dict.fromkeys(names, 1) | {names[0]: 10**6}
    assert [len(fold) for fold in FoldPlan(3).assign(rows).folds] == [2, 2, 2]


def test_alone_is_one_source_a_fold_in_sorted_order() -> None:
    alone = LEAVE_ONE_SOURCE_OUT.assign({"b": 1, "a": 2})
    assert alone.folds == (("a",), ("b",))
    assert alone.plan == "leave-one-source-out"
    assert alone.fold_of == {"a": 0, "b": 1}
    assert FoldPlan(2).assign({"b": 1, "a": 2}).folds == alone.folds
    assert FoldPlan(3).assign({"b": 1, "a": 2}) == alone
    assert FoldPlan(1).assign({"a": 2}).folds == (("a",),)


@pytest.mark.parametrize(("n", "sources", "possible"), [(2, 3, True), (1, 3, False), (0, 3, False)])
def test_from_two_folds_to_one_a_source(n: int, sources: int, possible: bool) -> None:
    rows = {f"s{number}": 1 for number in range(sources)}
    if possible:
        assert len(FoldPlan(n).assign(rows).folds) == n
    else:
        with pytest.raises(UnusableInput, match=f"expected from 2 folds .*{sources}.*found {n}"):
            FoldPlan(n).assign(rows)


def test_evidence_records_plan_number_and_a_digest_of_who_is_with_whom() -> None:
    grouped = Assignment((("a", "é"), ("c",)))
    assert grouped.plan == "grouped"
    written = json.dumps([["a", "\u00e9"], ["c"]])
    assert grouped.to_json() == {
        "plan": "grouped",
        "n": 2,
        "assignment_sha256": hashlib.sha256(written.encode()).hexdigest(),
    }
    assert Assignment((("a",), ("é", "c"))).digest != grouped.digest
    assert Assignment((("a",), ("c", "é"))).plan == "grouped"


def test_names_that_are_no_text_are_dealt_too() -> None:
    """A file name may hold bytes that are no UTF-8; Python shows them as surrogates."""
    assert len(FoldPlan(2).assign({"\udcff": 1, "b": 1, "c": 1}).folds) == 2
