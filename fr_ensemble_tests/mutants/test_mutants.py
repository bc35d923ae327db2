"""``make mutants`` itself: what it changes, what it leaves alone, and that survivors are found."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("cosmic_ray", reason="make mutants installs it")

from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator

from fr_ensemble_tests.mutants.make import mutants_of
from fr_ensemble_tests.mutants.operators import OURS
from fr_ensemble_tests.mutants.targets import TARGETS, chosen


@pytest.mark.parametrize("operator", OURS)
def test_operators_do_as_their_examples_say(operator: type[Operator]) -> None:
    for example in operator.examples():
        changed = mutate_code(example.pre_mutation_code, operator(), example.occurrence)
        assert changed == example.post_mutation_code


def changes(source: str, constants_only: bool = False) -> set[str]:
    return {mutant.now for mutant in mutants_of("x.py", source, constants_only)}


def test_a_threshold_and_its_comparison_are_changed() -> None:
    source = "LIMIT = 0.5\n\ndef fits(x: float | None) -> bool:\n    return x <= LIMIT\n"
    assert {"LIMIT = 0.51", "LIMIT = 0.49", "return x < LIMIT"} <= changes(source)
    assert changes(source, constants_only=True) == {
        *("LIMIT = 0.51", "LIMIT = 0.49", "LIMIT = 1.5", "LIMIT = -0.5")
    }


def test_what_only_a_type_checker_reads_is_left_alone() -> None:
    assert changes("def f(x: int | None) -> int | None:\n    return x\n") == set()


def test_every_module_and_test_that_is_named_exists() -> None:
    assert chosen(["gate/rule.py"]) == [TARGETS[0]]
    assert chosen([]) == list(TARGETS)
    for target in TARGETS:
        assert Path(target.module).is_file()
        assert target.arguments
