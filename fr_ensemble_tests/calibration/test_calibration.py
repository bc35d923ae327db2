"""Intervals: quantiles by hand, coverage where the truth is known, and the file that ships them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import crepes
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy.stats import norm

from fr_ensemble_assets.calibration.calibrate import Calibration, calibrate
from fr_ensemble_assets.calibration.coverage import (
    Coverage,
    GroupCoverage,
    find_coverage,
    find_sharpness,
    leave_one_source_out,
)
from fr_ensemble_assets.calibration.document import calibration_bytes, parse_calibration
from fr_ensemble_assets.calibration.floors import ABSOLUTE, compare_floors
from fr_ensemble_assets.calibration.interpolation import (
    interpolation_by_encoder,
    interpolation_tables,
    leave_one_quality_out,
)
from fr_ensemble_assets.calibration.plots import (
    calibration_figure,
    coverage_figure,
    width_figure,
)
from fr_ensemble_assets.calibration.pooling import (
    OutOfFold,
    out_of_fold,
    pool_encodes,
)
from fr_ensemble_assets.calibration.recentring import Predicted, judged_predictions
from fr_ensemble_assets.calibration.rules import (
    RECENTRED_FLOOR,
    SIGMA_FLOOR,
    UnsupportedLevel,
    WeightedScores,
    bounds,
    frame_quantile,
    frame_table,
    normal_quantile,
    normalised_scores,
    source_quantile,
    source_table,
)
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.contract.places import Places
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.corpus.store import load_corpus
from fr_ensemble_assets.evidence.measure import SeedResult
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.figures import png_bytes
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.gate.verdict import judge
from fr_ensemble_tests.conftest import Chain

Floats = npt.NDArray[np.float64]


def made_up(
    cells: Sequence[tuple[str, str, float]], target: Sequence[float], members: Floats
) -> OutOfFold:
    """Rows of (source, encoder, quality) with their truth and the members' predictions."""
    keys = pd.DataFrame(cells, columns=["src", "encoder", "cq"])
    sources, index = np.unique(keys["src"], return_inverse=True)
    return OutOfFold(keys, tuple(sources), index, members, np.array(target, dtype=np.float64))


def drawn(n_sources: int, rows: int, seed: int = 0, sigma_matters: bool = True) -> OutOfFold:
    """Random rows whose errors are, or are not, proportional to the members' deviation."""
    rng = np.random.default_rng(seed)
    n = n_sources * rows
    sigma = rng.lognormal(0.0, 0.8, n)
    target = np.full(n, 50.0)
    error = rng.normal(0, 1, n) * (sigma if sigma_matters else 1.0)
    spread = np.array([-1.0, 0.0, 1.0])[:, None] * sigma
    cells = [(f"s{row // rows:02}", "libx264", float(row % 4)) for row in range(n)]
    return made_up(cells, target, target + error + spread)


@pytest.fixture(scope="session")
def frames(promoted_once: Chain) -> OutOfFold:
    """Real out-of-fold predictions of six sources."""
    home = Home.at(promoted_once[0])
    corpus = load_corpus(home, promoted_once[1].corpus_sha256)
    (folder,) = home.corpus_dir(corpus.sha256).glob("loso-*")
    return out_of_fold(corpus, judge(folder, corpus, ENSEMBLE).results)


@pytest.fixture(scope="session")
def calibration(promoted_once: Chain, frames: OutOfFold) -> Calibration:
    home = Home.at(promoted_once[0])
    return calibrate(load_corpus(home, promoted_once[1].corpus_sha256), frames)


# --- quantiles by hand -----------------------------------------------------------------------


@pytest.mark.parametrize(("level", "wanted"), [(0.5, 5), (0.55, 6), (0.8, 8), (0.9, 9)])
def test_frame_quantile_of_nine_scores_is_the_score_of_rank_ten_times_level(
    level: float, wanted: float
) -> None:
    shuffled = np.array([3.0, 9, 1, 5, 7, 2, 8, 6, 4])
    assert frame_quantile(shuffled, level) == wanted


def test_frame_quantile_beyond_n_over_n_plus_one_is_refused() -> None:
    with pytest.raises(UnsupportedLevel) as refused:
        frame_quantile(np.arange(9.0), 0.91)
    assert refused.value.highest == 0.9


# Sources A (two rows), B (one), C (four) weigh a quarter each, and so does the unseen one:
# the sorted scores 1 2 3 4 5 6 10 reach 2/16 4/16 5/16 6/16 7/16 8/16 12/16.
SCORES = np.array([2.0, 1, 10, 6, 3, 5, 4])
INDEX = np.array([0, 0, 1, 2, 2, 2, 2])


@pytest.mark.parametrize(
    ("level", "wanted"), [(2 / 16, 1), (0.13, 2), (5 / 16, 3), (0.5, 6), (0.51, 10), (0.75, 10)]
)
def test_source_quantile_weighs_sources_alike_whatever_their_size(
    level: float, wanted: float
) -> None:
    assert source_quantile(SCORES, INDEX, level) == wanted


def test_source_quantile_beyond_k_over_k_plus_one_is_refused() -> None:
    with pytest.raises(UnsupportedLevel) as refused:
        source_quantile(SCORES, INDEX, 0.76)
    assert refused.value.highest == 0.75


@pytest.mark.parametrize(("sources", "highest"), [(8, 8 / 9), (9, 0.9), (18, 18 / 19), (19, 0.95)])
def test_ninety_percent_needs_nine_sources_and_ninety_five_needs_nineteen(
    sources: int, highest: float
) -> None:
    scores = WeightedScores.of(np.arange(sources * 50.0), np.repeat(np.arange(sources), 50))
    table = source_table(scores, floor=0.5)
    assert table is not None
    assert table.highest_level == pytest.approx(highest)
    assert max(table.levels) == table.highest_level
    for level in (0.9, 0.95):
        answer = table.at(level)
        assert answer.supported == (level <= highest + 1e-12)
        assert answer.level == (level if answer.supported else table.highest_level)
        assert answer.quantile <= scores.scores[-1]


def test_gaussian_quantile_is_the_manifests() -> None:
    assert normal_quantile(0.95) == pytest.approx(1.959963984540054, abs=1e-12)


def test_level_between_two_tabulated_ones_takes_the_wider_interval() -> None:
    scores = WeightedScores.of(np.arange(200.0), np.repeat(np.arange(20), 10))
    table = frame_table(scores, floor=0.5)
    assert table is not None
    assert table.at(0.903).quantile == table.at(0.91).quantile > table.at(0.9).quantile
    assert table.at(0.903).supported


def test_leaving_a_source_out_is_calibrating_on_the_others() -> None:
    rows = drawn(n_sources=7, rows=11)
    scores = normalised_scores(rows.residual, rows.sigma, 0.5)
    weighted, levels = WeightedScores.of(scores, rows.source_index), np.array([0.5, 0.8])
    others = rows.source_index != 3
    for level, source, frame in zip(
        levels, weighted.quantiles(levels, 3), weighted.frame_quantiles(levels, 3), strict=True
    ):
        assert source == source_quantile(scores[others], rows.source_index[others], level)
        assert frame == frame_quantile(scores[others], level)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("floor", [0.5, ABSOLUTE])
def test_frame_rule_agrees_with_crepes(level: float, floor: float) -> None:
    rows = drawn(n_sources=5, rows=37)
    scale = np.maximum(rows.sigma, floor)
    other = crepes.ConformalRegressor().fit(residuals=rows.target - rows.mu, sigmas=scale)
    theirs = other.predict_int(rows.mu, sigmas=scale, confidence=level)
    quantile = frame_quantile(normalised_scores(rows.residual, rows.sigma, floor), level)
    np.testing.assert_allclose(
        theirs, np.stack([rows.mu - quantile * scale, rows.mu + quantile * scale], axis=1)
    )


# --- coverage where the truth is known -------------------------------------------------------


def covered_on_new_sources(
    calibrating: Callable[[Floats, npt.NDArray[np.intp]], float], draws: int = 300
) -> float:
    """Mean coverage over unseen sources, of calibrations that are drawn again and again.

    21 sources whose errors are normal, with a deviation of each source's own (log-normal): what a
    quantile covers of a source is known exactly. Sources that are easy to predict have more frames.
    """
    rng = np.random.default_rng(20260101)
    unseen = rng.lognormal(0, 1, 4000)
    covered = []
    for _ in range(draws):
        scale = rng.lognormal(0, 1, 21)
        rows = np.where(scale < 1, 60, 20)
        index = np.repeat(np.arange(21), rows)
        quantile = calibrating(np.abs(rng.normal(0, 1, rows.sum())) * scale[index], index)
        covered.append(np.mean(2 * norm.cdf(quantile / unseen) - 1))
    return float(np.mean(covered))


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
def test_where_sources_differ_the_frame_rule_undercovers_and_the_source_rule_does_not(
    level: float,
) -> None:
    by_frame = covered_on_new_sources(lambda scores, _: frame_quantile(scores, level))
    by_source = covered_on_new_sources(lambda s, index: source_quantile(s, index, level))
    assert by_frame < level - 0.02
    assert by_source >= level


def test_where_frames_are_exchangeable_both_rules_cover() -> None:
    measured = leave_one_source_out(drawn(n_sources=40, rows=100), "frame")
    for found in measured:
        if found.rule != "gaussian":
            assert found.coverage == pytest.approx(found.level, abs=0.03)
    assert find_coverage(measured).passed


def test_level_that_one_source_less_does_not_carry_is_not_measured() -> None:
    measured = leave_one_source_out(drawn(n_sources=9, rows=20), "frame")
    levels = {c.level: c.measured for c in measured if c.rule == "source"}
    assert levels == {0.5: True, 0.8: True, 0.9: False, 0.95: False}
    assert not find_sharpness(measured).passed
    assert "too few sources" in find_sharpness(measured).observed


def coverage_of(shares: Sequence[float], width: float = 1.0, level: float = 0.95) -> Coverage:
    groups = tuple(GroupCoverage(f"s{n}", 100, share, width) for n, share in enumerate(shares))
    return Coverage("frame", "source", level, groups, groups)


def test_coverage_warns_of_what_chance_can_not_explain_and_says_what_it_can() -> None:
    two_bad_sources = find_coverage([coverage_of([1.0] * 19 + [0.3, 0.4])])
    assert two_bad_sources.passed  # mean 0.938, and 21 sources vary by more than that
    assert "21 sources" in two_bad_sources.threshold
    all_a_bit = find_coverage([coverage_of([0.85, 0.9] * 10)])
    assert not all_a_bit.passed
    assert "covers 87.5%" in all_a_bit.observed


def test_sharpness_is_held_against_what_viewers_just_notice() -> None:
    both = [replace(coverage_of([0.9] * 9, 6.0, 0.9), unit=unit) for unit in ("frame", "encode")]
    assert find_sharpness(both).passed
    assert not find_sharpness(
        [both[0], replace(coverage_of([0.9], 6.1, 0.9), unit="encode")]
    ).passed


def test_higher_level_never_gives_a_narrower_interval(calibration: Calibration) -> None:
    mu, sigma = np.linspace(0, 100, 50), np.linspace(0, 3, 50)
    for table in (*calibration.frame.values(), *calibration.encode.values()):
        widths = []
        for level in np.linspace(0.5, 0.9999, 200):
            answer = table.at(float(level))
            lower, upper = bounds(mu, sigma, answer.quantile, answer.floor)
            assert (lower >= 0).all()
            assert (upper <= 100).all()
            widths.append(upper - lower)
        assert (np.diff(widths, axis=0) >= 0).all()


# --- pooling ---------------------------------------------------------------------------------


def test_encodes_are_pooled_member_by_member() -> None:
    cells = [("a", "libx264", 19.0), ("b", "libx264", 19.0), ("a", "libx264", 19.0)]
    members = np.array([[90.0, 50.0, 94.0], [92.0, 52.0, 88.0]])
    pooled = pool_encodes(made_up(cells, [91.0, 50.0, 93.0], members))
    assert pooled.keys["src"].tolist() == ["a", "b"]
    np.testing.assert_array_equal(pooled.members, [[92.0, 50.0], [90.0, 52.0]])
    np.testing.assert_array_equal(pooled.target, [92.0, 50.0])
    np.testing.assert_allclose(pooled.sigma, [np.sqrt(2), np.sqrt(2)])
    np.testing.assert_array_equal(pooled.residual, [1.0, 1.0])


def test_prediction_above_100_is_brought_back_and_its_deviation_is_not() -> None:
    rows = made_up([("a", "libx264", 19.0)], [100.0], np.array([[101.0], [103.0]]))
    assert (rows.mean[0], rows.mu[0], rows.residual[0]) == (102.0, 100.0, 0.0)
    assert rows.sigma[0] == pytest.approx(np.sqrt(2))


def test_presets_of_one_quality_are_encodes_of_their_own(few: Corpus) -> None:
    frame = few.frame.assign(preset=np.where(np.arange(few.n_rows) % 2, "fast", "slow"))
    results = [SeedResult(seed, (), few.target + seed, 0.0) for seed in range(3)]
    plain = pool_encodes(out_of_fold(Corpus("", few.frame.drop(columns="preset")), results))
    assert pool_encodes(out_of_fold(Corpus("", frame), results)).n_rows == 2 * plain.n_rows


def test_calibration_needs_two_seeds_and_finite_predictions(few: Corpus) -> None:
    good, bad = SeedResult(0, (), few.target, 0.0), few.target.copy()
    bad[3] = np.nan
    with pytest.raises(UnusableInput, match="at least 2 seeds, found 1"):
        out_of_fold(few, [good])
    with pytest.raises(UnusableInput, match="finite predictions of seed 1, found 1"):
        out_of_fold(few, [good, SeedResult(1, (), bad, 0.0)])


# --- decisions -------------------------------------------------------------------------------


def test_narrowest_residual_is_found_whichever_it_is() -> None:
    tells = drawn(n_sources=30, rows=80, sigma_matters=True)
    found = [candidate.floor for candidate in compare_floors(tells, tells)]
    assert found[0] <= 0.5
    assert found[-1] == ABSOLUTE
    says_nothing = drawn(n_sources=30, rows=80, sigma_matters=False)
    found = [candidate.floor for candidate in compare_floors(says_nothing, says_nothing)]
    assert found.index(ABSOLUTE) < found.index(0.4) < found.index(0.0)


def test_error_of_the_curve_is_a_share_of_the_gap_that_it_spans() -> None:
    ladder = [("a", "libx264", 1.0), ("a", "libx264", 3.0), ("a", "libx264", 2.0)]
    vmaf = np.array([100.0, 40.0, 90.0])
    left_out = leave_one_quality_out(made_up(ladder, vmaf, np.stack([vmaf, vmaf])))
    np.testing.assert_allclose(left_out.share, [20 / 60])  # the line says 70 where 90 was measured
    tables = interpolation_tables(left_out)
    assert set(tables) == {"any", "libx264"}
    assert tables["any"].highest_level == 0.5


# --- the file --------------------------------------------------------------------------------


def test_file_gives_the_calibration_back_and_the_same_bytes(calibration: Calibration) -> None:
    data = calibration_bytes(calibration)
    read = parse_calibration(data, "calibration.json")
    assert read == calibration
    assert calibration_bytes(read) == data


def test_file_says_what_each_rule_promises_and_at_which_levels(calibration: Calibration) -> None:
    document = json.loads(calibration_bytes(calibration))
    assert document["corpus"]["n_sources"] == 6
    assert set(document["rules"]) == {"gaussian", "frame", "source"}
    assert all(rule["assumes"] for rule in document["rules"].values())
    for unit in ("per_frame", "per_encode"):
        source = document[unit]["source"]
        assert source["highest_level"] == pytest.approx(6 / 7)
        assert max(map(float, source["quantiles"])) == source["highest_level"]
    assert {c["name"] for c in document["coverage"]["results"][0]["by_encoder"]} == {
        *("libx264", "libx265", "libsvtav1", "libvvenc", "libvpx-vp9")
    }


def spoil(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        *way, last = path.split("/")
        for step in way:
            document = document[step]
        document[last] = value

    return change


SPOILED: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a version": (spoil("schema_version", 2), "'schema_version' to be 1, found 2"),
    "no rule": (lambda d: d["per_frame"].pop("source"), "'per_frame.source', found no such field"),
    "a NaN": (spoil("per_frame/frame/quantiles/0.9", float("nan")), "frame.quantiles.0.9'"),
    "a fall": (spoil("per_encode/source/quantiles/0.5", 99.0), "quantiles that never fall"),
    "a negative": (spoil("per_frame/frame/quantiles/0.5", -1.0), "none below 0"),
    "a level": (spoil("per_frame/source/quantiles/1.5", 9.0), "level between 0 and 1"),
    "a promise": (spoil("per_frame/source/highest_level", 0.95), "up to its highest level"),
    "a feature": (lambda d: d["trained_on"]["features"].pop("motion2"), "to be adm2, vif_scale0"),
    "a range": (spoil("trained_on/features/adm2/min", 7.0), "'trained_on.features.adm2' to be"),
    "a rule": (spoil("coverage/results", [{"unit": "frame", "rule": "x"}]), "coverage.results[0]"),
    "a list": (spoil("corpus/sources", "bbb"), "'corpus.sources' to be a list, found the text"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_spoiled_file_is_refused_in_one_sentence(calibration: Calibration, name: str) -> None:
    document = json.loads(calibration_bytes(calibration))
    change, message = SPOILED[name]
    change(document)
    with pytest.raises(UnusableInput) as refused:
        parse_calibration(json.dumps(document).encode(), "calibration.json")
    assert str(refused.value).startswith("calibration.json: expected")
    assert message in str(refused.value)


def test_manifest_q_is_for_new_sources_where_they_carry_it(
    calibration: Calibration, frames: OutOfFold
) -> None:
    """Six sources carry 85.7 %: at 80 % the source-level quantile, at 95 % the frames' own."""
    assert calibration.plain_rule(0.8) == "source"
    assert calibration.plain_rule(0.95) == "frame"
    score = np.abs(frames.target - frames.mean) / frames.sigma
    wanted = source_quantile(score, frames.source_index, 0.8)
    assert calibration.plain_quantile(0.8, calibration.mean_sigma) == pytest.approx(wanted)


def test_manifest_q_of_few_sources_is_rule_2_in_units_of_the_shipped_members_deviation(
    promoted_once: Chain, frames: OutOfFold
) -> None:
    """For the formula that consumers apply: the plain mean ± q·sigma, without a floor."""
    folder = promoted_once[1].candidate_dir
    assert folder is not None
    manifest = json.loads((folder / "fr_regressor_v2_ensemble_v1.json").read_text())
    confidence, shipped = manifest["confidence"], manifest["eval"]["mean_sigma"]
    assert confidence["method"] == "ensemble+conformal"
    sigma = frames.members.std(axis=0, ddof=1)
    score = np.sort(np.abs(frames.target - frames.members.mean(axis=0)) / sigma)
    rank = int(np.ceil((frames.n_rows + 1) * confidence["nominal_coverage"]))
    wanted = score[rank - 1] * sigma.mean() / shipped
    assert confidence["conformal_q_residual"] == pytest.approx(wanted, rel=1e-9)


def test_members_that_agree_to_the_last_digit_leave_the_manifest_uncalibrated(few: Corpus) -> None:
    results = [SeedResult(seed, (), few.target + 1.0, 0.0) for seed in range(2)]
    made = calibrate(few, out_of_fold(few, results))
    assert made.plain_quantile(0.95, members_sigma=0.5) is None
    assert made.frame["frame"].at(0.95).quantile == pytest.approx(2.0)  # 1 over the floor
    parse_calibration(calibration_bytes(made), "strict JSON all the same")


def test_shipped_members_that_never_disagree_leave_the_manifest_uncalibrated(
    calibration: Calibration,
) -> None:
    assert calibration.plain_quantile(0.95, members_sigma=0.0) is None
    assert calibration.plain_quantile(0.95, calibration.mean_sigma) == pytest.approx(
        calibration.plain["frame"].at(0.95).quantile
    )


def test_plots_are_small(calibration: Calibration, frames: OutOfFold) -> None:
    for figure in (
        calibration_figure(frames),
        coverage_figure(calibration.coverages),
        width_figure(calibration, frames),
    ):
        assert len(png_bytes(figure)) < 100_000


# --- recentred ---------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def predictions(promoted_once: Chain) -> Predicted:
    """Of the six sources' real run, raw and recentred."""
    home = Home.at(promoted_once[0])
    corpus = load_corpus(home, promoted_once[1].corpus_sha256)
    results = Places(home, ENSEMBLE, corpus.sha256).results
    return judged_predictions(results, corpus, ENSEMBLE, judge(results, corpus, ENSEMBLE))


def test_recentred_predictions_err_less_and_their_intervals_are_narrower(
    promoted_once: Chain, predictions: Predicted
) -> None:
    corpus = load_corpus(Home.at(promoted_once[0]), promoted_once[1].corpus_sha256)
    raw = calibrate(corpus, predictions.raw)
    made = calibrate(corpus, predictions.raw, predictions.recentred)
    assert predictions.recentred.residual.mean() < predictions.raw.residual.mean()
    for unit in ("frame", "encode"):
        before, after = (
            next(c for c in k.coverages if (c.unit, c.rule, c.level) == (unit, "source", 0.8))
            for k in (raw, made)
        )
        assert after.width < before.width
    assert (raw.floor, made.floor) == (SIGMA_FLOOR, RECENTRED_FLOOR)
    assert made.plain == raw.plain  # consumers of the manifest don't recentre


def test_shipped_calibration_is_read_back_whole_and_older_ones_are_read(
    promoted_once: Chain,
) -> None:
    folder = promoted_once[1].candidate_dir
    assert folder is not None
    data = (folder / "calibration.json").read_bytes()
    read = parse_calibration(data, "calibration.json")
    assert len(read.corrections or ()) == 5
    assert read.mean_curves
    assert calibration_bytes(read) == data
    document = json.loads(data)
    del document["recentring"], document["interpolation"]["mean_curves"]
    older = parse_calibration(json.dumps(document).encode(), "calibration.json")
    assert older.corrections is None
    assert older.mean_curves == {}


def test_any_encoder_is_answered_for_without_a_mean_curve(frames: OutOfFold) -> None:
    """A curve over the quality value errs more: that error stands for encoders that have none."""
    encodes = pool_encodes(frames)
    tables = interpolation_by_encoder(encodes)
    plain = interpolation_tables(leave_one_quality_out(encodes))
    along = interpolation_tables(leave_one_quality_out(encodes, along_mean=True))
    assert tables["any"] == plain["any"]
    assert tables["libx264"] == along["libx264"] != plain["libx264"]
