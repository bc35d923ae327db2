"""What the checks show of a decision, an aspect a check, and what a HOLD ends with."""

from __future__ import annotations

from typing import Any

import dagster as dg

from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.gate.checks import (
    seed_plcc,
    seeds_checked,
    verdict_checked,
    verdict_checks,
)
from fr_ensemble_assets.gate.rule import Decision, decide
from fr_ensemble_assets.gate.verdict import Judgement
from fr_ensemble_tests.gate.test_rule_limits import judged, score

GOOD = judged([0.95] * 5)
LOW = judged([0.95, 0.9, 0.95, None, 0.95])


def shown(decision: Decision) -> tuple[dict[str, dg.AssetCheckResult], dg.Failure | None]:
    """Every aspect by its name, and how it ended."""
    aspects: dict[str, dg.AssetCheckResult] = {}
    try:
        for result in verdict_checked(Judgement(decision, ())):
            aspects[str(result.check_name)] = result
    except dg.Failure as failure:
        return aspects, failure
    return aspects, None


def told(result: dg.AssetCheckResult, name: str) -> Any:
    return result.metadata[name].value


def test_a_promote_passes_in_every_aspect_and_leaves_nothing_to_do() -> None:
    aspects, failure = shown(GOOD)
    assert failure is None
    assert [*aspects] == ["all_seeds", "mean_plcc", "plcc_spread", "per_seed_plcc"]
    assert all(aspect.passed for aspect in aspects.values())
    assert {told(aspect, "next_step") for aspect in aspects.values()} == {"nothing to do"}
    assert {name: aspect.description for name, aspect in aspects.items()} == {
        "all_seeds": "5 seeds judged",
        "mean_plcc": "0.950000 against 0.95",
        "plcc_spread": "0.000000 against 0.005",
        "per_seed_plcc": "every judged seed is at or above the threshold",
    }
    assert told(aspects["all_seeds"], "judged") == "0, 1, 2, 3, 4"
    assert told(aspects["all_seeds"], "missing") == "none"
    assert told(aspects["mean_plcc"], "found") == 0.95


def test_a_hold_names_what_fails_and_ends_the_run_with_its_reasons() -> None:
    aspects, failure = shown(LOW)
    assert [name for name, aspect in aspects.items() if not aspect.passed] == [
        *("mean_plcc", "plcc_spread", "per_seed_plcc")
    ]
    assert aspects["mean_plcc"].description == "undefined against 0.95"
    assert "found" not in aspects["mean_plcc"].metadata
    assert aspects["per_seed_plcc"].description == "below 0.95 or undefined: seed 1, 3"
    for name in ("mean_plcc", "plcc_spread", "per_seed_plcc"):
        assert told(aspects[name], "next_step").startswith("Look at the worst folds")
    assert failure is not None
    assert failure.description == "\n- ".join(("HOLD:", *LOW.reasons))
    assert not failure.allow_retries, "the same results would give the same verdict"


def test_a_missing_seed_fails_the_aspect_of_all_seeds() -> None:
    aspects, failure = shown(decide([score(seed, 0.97) for seed in range(4)], ENSEMBLE))
    assert failure is not None
    assert aspects["all_seeds"].passed is False
    assert aspects["all_seeds"].description == "no results for seed 4"
    assert told(aspects["all_seeds"], "missing") == "4"
    assert told(aspects["all_seeds"], "next_step").startswith("materialise the missing seeds")
    nothing, _ = shown(decide([], ENSEMBLE))
    assert told(nothing["all_seeds"], "judged") == "none"


def test_seeds_are_checked_as_they_come() -> None:
    good, low = seeds_checked(GOOD), seeds_checked(LOW)
    assert (good.passed, low.passed) == (True, False)
    assert good.description == "5 seeds at or above the threshold"
    assert low.description == "below 0.95 or undefined: seed 1, 3"
    assert told(good, "next_step") == "materialise ensemble_verdict"
    assert told(low, "next_step").startswith("look at worst_folds")


def test_checks_stand_on_what_they_judge_and_a_red_verdict_blocks() -> None:
    (seeds,) = seed_plcc.check_specs
    assert seeds.asset_key == dg.AssetKey("loso_results")
    specs = [*verdict_checks.check_specs]
    assert {spec.asset_key for spec in specs} == {dg.AssetKey("ensemble_verdict")}
    assert [spec.blocking for spec in specs] == [True] * 4
