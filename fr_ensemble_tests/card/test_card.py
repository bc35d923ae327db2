"""The model card says what the evidence says, in Markdown and as a page of its own."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner
from upath import UPath

from fr_ensemble_assets.calibration.calibrate import calibrate
from fr_ensemble_assets.calibration.document import CALIBRATION_FILE, read_calibration
from fr_ensemble_assets.calibration.pooling import OutOfFold, out_of_fold
from fr_ensemble_assets.calibration.recentring import judged_predictions
from fr_ensemble_assets.calibration.thresholds import (
    TIGHT_MAX,
    TIGHT_QUANTILE,
    out_of_source_widths,
    thresholds,
    thresholds_document,
)
from fr_ensemble_assets.card.baselines import least_squares
from fr_ensemble_assets.card.clips import clips_of
from fr_ensemble_assets.card.facts import Facts, facts_bytes, parse_facts
from fr_ensemble_assets.card.inside import known_inside
from fr_ensemble_assets.card.means import mean_over
from fr_ensemble_assets.card.render import CARD_FILES, card_files, card_page, card_text
from fr_ensemble_assets.cli.main import app
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.contract.folds import FoldPlan
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.corpus.provenance import read_note
from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS, read_corpus
from fr_ensemble_assets.corpus.store import load_corpus
from fr_ensemble_assets.evidence.measure import folds_of, rows_by_source
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.gate.verdict import authorise
from fr_ensemble_assets.handover.cards import facts_for
from fr_ensemble_tests.conftest import Chain


@pytest.fixture(scope="module")
def candidate(promoted_once: Chain) -> UPath:
    folder = promoted_once[1].candidate_dir
    assert folder is not None
    return folder


@pytest.fixture(scope="module")
def corpus(promoted_once: Chain) -> Corpus:
    home = Home.at(promoted_once[0])
    (folder,) = home.store.iterdir()
    return load_corpus(home, folder.name)


@pytest.fixture(scope="module")
def frames(promoted_once: Chain, corpus: Corpus) -> OutOfFold:
    (results,) = Home.at(promoted_once[0]).store.glob("*/loso-*")
    judgement = authorise(results, corpus, ENSEMBLE)
    return out_of_fold(corpus, judgement.results)


@pytest.fixture(scope="module")
def facts(candidate: UPath) -> Facts:
    return facts_for(candidate)


def table(text: str, heading: str) -> list[list[str]]:
    """The cells of the first table under a heading."""
    part = text.split(f"{heading}\n", 1)[1]
    first = re.search(r"(?:^\|.*\|\n)+", part, re.MULTILINE)
    assert first is not None
    rows = re.findall(r"^\|(.*)\|$", first[0], re.MULTILINE)
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)] for row in rows[2:]]


def test_figures_of_the_gate_are_those_of_the_verdict(facts: Facts, candidate: UPath) -> None:
    verdict = json.loads((candidate / "PROMOTE.json").read_text())
    text = card_text(facts)
    assert f"seeds {verdict['gate']['mean_plcc']:.5f} (at least 0.95)" in text
    assert f"{verdict['gate']['plcc_spread']:.5f} (at most 0.005)" in text
    told = {row[0].strip("`"): row[2] for row in table(text, "## What it is")}
    for seed, plcc in verdict["gate"]["per_seed_plccs"].items():
        assert told[f"fr_regressor_v2_ensemble_v1_seed{seed}.onnx"] == f"{plcc:.5f}"


@pytest.mark.parametrize(
    ("groups", "told"), [(None, ""), (3, "held out in 3 groups of several (grouped folds)")]
)
def test_groups_that_were_held_out_together_are_named(
    facts: Facts, corpus: Corpus, promoted_once: Chain, groups: int | None, told: str
) -> None:
    (results,) = Home.at(promoted_once[0]).store.glob("*/loso-*")
    judgement = authorise(results, corpus, ENSEMBLE)
    plan = ENSEMBLE.grouped(groups).plan.assign(rows_by_source(corpus)).to_json()
    scores = tuple(replace(score, fold_plan=plan) for score in judgement.scores)
    calibrated = read_calibration(results / CALIBRATION_FILE)
    members = {member.seed: member.sha256 for member in facts.members}
    given = known_inside(ENSEMBLE, replace(judgement, scores=scores), calibrated, members)
    text = card_text(replace(facts, **given))
    assert told in text
    assert ("groups" in text) is bool(told)
    assert (f"folds {groups}" in text) is bool(told)


def test_single_seeds_are_those_of_the_results_files(facts: Facts, candidate: UPath) -> None:
    results = [json.loads((candidate / f"loso_seed{seed}.json").read_text()) for seed in range(5)]
    for row in table(card_text(facts), "### By source"):
        for cell, figure, digits in ((row[3], "plcc", 5), (row[5], "rmse", 3)):
            seeds = [
                fold[figure]
                for result in results
                for fold in result["folds"]
                if fold["held_out"] == row[0].strip("`")
            ]
            assert cell == f"{min(seeds):.{digits}f} to {max(seeds):.{digits}f}"


def test_figures_of_a_source_are_those_of_its_rows(facts: Facts, frames: OutOfFold) -> None:
    for row in table(card_text(facts), "### By source"):
        rows = frames.source_index == frames.sources.index(row[0].strip("`"))
        error = frames.mu[rows] - frames.target[rows]
        correlation = np.corrcoef(frames.mu[rows], frames.target[rows])[0, 1]
        assert row[2] == f"{correlation:.5f}"
        assert row[4] == f"{np.sqrt(np.mean(error**2)):.3f}"
        assert row[6] == f"{error.mean():+.3f}"


def test_figures_of_an_encoder_are_means_over_sources(facts: Facts, frames: OutOfFold) -> None:
    for row in table(card_text(facts), "### By encoder"):
        of_encoder = (frames.keys["encoder"] == row[0].strip("`")).to_numpy()
        errors = []
        for place in range(len(frames.sources)):
            rows = of_encoder & (frames.source_index == place)
            errors.append(np.sqrt(np.mean((frames.mu[rows] - frames.target[rows]) ** 2)))
        mean = mean_over(errors)
        assert row[1] == str(of_encoder.sum())
        assert row[4] == f"{mean.value:.3f} ± {mean.half:.3f}"


def test_intervals_are_those_of_the_calibration(facts: Facts, candidate: UPath) -> None:
    told = json.loads((candidate / "calibration.json").read_text())["coverage"]["results"]
    listed = {(c["unit"], c["rule"], f"{c['level'] * 100:.4g} %"): c for c in told}
    rows = table(card_text(facts), "## Intervals, and what they hold")
    assert rows
    for unit, rule, level, covered, least, width in rows:
        found = listed[unit, rule, level]
        assert covered.startswith(f"{found['mean_coverage'] * 100:.1f} %")
        worst = min(found["by_source"], key=lambda group: group["coverage"])
        assert least == f"{worst['name']}, {worst['coverage'] * 100:.1f} %"
        assert width == f"{found['mean_width']:.2f}"


def test_uncertainty_is_students_over_sources() -> None:
    mean = mean_over([1.0, 2.0, 4.0])
    assert mean.half == pytest.approx(4.303 * np.std([1, 2, 4], ddof=1) / np.sqrt(3), rel=1e-3)
    assert mean_over([1.0]).half is None


@pytest.mark.parametrize("plan", [ENSEMBLE.plan, FoldPlan(4)], ids=["a source", "a group"])
def test_baseline_is_fitted_without_what_the_ensemble_left_out(
    corpus: Corpus, plan: FoldPlan
) -> None:
    folds = folds_of(corpus, plan)
    predicted = least_squares(corpus, folds, corpus.features)
    inputs = np.c_[np.ones(corpus.n_rows), corpus.features]
    for rows in folds:
        others = np.delete(np.arange(corpus.n_rows), rows)
        weights = np.linalg.lstsq(inputs[others], corpus.target[others], rcond=None)[0]
        expected = np.clip(inputs[rows] @ weights, 0, 100)
        assert predicted[rows] == pytest.approx(expected, abs=1e-6)


def test_facts_are_kept_and_read_back(facts: Facts) -> None:
    assert parse_facts(facts_bytes(facts), "model_card.json") == facts
    for spoiled in (b"{}", b'{"schema_version": 2}', b'{"schema_version": 1}'):
        with pytest.raises(UnusableInput, match="expected the facts of a model card"):
            parse_facts(spoiled, "model_card.json")
    for spoiled in (b"[]", b"{"):
        with pytest.raises(UnusableInput, match="model_card.json"):
            parse_facts(spoiled, "model_card.json")


def test_card_has_its_five_points_and_three_plots(facts: Facts) -> None:
    files = card_files(facts)
    assert sorted(files) == sorted(CARD_FILES)
    text = files["MODEL_CARD.md"].decode()
    for heading in ("What it is", "Data", "Figures", "Intervals", "Where it fails", "How to rep"):
        assert f"## {heading}" in text
    for name in re.findall(r"\]\((model_card_\w+\.png)\)", text):
        assert files[name].startswith(b"\x89PNG")
    assert card_files(facts) == files


def test_page_needs_nothing_beside_it(facts: Facts) -> None:
    page = card_page(facts).decode()
    assert len(page) < 1_000_000
    assert re.findall(r'(?:src|srcset|href)="(?!data:)([^"]*)"', page) == []
    assert page.count("<picture>") == page.count("</picture>") == 3
    assert "prefers-color-scheme: dark" in page
    assert "<script" not in page


def test_names_from_outside_stay_names(facts: Facts) -> None:
    name = "<script>alert(1)</script>|x`"
    (first, *others) = facts.sources
    odd = type(first)(**{**vars(first), "name": name})
    page = card_page(type(facts)(**{**vars(facts), "sources": (odd, *others)})).decode()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_bundled_corpus_brings_its_clips_and_no_other_takes_them(corpus: Corpus) -> None:
    bundled = clips_of(read_corpus(BUNDLED_CORPUS).corpus)
    assert all(clip.licence and clip.origin and len(clip.sha256) == 64 for clip in bundled)
    assert not any(clip.licence or clip.sha256 for clip in clips_of(corpus))
    noted = clips_of(corpus, read_note(BUNDLED_CORPUS))
    assert all(clip.size and len(clip.sha256) == 64 and not clip.licence for clip in noted)


# --- thresholds --------------------------------------------------------------------------------


def test_thresholds_are_read_off_intervals_of_sources_left_out(frames: OutOfFold) -> None:
    from fr_ensemble_assets.calibration.pooling import pool_encodes

    found = thresholds(frames)
    widths = out_of_source_widths(pool_encodes(frames), found.level)
    assert found.tight == min(TIGHT_MAX, np.quantile(widths, TIGHT_QUANTILE))
    assert found.wide == max(found.tight, widths.max())
    document = thresholds_document(found, "a" * 64)
    assert 0 < document["tight_interval_max_width"] <= document["wide_interval_min_width"]
    assert document["corpus_sha256"] == "a" * 64


def test_level_of_thresholds_is_what_the_other_sources_carry(frames: OutOfFold) -> None:
    n = len(frames.sources)
    assert thresholds(frames).level <= (n - 1) / n


def test_intervals_that_are_all_wide_are_no_ground_for_a_short_cut(frames: OutOfFold) -> None:
    spread = np.array([[-30.0], [-15.0], [0.0], [15.0], [30.0]])
    apart = OutOfFold(
        frames.keys,
        frames.sources,
        frames.source_index,
        np.full_like(frames.members, 50.0) + spread,
        frames.target,
    )
    found = thresholds(apart)
    assert found.tight == TIGHT_MAX
    assert found.wide > TIGHT_MAX


# --- the command -------------------------------------------------------------------------------


def call(*arguments: Any) -> tuple[int, str]:
    ended = CliRunner().invoke(app, ["card", *map(str, arguments)])
    return ended.exit_code, ended.stderr


def test_command_writes_the_page(tmp_path: Path, promoted_once: Chain, facts: Facts) -> None:
    code, _ = call("--html", tmp_path / "card.html", "--home", promoted_once[0])
    assert code == 0
    assert (tmp_path / "card.html").read_bytes() == card_page(facts)


def test_card_of_a_candidate_is_made_from_it_alone(
    tmp_path: Path, candidate: UPath, facts: Facts
) -> None:
    out = tmp_path / "card.html"
    assert call("--html", out, "--home", tmp_path, "--candidate", candidate)[0] == 0
    assert out.read_bytes() == card_page(facts)


def test_calibration_of_the_card_is_that_of_the_candidate(
    promoted_once: Chain, corpus: Corpus, facts: Facts
) -> None:
    (results,) = Home.at(promoted_once[0]).store.glob("*/loso-*")
    judgement = authorise(results, corpus, ENSEMBLE)
    predicted = judged_predictions(results, corpus, ENSEMBLE, judgement)
    made = calibrate(corpus, predicted.raw, predicted.recentred)
    assert facts.coverages == made.coverages
