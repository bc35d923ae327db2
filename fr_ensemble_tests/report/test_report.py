"""The report says what stands, on one page that needs nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fr_ensemble_assets.cli.main import app
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.gate.previous import Previous
from fr_ensemble_assets.operations.report import evidence_of
from fr_ensemble_assets.report.page import report_page
from fr_ensemble_tests.conftest import Chain


def test_a_promote_is_told_with_seeds_sources_intervals_and_its_candidate(
    promoted_once: Chain, tmp_path: Path
) -> None:
    out = tmp_path / "report.html"
    told = CliRunner().invoke(app, ["report", "--out", str(out), "--home", str(promoted_once[0])])
    assert told.exit_code == 0
    page = out.read_text()
    decision = promoted_once[1].judgement.decision
    assert "<h1>PROMOTE: corpus.jsonl</h1>" in page
    assert f"<b>{decision.mean_plcc:.4f}</b>" in page
    assert all(f"{plcc:.5f}" in page for plcc in decision.per_seed_plcc.values())
    assert all(f"<td>{name}</td>" in page for name in ("bbb", "city", "vtest"))
    assert "mean width, VMAF" in page
    assert str(promoted_once[1].candidate_dir) in page
    assert "fr-ensemble propose --tree" in page
    assert len(out.read_bytes()) < 1_000_000


def test_a_hold_gives_its_reasons_and_the_same_evidence_the_same_bytes(held_once: Chain) -> None:
    home = Home.at(held_once[0])
    page = report_page(evidence_of(home))
    assert page == report_page(evidence_of(home))
    text = page.decode()
    assert all(reason in text for reason in held_once[1].judgement.decision.reasons)
    assert "The scores don&#39;t belong to these features" in text
    assert "Not calibrated: only a PROMOTE is." in text


def test_what_changed_is_measured_against_the_last_promote(promoted_once: Chain) -> None:
    evidence = evidence_of(Home.at(promoted_once[0]))
    assert "Nothing to compare with" in report_page(evidence).decode()
    then = Previous("ab" * 32, "PROMOTE", "2026-11-01", 0.9, {0: 0.9, 1: None}, "monday.jsonl")
    page = report_page(replace(evidence, previous=then)).decode()
    plcc = evidence.judgement.decision.mean_plcc
    assert plcc is not None
    assert f"on monday.jsonl (<code>{'ab' * 6}</code>)" in page
    assert f"({plcc - 0.9:+.4f})" in page


def test_names_from_outside_stay_text(promoted_once: Chain) -> None:
    evidence = evidence_of(Home.at(promoted_once[0]))
    page = report_page(replace(evidence, corpus="<script>alert(1)</script>")).decode()
    assert "<script" not in page


def test_a_home_without_results_is_told_in_one_sentence_and_not_made(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "typo")
    with pytest.raises(UnusableInput, match="expected a home with the results of a corpus"):
        evidence_of(home)
    assert list(tmp_path.iterdir()) == []
