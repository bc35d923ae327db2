"""Quantiles, levels and tables at their limits, by hand and without any training."""

from __future__ import annotations

import numpy as np
import pytest

from fr_ensemble_assets.calibration.calibrate import calibrate
from fr_ensemble_assets.calibration.pooling import out_of_fold
from fr_ensemble_assets.calibration.recentring import with_members
from fr_ensemble_assets.calibration.rules import (
    REPORTED_LEVELS,
    RULES,
    Answer,
    QuantileTable,
    UnsupportedLevel,
    WeightedScores,
    bounds,
    frame_quantile,
    frame_table,
    gaussian_table,
    highest_frame_level,
    highest_source_level,
    normal_quantile,
    normalised_scores,
    source_quantile,
    source_table,
    supported_levels,
)
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.evidence.measure import SeedResult

#: Levels are typed as decimals, and count as such up to a billionth.
WITHIN, BEYOND = 0.98e-9, 1.015e-9
NINE = np.array([3.0, 9, 1, 5, 7, 2, 8, 6, 4])

# Sources A (two rows), B (one), C (four) weigh a quarter each, and so does the unseen one:
# the sorted scores 1 2 3 4 5 6 10 reach 2/16 4/16 5/16 6/16 7/16 8/16 12/16.
SCORES = np.array([2.0, 1, 10, 6, 3, 5, 4])
INDEX = np.array([0, 0, 1, 2, 2, 2, 2])


# --- scores and bounds ----------------------------------------------------------------------


def test_scores_are_residuals_over_the_deviation_but_never_under_the_floor() -> None:
    residual, sigma = np.array([1.0, 1.0, 0.0, 3.0]), np.array([0.1, 2.0, 0.0, 0.5])
    assert normalised_scores(residual, sigma, 0.5).tolist() == [2.0, 0.5, 0.0, 6.0]
    none = normalised_scores(np.array([0.0, 1.0]), np.zeros(2), 0.0)
    assert none.tolist() == [0.0, np.inf]


def test_bounds_are_symmetric_within_what_vmaf_can_be() -> None:
    mu, sigma = np.array([50.0, 50.0, 1.0, 99.0]), np.array([0.1, 2.0, 2.0, 2.0])
    lower, upper = bounds(mu, sigma, 3.0, 0.5)
    assert lower.tolist() == [48.5, 44.0, 0.0, 93.0]
    assert upper.tolist() == [51.5, 56.0, 7.0, 100.0]


def test_the_floor_of_a_calibration_is_half_a_vmaf(few: Corpus) -> None:
    """Below it the members' agreement says nothing more: the interval stays as wide."""
    rng = np.random.default_rng(0)
    results = [
        SeedResult(seed, (), few.target + rng.normal(0, 1, few.n_rows), 0.0) for seed in range(3)
    ]
    calibration = calibrate(few, out_of_fold(few, results))
    answer = calibration.frame["frame"].at(0.8)
    sigma = np.array([0.0, 0.4999, 0.5, 0.5001])
    lower, upper = bounds(np.full(4, 50.0), sigma, answer.quantile, answer.floor)
    width = upper - lower
    assert width[0] == width[1] == width[2] < width[3]


def test_the_floor_of_recentred_members_is_a_tenth_of_a_vmaf(few: Corpus) -> None:
    rng = np.random.default_rng(0)
    results = [
        SeedResult(seed, (), few.target + rng.normal(0, 1, few.n_rows), 0.0) for seed in range(3)
    ]
    raw = out_of_fold(few, results)
    calibration = calibrate(few, raw, with_members(raw, raw.members))
    answer = calibration.frame["frame"].at(0.8)
    sigma = np.array([0.0, 0.0999, 0.1, 0.1001])
    lower, upper = bounds(np.full(4, 50.0), sigma, answer.quantile, answer.floor)
    width = upper - lower
    assert width[0] == width[1] == width[2] < width[3]


# --- quantiles ------------------------------------------------------------------------------


def test_normal_quantiles_are_those_of_a_table() -> None:
    assert normal_quantile(0.5) == pytest.approx(0.674489750196, abs=1e-11)
    assert normal_quantile(0.95) == pytest.approx(1.959963984540, abs=1e-11)


def test_n_rows_and_k_sources_carry_so_much() -> None:
    assert (highest_frame_level(1), highest_frame_level(9)) == (0.5, 0.9)
    assert (highest_source_level(1), highest_source_level(19)) == (0.5, 0.95)


def test_frame_quantile_is_the_next_rank_once_a_level_is_truly_above() -> None:
    """Ranks are steps of 0.1 in level, so a billionth of a rank is a tenth of that in level."""
    assert frame_quantile(NINE, 0.5 + WITHIN / 10) == 5
    assert frame_quantile(NINE, 0.5 + BEYOND / 10) == 6
    assert frame_quantile(NINE, 0.1) == 1
    assert frame_quantile(NINE, 0.9) == 9
    assert frame_quantile(NINE, 0.9 + WITHIN / 10) == 9
    with pytest.raises(UnsupportedLevel, match="level 0.9 is above 0.9, the highest") as refused:
        frame_quantile(NINE, 0.9 + BEYOND / 10)
    assert refused.value.highest == 0.9


def test_source_quantile_is_the_next_score_once_a_level_is_truly_above() -> None:
    assert source_quantile(SCORES, INDEX, 2 / 16) == 1
    assert source_quantile(SCORES, INDEX, 2 / 16 + WITHIN) == 1
    assert source_quantile(SCORES, INDEX, 2 / 16 + BEYOND) == 2
    assert source_quantile(SCORES, INDEX, 0.75) == 10
    assert source_quantile(SCORES, INDEX, 0.75 + WITHIN) == 10
    with pytest.raises(UnsupportedLevel) as refused:
        source_quantile(SCORES, INDEX, 0.75 + BEYOND)
    assert refused.value.highest == 0.75


def test_the_highest_of_several_levels_decides_whether_they_are_carried() -> None:
    weighted = WeightedScores.of(SCORES, INDEX)
    assert weighted.quantiles(np.array([0.75, 2 / 16])).tolist() == [10.0, 1.0]
    with pytest.raises(UnsupportedLevel):
        weighted.quantiles(np.array([0.5, 0.8, 0.5]))
    assert weighted.frame_quantiles(np.array([7 / 8, 0.5])).tolist() == [10.0, 4.0]
    with pytest.raises(UnsupportedLevel) as refused:
        weighted.frame_quantiles(np.array([0.5, 0.9, 0.5]))
    assert refused.value.highest == 7 / 8


def test_a_level_may_be_above_the_highest_by_a_billionth_and_takes_the_last_score() -> None:
    # Ten tenths add up to a hair less than one.
    weighted = WeightedScores.of(np.arange(10.0), np.zeros(10, np.intp))
    assert weighted.quantiles(np.array([0.5 + 1e-9])).tolist() == [9.0]
    with pytest.raises(UnsupportedLevel, match=r"level 0\.9 is above 0\.5"):
        weighted.quantiles(np.array([0.1, 0.9]))


def test_frame_quantile_is_right_in_any_order_of_many_scores() -> None:
    scores = np.random.default_rng(0).permutation(1999).astype(np.float64)
    for level in (0.1, 0.5, 0.9, 0.95):
        assert frame_quantile(scores, level) == 2000 * level - 1


def test_frame_quantiles_take_the_next_rank_once_a_level_is_truly_above() -> None:
    weighted = WeightedScores.of(SCORES, INDEX)
    assert weighted.frame_quantiles(np.array([0.5 + WITHIN / 8, 0.5 + BEYOND / 8])).tolist() == [
        4.0,
        5.0,
    ]


def test_weights_are_shares_of_ones_source_whatever_its_number() -> None:
    weighted = WeightedScores.of(SCORES, INDEX * 7)
    assert weighted.scores.tolist() == [1, 2, 3, 4, 5, 6, 10]
    assert weighted.weights.tolist() == [0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 1.0]
    assert weighted.source_index.tolist() == [0, 0, 2, 2, 2, 2, 1]
    assert weighted.n_sources == 3


def test_without_a_source_the_others_weigh_more() -> None:
    """Of A and B a third each: 1 2 10 reach 1/6 1/3 2/3; without C's rows, ranks are of three."""
    weighted = WeightedScores.of(SCORES, INDEX)
    levels = np.array([1 / 6, 1 / 3, 0.34, 2 / 3])
    assert weighted.quantiles(levels, without=2).tolist() == [1, 2, 10, 10]
    assert weighted.frame_quantiles(np.array([0.25, 0.5, 0.75]), without=2).tolist() == [1, 2, 10]
    assert weighted.quantiles(np.array([1 / 12]), without=0).tolist() == [3]
    with pytest.raises(UnsupportedLevel) as refused:
        weighted.quantiles(np.array([0.7]), without=2)
    assert refused.value.highest == 2 / 3
    with pytest.raises(UnsupportedLevel) as refused:
        weighted.frame_quantiles(np.array([0.76]), without=2)
    assert refused.value.highest == 0.75


# --- tables ---------------------------------------------------------------------------------

TABLE = QuantileTable("source", 0.5, 0.9, (0.5, 0.8, 0.9), (1.0, 2.0, 3.0))


def test_a_level_takes_the_next_higher_one_that_is_tabulated() -> None:
    assert TABLE.at(0.5) == Answer(0.5, 0.5, 1.0, 0.5)
    assert TABLE.at(0.5 + WITHIN).quantile == 1.0
    assert TABLE.at(0.5 + BEYOND).quantile == 2.0
    assert TABLE.at(0.8).quantile == 2.0
    assert TABLE.at(0.81) == Answer(0.81, 0.81, 3.0, 0.5)
    assert TABLE.at(0.4).quantile == 1.0


def test_a_level_above_the_highest_is_answered_there_and_says_so() -> None:
    just = TABLE.at(0.9 + WITHIN)
    assert (just.quantile, just.supported) == (3.0, True)
    above = TABLE.at(0.9 + BEYOND)
    assert (above.level, above.quantile, above.supported) == (0.9, 3.0, False)


def test_normal_quantiles_are_tabulated_from_half_to_one_in_a_thousand() -> None:
    """A level in between shows which ones are there: it is answered by the next."""
    table = gaussian_table()
    assert (table.rule, table.floor, table.highest_level) == ("gaussian", 0.0, 0.999)
    for asked, answered in [
        (0.5, 0.5),
        (0.501, 0.51),
        (0.515, 0.52),
        (0.975, 0.98),
        (0.985, 0.99),
        (0.99, 0.99),
        (0.991, 0.995),
        (0.995, 0.995),
        (0.996, 0.999),
        (0.9995, 0.999),
    ]:
        assert table.at(asked).quantile == pytest.approx(normal_quantile(answered), abs=1e-12)
    assert len(table.levels) == 52
    assert table.levels[0] == 0.5
    assert table.at(0.999).supported
    assert not table.at(0.9991).supported


def test_levels_go_up_to_the_highest_that_is_carried_once() -> None:
    assert supported_levels(0.5).tolist() == [0.5]
    assert supported_levels(0.515).tolist() == [0.5, 0.51, 0.515]
    assert supported_levels(0.52).tolist() == [0.5, 0.51, 0.52]
    assert supported_levels(0.52 + WITHIN).tolist() == [0.5, 0.51, 0.52 + WITHIN]
    assert supported_levels(0.52 + BEYOND).tolist() == [0.5, 0.51, 0.52, 0.52 + BEYOND]


def test_tables_of_both_rules_end_where_rows_or_sources_do() -> None:
    weighted = WeightedScores.of(SCORES, INDEX)
    frame, source = frame_table(weighted, 0.5), source_table(weighted, 0.25)
    assert frame is not None
    assert source is not None
    assert (frame.rule, frame.floor, frame.highest_level) == ("frame", 0.5, 7 / 8)
    assert (source.rule, source.floor, source.highest_level) == ("source", 0.25, 0.75)
    assert (frame.levels[-1], frame.quantiles[-1]) == (7 / 8, 10.0)
    assert (source.levels[-1], source.quantiles[0], source.quantiles[-1]) == (0.75, 6.0, 10.0)
    assert len(frame.levels) == len(frame.quantiles) == 39
    assert len(source.levels) == len(source.quantiles) == 26


def test_levels_that_reach_an_infinite_score_are_not_carried() -> None:
    infinite = WeightedScores.of(np.array([1.0, 2.0, np.inf]), np.array([0, 1, 2]))
    table = frame_table(infinite, 0.0)
    assert table is not None
    assert (table.highest_level, table.levels, table.quantiles) == (0.5, (0.5,), (2.0,))
    only = WeightedScores.of(np.full(3, np.inf), np.array([0, 1, 2]))
    assert frame_table(only, 0.0) is None
    assert source_table(only, 0.0) is None


def test_what_is_reported_are_three_rules_at_four_levels() -> None:
    """They name rows and columns of ``calibration.json``, which others read."""
    assert ",".join(RULES) == "gaussian,frame,source"
    assert ",".join(map(str, REPORTED_LEVELS)) == "0.5,0.8,0.9,0.95"
