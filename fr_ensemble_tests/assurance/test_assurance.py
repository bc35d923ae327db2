"""What stands beside a verdict: baselines, controls, certainty, where it is good, why it holds."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from fr_ensemble_assets.assurance import certainty as certainty_module
from fr_ensemble_assets.assurance import controls as controls_module
from fr_ensemble_assets.assurance.ablation import ablate
from fr_ensemble_assets.assurance.assess import (
    NothingToAssess,
    assess,
    assurance_document,
    two_lines,
    worth_of,
)
from fr_ensemble_assets.assurance.baselines import (
    CUT_QUADRATIC,
    QUADRATIC,
    baselines,
    cell_means,
    cut_quadratic,
    quadratic,
)
from fr_ensemble_assets.assurance.breakdown import breakdown, family_of, fisher_interval
from fr_ensemble_assets.assurance.certainty import certainty
from fr_ensemble_assets.assurance.controls import controls, swap_sources
from fr_ensemble_assets.assurance.diagnosis import diagnose
from fr_ensemble_assets.assurance.outcome import Outcome, least_squares
from fr_ensemble_assets.assurance.plots import assurance_figure
from fr_ensemble_assets.assurance.tables import assurance_tables
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.contract.folds import LEAVE_ONE_SOURCE_OUT as LOSO
from fr_ensemble_assets.contract.folds import FoldPlan
from fr_ensemble_assets.contract.thresholds import ADR_0303
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS, read_corpus
from fr_ensemble_assets.doors.metadata import folded
from fr_ensemble_assets.evidence.measure import SeedResult, folds_of, rows_by_source
from fr_ensemble_assets.foundation.figures import png_bytes
from fr_ensemble_assets.gate.rule import mean_and_spread
from fr_ensemble_assets.training import recentre
from fr_ensemble_assets.training.trainer import Trainer
from fr_ensemble_tests.conftest import Row, evaluate_seed, write_rows

SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def bundled() -> Corpus:
    return read_corpus(BUNDLED_CORPUS).corpus


def predicted(corpus: Corpus, noise: float, bias: float = 0.0) -> Outcome:
    """Three seeds that know the truth but for some noise."""
    rng = np.random.default_rng(0)
    members = corpus.target + bias + rng.normal(0, noise, (len(SEEDS), corpus.n_rows))
    return Outcome(corpus, members, LOSO)


def results_of(outcome: Outcome) -> list[SeedResult]:
    return [
        SeedResult(s, (), m, 0.0) for s, m in zip(range(len(SEEDS)), outcome.members, strict=True)
    ]


# --- baselines -------------------------------------------------------------------------------


def test_single_feature_passes_the_gates_mean_on_real_clips(bundled: Corpus) -> None:
    found = {b.name: b for b in baselines(predicted(bundled, noise=0.5))}
    adm2 = found["adm2 alone"].plcc
    assert adm2 is not None
    assert adm2 > ADR_0303.mean_plcc_min
    rmse = [b.rmse for b in found.values()]
    assert found["encoder and quality alone"].rmse == max(rmse)
    assert found[CUT_QUADRATIC].rmse == min(rmse)


def test_skill_is_what_the_ensemble_saves_of_a_baselines_rmse(bundled: Corpus) -> None:
    good, bad = predicted(bundled, noise=0.01), predicted(bundled, noise=0.0, bias=-9.0)
    for b in baselines(good):
        assert b.skill == pytest.approx(1 - good.rmse / b.rmse)
        assert b.won == b.sources == 21
        assert not b.beats_the_ensemble
    beaten = {b.name for b in baselines(bad) if b.beats_the_ensemble}
    assert {QUADRATIC, CUT_QUADRATIC} <= beaten


def test_baseline_never_sees_the_source_that_it_is_tried_on(few: Corpus) -> None:
    """Scores of one source that no other source hints at are missed by all that they are off."""
    frame = few.frame.copy()
    frame.loc[frame["src"] == "city", "vmaf"] = 1.0
    odd = Corpus("odd", frame)
    for b in baselines(Outcome(odd, np.stack([odd.target] * 3), LOSO)):
        assert b.rmse > 10


def test_baseline_leaves_out_what_the_ensemble_left_out(few: Corpus) -> None:
    """A row's prediction changes with nothing in the sources that were held out beside its own."""
    plan = FoldPlan(2)
    held_out = plan.assign(rows_by_source(few)).folds[0]
    mine = few.frame["src"].isin(held_out).to_numpy(dtype=bool)
    odd = Corpus("odd", few.frame.assign(vmaf=np.where(mine, 100.0 - few.target, few.target)))
    features = few.features / few.features.std(axis=0)
    square_fit = partial(least_squares, terms=quadratic)
    for fit in (partial(f, features=features) for f in (square_fit, cut_quadratic)):
        of_few, of_odd = (fit(folds_of(few, plan), target=t) for t in (few.target, odd.target))
        np.testing.assert_allclose(of_few[mine], of_odd[mine], rtol=1e-3)
    of_few, of_odd = (cell_means(one, folds_of(few, plan)) for one in (few, odd))
    np.testing.assert_allclose(of_few[mine], of_odd[mine])


def test_what_stands_beside_a_grouped_ensemble_is_fitted_without_its_groups(few: Corpus) -> None:
    """Asked for one plan after the other, and again: each has figures of its own."""
    results = results_of(predicted(few, noise=1.0))
    alone, grouped = assess(few, results, LOSO), assess(few, results, FoldPlan(2))
    for ours, theirs in zip(grouped.baselines, alone.baselines, strict=True):
        assert ours.rmse != pytest.approx(theirs.rmse, rel=1e-6), ours.name
    for one, other in zip(grouped.controls, alone.controls, strict=True):
        assert one.mean != pytest.approx(other.mean, rel=1e-6), one.name
    assert assess(few, results, LOSO) == alone
    assert worth_of(few, results, FoldPlan(2)) != worth_of(few, results, LOSO)


def test_baselines_take_their_rows_some_at_a_time(
    few: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = predicted(few, noise=1.0)
    at_once = baselines(outcome)
    monkeypatch.setattr(recentre, "_BLOCK", 30)
    for some, all_rows in zip(baselines(outcome), at_once, strict=True):
        assert some.rmse == pytest.approx(all_rows.rmse, rel=1e-6), some.name


# --- controls --------------------------------------------------------------------------------


def test_controls_of_many_rows_are_computed_some_tries_at_a_time(
    few: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = controls(few, LOSO, tries=10)
    monkeypatch.setattr(controls_module, "_SCORES_AT_ONCE", 3 * few.n_rows)
    for mine, theirs in zip(controls(few, LOSO, tries=10), at_once, strict=True):
        assert (mine.tries, mine.mean) == (theirs.tries, pytest.approx(theirs.mean))


def test_scores_that_can_not_be_learnt_never_pass(bundled: Corpus) -> None:
    shuffled, swapped = controls(bundled, LOSO, tries=40)
    assert abs(shuffled.mean) < 0.02
    assert 0.8 < swapped.mean < swapped.highest < ADR_0303.mean_plcc_min
    assert shuffled.passed == swapped.passed == 0


def test_swapped_source_has_another_sources_scores_cell_by_cell(bundled: Corpus) -> None:
    swapped = swap_sources(bundled, np.random.default_rng(0))
    frame = bundled.frame.assign(swapped=swapped)
    cells = frame.groupby(["src", "encoder", "cq"], observed=True)[["vmaf", "swapped"]].mean()
    for source in bundled.sources:
        mine = cells.loc[source]
        (owner,) = [
            other
            for other in bundled.sources
            if np.allclose(mine["swapped"], cells.loc[other]["vmaf"])
        ]
        assert owner != source


def test_sources_of_different_length_are_swapped_all_the_same(bundled: Corpus) -> None:
    shorter = bundled.frame[(bundled.frame["src"] != "city") | (bundled.frame["frame_index"] < 9)]
    corpus = Corpus("shorter", shorter.reset_index(drop=True))
    swapped = swap_sources(corpus, np.random.default_rng(0))
    assert set(swapped) <= set(corpus.target)


# --- certainty -------------------------------------------------------------------------------


def test_verdict_on_the_edge_flips_in_some_draws_and_a_clear_one_in_none() -> None:
    rng = np.random.default_rng(1)
    clear = certainty(0.99 + rng.normal(0, 0.002, (1, 9)).repeat(5, axis=0))
    edge = certainty(0.951 + rng.normal(0, 0.01, (1, 9)).repeat(5, axis=0))
    assert clear is not None
    assert edge is not None
    assert clear.flips == 0.0
    assert 0.05 < edge.flips < 0.95
    assert edge.mean_plcc[0] < ADR_0303.mean_plcc_min < edge.mean_plcc[1]


def test_one_source_that_would_flip_the_verdict_just_flips_it() -> None:
    seeds, sources = np.linspace(0.96, 0.962, 5), np.linspace(-0.005, 0.005, 6)
    plcc = seeds[:, None] + sources
    found = certainty(plcc)
    assert found is not None
    assert found.one_new_source is not None
    for nudge, reaches in ((1e-6, True), (-1e-6, False)):
        new = np.column_stack([plcc, np.full(5, found.one_new_source + nudge)])
        mean, _ = mean_and_spread(new.mean(axis=1).tolist())
        assert mean is not None
        assert (
            mean >= ADR_0303.mean_plcc_min and new.mean(axis=1).min() >= ADR_0303.mean_plcc_min
        ) == reaches


def test_two_sources_left_out_are_the_worst_two_or_the_best_two() -> None:
    plcc = np.array([[0.9, 0.95, 0.97, 0.99]])
    found = certainty(plcc)
    assert found is not None
    assert found.two_out_mean == pytest.approx((0.925, 0.98))
    assert certainty(np.array([[0.9, np.nan]])) is None


def test_certainty_of_many_sources_counts_some_draws_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plcc = 0.96 + np.random.default_rng(0).normal(0, 0.01, (5, 40))
    at_once = certainty(plcc, draws=500)
    monkeypatch.setattr(certainty_module, "_COUNTS_AT_ONCE", 40 * 7)
    some = certainty(plcc, draws=500)
    assert at_once is not None
    assert some is not None
    assert some.mean_plcc == pytest.approx(at_once.mean_plcc, abs=1e-12)
    assert (some.flips, some.draws) == (at_once.flips, at_once.draws)
    monkeypatch.setattr(certainty_module, "_SOURCES_DRAWN", 40 * 300)
    monkeypatch.setattr(certainty_module, "_FEWEST_DRAWS", 100)
    fewer = certainty(plcc, draws=500)
    assert fewer is not None
    assert fewer.draws == 300


# --- breakdown -------------------------------------------------------------------------------


def test_an_encoder_that_is_told_badly_stands_out(bundled: Corpus) -> None:
    outcome = predicted(bundled, noise=0.1)
    off = np.where(bundled.frame["encoder"] == "libsvtav1", 5.0, 0.0)
    off[bundled.frame["src"] == "city"] *= 2
    found = breakdown(Outcome(bundled, outcome.members - off, LOSO))
    worst = max(found.by_encoder, key=lambda group: group.rmse)
    assert (worst.name, worst.worst_source) == ("libsvtav1", "city")
    assert worst.worst_rmse == pytest.approx(10, abs=0.3)
    assert {g.name for g in found.by_family} == {"h264", "hevc", "av1", "vvc", "vp9"}
    assert sum(g.rows for g in found.encodes_by_source) == 21 * 20


def test_slope_tells_differences_that_are_told_too_small(bundled: Corpus) -> None:
    half = 50 + (bundled.target - 50) / 2
    found = breakdown(Outcome(bundled, np.stack([half, half]), LOSO))
    assert [g.slope for g in found.frames_by_source] == pytest.approx([2.0] * 21)


def test_sigma_that_follows_the_error_is_told_from_one_that_does_not(bundled: Corpus) -> None:
    rng = np.random.default_rng(0)
    scale = rng.lognormal(0, 1, bundled.n_rows)
    middle = Corpus("middle", bundled.frame.assign(vmaf=50.0 + np.arange(bundled.n_rows) % 7))
    knows = middle.target + scale * rng.normal(size=(5, bundled.n_rows))
    ignores = middle.target + rng.normal(size=(5, bundled.n_rows))
    told = [breakdown(Outcome(middle, members, LOSO)).sigma_rank for members in (knows, ignores)]
    assert told[0] is not None
    assert told[1] is not None
    assert told[0] > 0.3 > 0.1 > abs(told[1])


def test_fisher_interval_is_undefined_where_a_correlation_is() -> None:
    found = fisher_interval(np.array([[0.99, 0.98, 0.97]]))
    assert found is not None
    assert found[0] < 0.98 < found[1] < 1
    assert fisher_interval(np.array([[0.99, np.nan]])) is None
    assert fisher_interval(np.array([[0.99, 1.0]])) is None


def test_family_is_the_format_that_an_encoder_writes() -> None:
    assert family_of("hevc_nvenc") == family_of("libx265") == "hevc"
    assert family_of("of_my_own") == "unknown"


# --- diagnosis -------------------------------------------------------------------------------


def test_passing_figures_need_no_diagnosis(bundled: Corpus) -> None:
    assert diagnose(predicted(bundled, noise=0.3), SEEDS) is None


def test_scores_of_other_rows_do_not_belong_to_the_features(bundled: Corpus) -> None:
    rng = np.random.default_rng(0)
    mixed = np.stack([rng.permutation(bundled.target) for _ in SEEDS])
    found = diagnose(Outcome(bundled, mixed, LOSO), SEEDS)
    assert found is not None
    assert "don't belong to these features" in found.looks_like


def test_one_weak_seed_is_named_and_so_is_its_hardest_source(bundled: Corpus) -> None:
    outcome = predicted(bundled, noise=0.3)
    rng = np.random.default_rng(0)
    members = outcome.members.copy()
    members[1] += rng.normal(0, 6, bundled.n_rows)
    members[1, bundled.frame["src"] == "sam2ui"] += rng.normal(0, 40, 280)
    found = diagnose(Outcome(bundled, members, LOSO), SEEDS)
    assert found is not None
    assert found.looks_like.startswith("seed 1 is low")
    assert "sam2ui" in found.looks_like


def test_all_seeds_low_is_the_corpus_and_all_high_but_apart_is_a_spread(bundled: Corpus) -> None:
    low = diagnose(predicted(bundled, noise=20.0), SEEDS)
    assert low is not None
    assert low.looks_like.startswith("every seed is low")
    members = predicted(bundled, noise=0.1).members.copy()
    members[2] += np.random.default_rng(3).normal(0, 1.8, bundled.n_rows)
    apart = diagnose(Outcome(bundled, members, LOSO), SEEDS)
    assert apart is not None
    assert apart.looks_like.startswith("all seeds are high")


def test_undefined_fold_is_named(bundled: Corpus) -> None:
    members = predicted(bundled, noise=0.1).members.copy()
    members[0, bundled.frame["src"] == "city"] = 80.0
    found = diagnose(Outcome(bundled, members, LOSO), SEEDS)
    assert found is not None
    assert "undefined on city" in found.looks_like


# --- ablation and the whole ------------------------------------------------------------------


def test_codec_block_earns_its_place_only_where_it_tells_something(few: Corpus) -> None:
    """Scores that depend on the encoder alone can't be told without it."""
    shift = few.frame["encoder"].map({"libx264": 60.0, "libx265": 20.0}).fillna(40.0)
    frame = few.frame.assign(vmaf=shift + few.frame["frame_index"] * 0.01)
    corpus = Corpus("by encoder", frame)
    contract, trainer = ENSEMBLE.under(epochs=600), Trainer("cpu")
    found = ablate(corpus, evaluate_seed(corpus, 0, contract), contract, trainer)
    assert found.earns_its_place
    assert found.gain is not None
    assert found.gain > 0.1
    assert not replace(found, without_block=found.with_block).earns_its_place


def test_all_of_it_is_strict_json_and_two_lines(bundled: Corpus) -> None:
    found = assess(bundled, results_of(predicted(bundled, noise=2.0)), LOSO)
    document = json.loads(json.dumps(assurance_document(found), allow_nan=False))
    assert document["certainty"]["can_not_see"]
    assert [b["name"] for b in document["baselines"]][-1] == CUT_QUADRATIC
    skill, chance = two_lines(found)
    assert "MORE than a quadratic" in skill
    assert "none of 20,000 draws" in chance
    assert any("doesn't need a network" in caveat for caveat in found.caveats)


def test_undefined_correlation_leaves_the_rest_standing(bundled: Corpus) -> None:
    outcome = predicted(bundled, noise=1.0)
    members = outcome.members.copy()
    members[:, bundled.frame["src"] == "city"] = 80.0
    found = assess(bundled, results_of(Outcome(bundled, members, LOSO)), LOSO)
    assert found.certainty is None
    assert found.diagnosis is not None
    assert "can't be said" in two_lines(found)[1]
    json.dumps(assurance_document(found), allow_nan=False)


def test_same_results_give_the_same_assurance(bundled: Corpus) -> None:
    results = results_of(predicted(bundled, noise=1.0))
    assert assess(bundled, results, LOSO) == assess(bundled, results, LOSO)


def test_network_on_a_swapped_corpus_is_held_and_the_reason_named(
    tmp_path: Path, rows: list[Row]
) -> None:
    """Each source has another's scores, encode by encode: what an encoder does is left to learn."""
    real = read_corpus(write_rows(tmp_path / "real.jsonl", rows)).corpus
    scores = swap_sources(real, np.random.default_rng(0))
    swapped = Corpus("swapped", real.frame.assign(vmaf=scores))
    results = [evaluate_seed(swapped, seed, ENSEMBLE.under(epochs=40)) for seed in (0, 1)]
    plcc = [result.mean_plcc for result in results]
    assert max(p for p in plcc if p is not None) < ADR_0303.mean_plcc_min
    *lines, looks = worth_of(swapped, results, LOSO)
    assert len(lines) == 2
    assert looks.startswith("It looks like this: ")
    assert "Next: " in looks


def test_too_little_is_said_to_be_too_little(bundled: Corpus) -> None:
    outcome = predicted(bundled, noise=1.0)
    alone = worth_of(bundled, results_of(outcome)[:1], LOSO)
    assert alone == ("What the verdict is worth can't be said: 1 seeds on 21 sources.",)
    outcome.members[0, 0] = np.nan
    with pytest.raises(NothingToAssess, match="not finite"):
        assess(bundled, results_of(outcome), LOSO)


def test_tables_have_the_same_keys_in_every_row_and_the_figure_is_small(bundled: Corpus) -> None:
    found = assess(bundled, results_of(predicted(bundled, noise=1.0)), LOSO)
    tables = assurance_tables(found)
    assert {"evidence_table", "baselines", "by_encoder", "encodes_by_source"} < set(tables)
    for rows in tables.values():
        assert rows
        assert len({tuple(row) for row in rows}) == 1
    assert len(png_bytes(assurance_figure(found))) < 100_000


def test_nothing_that_the_figure_says_covers_anything_else(bundled: Corpus) -> None:
    figure = assurance_figure(assess(bundled, results_of(predicted(bundled, noise=1.0)), LOSO))
    png_bytes(figure)
    written = [
        (text.get_text(), text.get_window_extent())
        for axis in figure.axes
        for text in (
            *(axis.title, axis.xaxis.label, axis.yaxis.label, *axis.texts),
            *(*axis.get_xticklabels(), *axis.get_yticklabels()),
        )
        if text.get_text()
    ]
    covered = [(a, b) for (a, x), (b, y) in combinations(written, 2) if x.overlaps(y)]
    assert covered == []
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert (box.x0 >= 0, box.y0 >= 0, box.x1 <= width, box.y1 <= height) == (True,) * 4
    assert not any("$" in text for text, _ in written)


def test_of_a_thousand_sources_the_worst_25_fit_into_an_event(bundled: Corpus) -> None:
    found = assess(bundled, results_of(predicted(bundled, noise=1.0)), LOSO)
    one = found.breakdown.frames_by_source[0]
    many = tuple(replace(one, name=f"source {n:04}", rmse=n / 100) for n in range(1000))
    grown = replace(
        found,
        breakdown=replace(found.breakdown, frames_by_source=many, encodes_by_source=many),
    )
    tables = assurance_tables(grown)
    worst = tables["frames_by_source, the worst 25 of 1,000"]
    assert [row["name"] for row in worst[:2]] == ["source 0999", "source 0998"]
    assert len(worst) == 25
    assert len(folded(tables, "corpus").value) < 32 * 1024
