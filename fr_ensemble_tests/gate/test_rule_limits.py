"""The rule at its limits: what just passes, what just doesn't, and every word it then says."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.evidence.results import FoldScore, SeedScore
from fr_ensemble_assets.gate.rule import Decision, decide, mean_and_spread, seed_plcc, weigh

GOOD = [0.97, 0.971, 0.972, 0.973, 0.974]
CORPUS = "c" * 64


def score(seed: int, plcc: float | None, **changes: Any) -> SeedScore:
    folds = tuple(FoldScore(name, plcc, 0.9, 1.0) for name in ("a", "b"))
    plain = SeedScore(
        seed=seed,
        folds=folds,
        mean_plcc=plcc,
        corpus="",
        corpus_sha256=CORPUS,
        n_rows=120,
        settings=ENSEMBLE.training_record,
        fold_plan=None,
        predictions_sha256=None,
        wall_time_s=0.0,
        sha256="",
    )
    return replace(plain, **changes)


def judged(plccs: list[float | None], **changes: Any) -> Decision:
    scores = [score(seed, plcc, **changes) for seed, plcc in enumerate(plccs)]
    return decide(scores, ENSEMBLE, CORPUS)


# --- the three thresholds -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plccs", "promoted"),
    [
        ([0.95] * 5, True),
        ([0.95] * 4 + [0.9499999999], False),
        ([0.95, 0.955, 0.95, 0.95, 0.95], True),
        ([0.95, 0.9550000001, 0.95, 0.95, 0.95], False),
        ([1.0] * 5, True),
        ([0.9989, 0.9939, 0.9989, 0.9989, 0.9989], True),
    ],
)
def test_thresholds_stand_where_adr_0303_put_them(
    plccs: list[float | None], promoted: bool
) -> None:
    assert judged(plccs).promote is promoted


def test_each_figure_passes_by_itself() -> None:
    wide = judged([0.95, 0.95, 0.95, 0.95, 0.96])
    assert (wide.mean_plcc_pass, wide.plcc_spread_pass, wide.per_seed_pass) == (True, False, True)
    low = judged([0.949] * 5)
    assert (low.mean_plcc_pass, low.plcc_spread_pass, low.per_seed_pass) == (False, True, False)
    one_low = judged([0.9499] + [0.9540] * 4)
    assert one_low.failing_seeds == (0,)
    assert (one_low.mean_plcc_pass, one_low.plcc_spread_pass) == (True, True)
    assert not one_low.per_seed_pass
    at_the_limit = judged([0.95, 0.95, 0.95, 0.95, 0.95])
    assert (at_the_limit.mean_plcc_pass, at_the_limit.per_seed_pass) == (True, True)
    assert judged([0.95, 0.955, 0.95, 0.95, 0.95]).plcc_spread_pass


def test_without_results_nothing_passes() -> None:
    nothing = decide([], ENSEMBLE)
    assert (nothing.mean_plcc, nothing.plcc_spread, nothing.seeds) == (None, None, ())
    passes = (nothing.mean_plcc_pass, nothing.plcc_spread_pass, nothing.per_seed_pass)
    assert passes == (False, False, False)
    assert nothing.reasons == ("no results for seeds 0, 1, 2, 3, 4",)
    assert nothing.dry_run


def test_the_mean_alone_can_fall_short() -> None:
    """Under thresholds of another contract: under ADR-0303 a unit always falls short with it."""
    lenient = replace(ENSEMBLE.thresholds, each_plcc_min=0.9)
    figures = weigh({0: 0.94, 1: 0.944}, replace(ENSEMBLE, thresholds=lenient))
    assert figures.failing == ()
    assert figures.shortfalls == ("mean PLCC 0.942000 is 0.008000 below 0.95",)


# --- mean and spread ------------------------------------------------------------------------


def test_mean_and_spread_are_those_of_the_decimals_as_written() -> None:
    assert mean_and_spread([0.955, 0.95]) == (0.9525, 0.005)
    assert mean_and_spread([0.3]) == (0.3, 0.0)
    assert mean_and_spread([]) == (None, None)
    assert mean_and_spread([0.9, None]) == (None, None)
    assert mean_and_spread([None]) == (None, None)


def test_an_undefined_unit_leaves_mean_and_spread_undefined() -> None:
    figures = weigh({0: None, 1: 0.97}, ENSEMBLE)
    assert (figures.mean, figures.spread, figures.failing) == (None, None, (0,))
    assert figures.shortfalls == ("seed 0: PLCC is undefined",)
    named = weigh({0: 0.97, 7: None}, ENSEMBLE, {7: ["dog", "city"]})
    assert named.shortfalls == ("seed 7: PLCC is undefined in dog, city",)


def test_a_unit_after_a_good_one_is_looked_at_too() -> None:
    figures = weigh({0: 0.97, 1: 0.9, 2: 0.97, 3: 0.8}, ENSEMBLE)
    assert figures.failing == (1, 3)
    assert figures.per_unit == {0: 0.97, 1: 0.9, 2: 0.97, 3: 0.8}


def test_a_seed_whose_fold_is_undefined_has_no_figure() -> None:
    broken = score(0, 0.97, folds=(FoldScore("a", None, None, None), FoldScore("b", 0.97, 1, 1)))
    assert seed_plcc(broken) is None
    assert seed_plcc(score(0, 0.97)) == 0.97


def test_shortfalls_show_six_digits_or_the_ones_that_matter() -> None:
    at = replace(ENSEMBLE.thresholds, mean_plcc_min=0.0, each_plcc_min=1e-6, plcc_spread_max=1.0)
    told = weigh({0: 0.0}, replace(ENSEMBLE, thresholds=at)).shortfalls
    assert told == ("seed 0: PLCC 0.000000 is 0.000001 below 1e-06",)
    at = replace(at, each_plcc_min=9.9e-7)
    told = weigh({0: 0.0}, replace(ENSEMBLE, thresholds=at)).shortfalls
    assert told == ("seed 0: PLCC 0.000000 is 9.9e-07 below 9.9e-07",)


# --- objections -----------------------------------------------------------------------------


def test_seeds_come_in_any_order_and_those_of_a_study_are_left_out() -> None:
    scores = [score(seed, plcc) for seed, plcc in enumerate(GOOD)]
    decision = decide([score(5, 0.1), *reversed(scores), score(99, None)], ENSEMBLE, CORPUS)
    assert decision.promote
    assert decision.seeds == (0, 1, 2, 3, 4)
    assert list(decision.per_seed_plcc.values()) == GOOD
    assert not decision.dry_run


def test_one_missing_seed_makes_it_a_dry_run_and_a_hold() -> None:
    decision = decide([score(seed, 0.97) for seed in (0, 1, 3, 4)], ENSEMBLE, CORPUS)
    assert (decision.verdict, decision.dry_run, decision.missing_seeds) == ("HOLD", True, (2,))
    assert decision.objections == ("no results for seed 2",)


def test_a_mean_may_differ_from_its_folds_by_a_millionth() -> None:
    def with_mean(mean: float) -> Decision:
        scores = [score(seed, 0.5) for seed in range(5)]
        scores[4] = score(4, 0.5, mean_plcc=mean)
        return decide(scores, ENSEMBLE, CORPUS)

    tolerated = 0.5 + 9.99e-7
    assert with_mean(tolerated).objections == ()
    assert with_mean(1 - tolerated).objections == ()
    for mean in (0.5 + 1.001e-6, 0.5 - 1.001e-6):
        (objection,) = with_mean(mean).objections
        assert objection.startswith(f"seed 4: mean_plcc {mean:.6f}")
        assert objection.endswith("is not the mean of its folds, 0.500000")


def test_a_mean_exactly_at_the_tolerance_is_no_contradiction() -> None:
    scores = [score(seed, 0.0) for seed in range(5)]
    scores[1] = score(1, 0.0, mean_plcc=1e-6)
    assert decide(scores, ENSEMBLE, CORPUS).objections == ()


def test_an_undefined_mean_contradicts_nothing_but_fails() -> None:
    scores = [score(seed, 0.97) for seed in range(5)]
    scores[3] = score(3, 0.97, mean_plcc=None)
    decision = decide(scores, ENSEMBLE, CORPUS)
    assert decision.objections == ()
    assert decision.reasons == ("seed 3: PLCC is undefined",)


def test_sources_may_come_in_any_order_but_must_be_the_same() -> None:
    scores = [score(seed, 0.97) for seed in range(5)]
    scores[2] = replace(scores[2], folds=tuple(reversed(scores[2].folds)))
    assert decide(scores, ENSEMBLE, CORPUS).promote
    one, other = (replace(scores[2], folds=(fold,)) for fold in scores[2].folds)
    several = [*scores[:2], one, replace(other, seed=3), scores[4]]
    (objection,) = decide(several, ENSEMBLE, CORPUS).objections
    assert objection == "seeds 2, 3 held out other sources than the first"


def test_only_what_the_contract_fixes_is_held_against_a_recipe() -> None:
    told = ENSEMBLE.training_record | {"written_by": "someone"}
    assert judged(list(GOOD), settings=told).promote
    assert judged(list(GOOD), settings={}).promote
    scores = [score(seed, 0.97) for seed in range(5)]
    for seed, lr in ((1, 1e-3), (3, 1e-3), (4, 1e-2)):
        scores[seed] = score(seed, 0.97, settings=told | {"lr": lr})
    decision = decide(scores, ENSEMBLE, CORPUS)
    assert decision.dry_run
    assert decision.objections == (
        "dry run: lr 0.001 instead of 0.0005 (seeds 1, 3)",
        "dry run: lr 0.01 instead of 0.0005 (seed 4)",
    )


def test_results_must_name_the_corpus_that_is_judged() -> None:
    scores = [score(seed, 0.97) for seed in range(5)]
    assert decide(scores, ENSEMBLE, CORPUS).promote
    for sha256 in ("d" * 64, "b" * 64, None):
        scores[1] = score(1, 0.97, corpus_sha256=sha256)
        (objection,) = decide(scores, ENSEMBLE, CORPUS).objections
        assert objection == f"the results of seed 1 belong to another corpus than {CORPUS}"


def test_without_a_corpus_results_must_agree_with_each_other() -> None:
    scores = [score(seed, 0.97) for seed in range(5)]
    assert decide(scores, ENSEMBLE).promote
    scores[1] = score(1, 0.97, corpus_sha256=None)  # a file of the fork doesn't say
    assert decide(scores, ENSEMBLE).promote
    scores[2] = score(2, 0.97, corpus_sha256="b" * 64)
    (objection,) = decide(scores, ENSEMBLE).objections
    assert objection == f"results belong to 2 corpora: {'b' * 64}, {CORPUS}"


def of_sources(seed: int, count: int) -> SeedScore:
    return score(seed, 0.97, folds=tuple(FoldScore(f"s{n}", 0.97, 1, 1) for n in range(count)))


def test_a_decision_tells_how_its_first_seed_held_sources_out() -> None:
    grouped = ENSEMBLE.grouped(21)
    first = decide([of_sources(0, 22)], grouped)
    assert (first.groups, first.protocol) == (21, "21 groups of whole sources")
    alone = decide([of_sources(0, 21), of_sources(1, 22)], grouped)
    assert (alone.groups, alone.protocol) == (None, "leave-one-source-out")
    assert decide([], grouped).groups is None


def test_seeds_dealt_otherwise_are_told_how_the_first_was_to_be_dealt() -> None:
    strange = {"plan": "grouped", "n": 3}
    (one,) = (
        what
        for what in decide([replace(of_sources(0, 22), fold_plan=strange)], ENSEMBLE).objections
        if "otherwise" in what
    )
    assert one == "seed 0 held sources out otherwise than by leave-one-source-out"
    several = [of_sources(0, 21), replace(of_sources(1, 22), fold_plan=strange)]
    told = decide(several, ENSEMBLE.grouped(21)).objections
    assert "seed 1 held sources out otherwise than by leave-one-source-out" in told


@pytest.mark.parametrize(("fewest", "told"), [(64, True), (65, False)])
def test_groups_need_more_sources_than_the_contract_leaves_out_alone(
    fewest: int, told: bool
) -> None:
    scores = [of_sources(0, 70), of_sources(1, fewest), of_sources(2, 70)]
    decision = decide(scores, ENSEMBLE.grouped(21))
    few = f"dry run: 21 groups of {fewest} sources; up to 64 sources the contract leaves out"
    assert any(what.startswith(few) for what in decision.objections) is told


def test_gate_fields_tell_the_decision_and_its_thresholds() -> None:
    fields = judged([0.9, None, 0.97, 0.97, 0.97]).gate_fields()
    assert fields["passed"] is False
    assert fields["failing_seeds"] == [0, 1]
    assert fields["per_seed_plccs"] == {"0": 0.9, "1": None, "2": 0.97, "3": 0.97, "4": 0.97}
    assert (fields["mean_plcc"], fields["mean_plcc_pass"]) == (None, False)
    assert (fields["plcc_spread"], fields["plcc_spread_pass"]) == (None, False)


def test_a_figure_a_hair_over_the_spread_is_told_so() -> None:
    over = math.nextafter(0.955, 1)
    (reason,) = judged([0.95, over, 0.95, 0.95, 0.95]).reasons
    assert reason == "PLCC spread 0.005000 is 1.0e-16 above 0.005"
