"""The check that sees the shipped members' draw: how often it warns for nothing, and for a bias."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from fr_ensemble_assets.calibration.claims import meaning, measured
from fr_ensemble_assets.calibration.coverage import find_coverage, leave_one_source_out
from fr_ensemble_assets.calibration.draw import compare_draws, find_draw
from fr_ensemble_assets.calibration.pooling import OutOfFold

SOURCES, CELLS, ROWS = 21, 6, 6


def predicted(rng: np.random.Generator, scale: np.ndarray, bias: float = 0.0) -> OutOfFold:
    """Five members' predictions of sources that are as hard as ``scale`` says."""
    n = SOURCES * CELLS * ROWS
    source = np.repeat(np.arange(SOURCES), CELLS * ROWS)
    cell = np.tile(np.repeat(np.arange(CELLS), ROWS), SOURCES)
    shared = rng.normal(size=(SOURCES, CELLS))[source, cell]
    error = scale[source] * (shared + rng.normal(size=n)) + bias
    names = [f"s{number:02}" for number in range(SOURCES)]
    keys = pd.DataFrame({"src": np.array(names)[source], "encoder": "x", "cq": cell * 1.0})
    members = 50 + error + rng.normal(size=(5, n)) * 0.3
    return OutOfFold(keys, tuple(names), source, members, np.full(n, 50.0))


def warnings(bias: float, draws: int) -> int:
    rng = np.random.default_rng(7)
    warned = 0
    for _ in range(draws):
        scale = rng.lognormal(0, 0.7, SOURCES)
        both = predicted(rng, scale), predicted(rng, scale, bias)
        found = compare_draws(*both)
        assert len(found) == 16
        warned += not find_draw(found).passed
    return warned


def test_sixteen_comparisons_together_warn_for_nothing_in_one_of_twenty_at_most() -> None:
    assert warnings(bias=0.0, draws=100) <= 5


def test_bias_that_all_rows_of_the_shipped_members_share_is_seen() -> None:
    assert warnings(bias=2.0, draws=20) == 20


def test_leave_one_source_out_by_itself_can_not_see_that_bias() -> None:
    rng = np.random.default_rng(0)
    off = predicted(rng, rng.lognormal(0, 0.7, SOURCES), bias=2.0)
    assert find_coverage(leave_one_source_out(off, "frame")).passed


def test_finding_names_the_comparison_and_what_to_do() -> None:
    rng = np.random.default_rng(3)
    scale = np.full(SOURCES, 0.5)
    finding = find_draw(compare_draws(predicted(rng, scale), predicted(rng, scale, bias=1.5)))
    assert "of the rows that the members were trained on" in finding.observed
    assert "16 comparisons" in finding.threshold
    assert "recentre" in finding.next_step


def test_claim_tells_what_was_measured_and_nothing_that_is_proved() -> None:
    coverages = leave_one_source_out(predicted(np.random.default_rng(0), np.ones(21)), "encode")
    at_95 = next(c for c in coverages if c.rule == "source" and c.level == 0.95)
    told = meaning(coverages, "encode", "source", 0.95, 21)
    assert f"{at_95.coverage:.1%} ± {at_95.standard_error:.1%} at 95%" in told
    assert "new sources like the 21" in told
    assert "prove" not in told
    between = measured(coverages, "encode", "source", 0.92)
    assert "at 90%" in between
    assert "at 95%" in between
    none = [replace(c, by_source=()) for c in coverages]
    assert "not measured" in measured(none, "encode", "source", 0.95)
