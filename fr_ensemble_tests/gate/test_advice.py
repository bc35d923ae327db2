"""What a person is told to do next, at the figures where it changes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.evidence.results import FoldScore, SeedScore
from fr_ensemble_assets.gate.advice import advice, few_sources, next_step
from fr_ensemble_assets.gate.rule import decide
from fr_ensemble_tests.gate.test_rule_limits import judged, of_sources, score

UNRELATED, HARD = "The scores don't belong", "Look at the worst folds of loso_results"


@pytest.mark.parametrize(
    ("plcc", "told"),
    [(0.0, UNRELATED), (0.1999, UNRELATED), (-0.1999, UNRELATED), (0.2, HARD), (-0.2, HARD)],
)
def test_scores_belong_to_the_features_from_a_plcc_of_a_fifth_on(plcc: float, told: str) -> None:
    assert advice(judged([plcc] * 5)).startswith(told)


def test_without_a_figure_the_worst_folds_are_looked_at() -> None:
    assert advice(judged([0.97] * 4 + [None])).startswith(f"{HARD}: add sources")


def test_figures_that_pass_are_not_blamed_for_what_else_is_wrong() -> None:
    old = replace(judged([0.97] * 5), objections=("seed 0: its file records another recipe",))
    assert advice(old).startswith("The figures pass: mend what the reasons name")
    short = replace(old, shortfalls=("mean PLCC 0.94 is 0.01 below 0.95",))
    assert advice(short).startswith(HARD)


def test_a_dry_run_is_mended_by_a_whole_one_whatever_it_reached() -> None:
    assert advice(decide([score(0, 0.0)], ENSEMBLE)).startswith("Run the whole ensemble")


def with_folds(seed: int, **plccs: float | None) -> SeedScore:
    folds = tuple(FoldScore(name, plcc, 0.9, 1.0) for name, plcc in plccs.items())
    return score(seed, 0.9, folds=folds)


def test_three_hardest_sources_are_named_once_the_undefined_first() -> None:
    scores = [
        with_folds(0, a=0.9, b=0.5, c=-1.0, d=None, e=0.6),
        *(with_folds(seed, a=0.9, b=0.4, c=-1.0, d=0.9, e=0.6) for seed in range(1, 5)),
    ]
    told = next_step(decide(scores, ENSEMBLE), scores)
    assert told.startswith(f"{HARD} (d, c, b): add sources like them")
    assert "5 sources are few" in told


def test_a_hold_over_enough_sources_says_nothing_of_their_number() -> None:
    scores = [of_sources(seed, 9) for seed in range(4)]
    assert "few" not in next_step(decide(scores, ENSEMBLE), scores)


def test_under_nine_sources_are_few() -> None:
    assert few_sources([]) == ""
    assert few_sources([of_sources(0, 0)]) == ""
    assert few_sources([of_sources(0, 1)]).startswith("1 sources are few")
    assert few_sources([of_sources(0, 8)]) == (
        "8 sources are few: intervals at 90 % over unseen sources take 9 of them, at 95 % 19"
    )
    assert few_sources([of_sources(0, 0), of_sources(1, 2)]).startswith("2 sources are few")
    for count in (9, 10):
        assert few_sources([of_sources(0, count)]) == ""
    assert few_sources([of_sources(0, 2), of_sources(1, 9)]) == ""


def test_a_promote_is_handed_over() -> None:
    promoted = judged([0.97] * 5)
    assert next_step(promoted, []).startswith("fr-ensemble propose --tree")
