"""The controls that are trained: what one seed's network makes of less, and of nonsense."""

from __future__ import annotations

import json
import re
from pathlib import Path

import dagster as dg
import pytest
from upath import UPath

from fr_ensemble_assets.assurance.ablation import GAIN_MIN, Ablation
from fr_ensemble_assets.assurance.trained import (
    CONTROLS_FILE,
    TrainedControls,
    load_controls,
    predictions_digest,
    save_controls,
    train_controls,
)
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.evidence.measure import SeedResult
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.foundation.progress import Silent
from fr_ensemble_assets.operations.in_process import execute
from fr_ensemble_assets.operations.instance import open_instance
from fr_ensemble_assets.operations.run import Plan, run_ensemble
from fr_ensemble_tests.conftest import CPU, Chain, evaluate_seed

BRIEF = ENSEMBLE.under(epochs=40)


@pytest.fixture
def result(few: Corpus) -> SeedResult:
    return evaluate_seed(few, 0, BRIEF)


@pytest.fixture
def found(few: Corpus, result: SeedResult) -> TrainedControls:
    return train_controls(few, result, BRIEF, CPU, Silent())


def test_scores_of_other_clips_are_learnt_worse_than_a_clips_own(found: TrainedControls) -> None:
    assert found.swapped is not None
    assert found.ablation.with_block is not None
    assert found.swapped < found.ablation.with_block
    assert f"{found.swapped:.4f} on scores swapped" in found.swap


def test_same_seed_gives_the_same_controls(
    few: Corpus, result: SeedResult, found: TrainedControls
) -> None:
    assert train_controls(few, result, BRIEF, CPU, Silent()) == found


def test_controls_stand_beside_their_own_results_alone(
    tmp_path: Path, few: Corpus, result: SeedResult, found: TrainedControls
) -> None:
    folder = UPath(tmp_path)
    assert load_controls(folder, few.sha256, result) is None
    save_controls(folder, found)
    assert load_controls(folder, few.sha256, result) == found
    assert load_controls(folder, "0" * 64, result) is None
    other = evaluate_seed(few, 0, ENSEMBLE.under(epochs=41))
    assert predictions_digest(other) != found.predictions_sha256
    assert load_controls(folder, few.sha256, other) is None


def test_damaged_controls_are_told_with_what_to_do(
    tmp_path: Path, few: Corpus, result: SeedResult, found: TrainedControls
) -> None:
    path = save_controls(UPath(tmp_path), found)
    path.write_text(path.read_text().replace('"seed": 0', '"seed": "0"'))
    with pytest.raises(UnusableInput, match=r"seed.*materialise verdict_controls again"):
        load_controls(UPath(tmp_path), few.sha256, result)


@pytest.mark.parametrize(
    ("ablation", "told"),
    [
        (Ablation(0, 0.99, 0.98), r"adds \+0\.0100 .* and earns its place"),
        (Ablation(0, GAIN_MIN, 0.0), r"adds \+0\.0050 .* and does NOT earn its place"),
        (Ablation(0, 0.98, 0.99), r"adds -0\.0100 .* and does NOT earn its place"),
        (Ablation(0, 0.98, None), "can't be said"),
    ],
)
def test_codec_block_must_add_more_than_the_adr_asks(ablation: Ablation, told: str) -> None:
    found = TrainedControls("0" * 64, "0" * 64, ablation, None)
    assert re.search(told, found.codec_block)


def test_damaged_controls_are_told_of_and_end_no_verdict(promoted: Home) -> None:
    """They decide nothing."""
    (results,) = promoted.store.glob("*/loso-*")
    (results / CONTROLS_FILE).write_bytes(b"{")
    last = [ENSEMBLE.units[-1]]
    with open_instance(promoted) as instance:
        execute(instance, promoted, "train_ensemble", last, Silent(), assets=["ensemble_verdict"])
        event = instance.get_latest_materialization_event(dg.AssetKey("ensemble_verdict"))
    assert event is not None
    assert event.asset_materialization is not None
    shown = {name: one.value for name, one in event.asset_materialization.metadata.items()}
    assert shown["verdict"] == "PROMOTE"
    assert f"{CONTROLS_FILE} line 1" in str(shown["controls"])
    assert "`fr-ensemble run --controls` trains them again" in str(shown["controls"])


def test_run_with_controls_shows_them_on_the_verdict_and_in_its_lines(
    tmp_path: Path, promoted_once: Chain
) -> None:
    home = tmp_path / "home"
    corpus = str(promoted_once[0].parent / "corpus.jsonl")
    plan = Plan(Home.at(home), corpus, ENSEMBLE.units, 200, force=False, controls=True)
    outcome = run_ensemble(plan, Silent())
    document = json.loads((outcome.results_dir / CONTROLS_FILE).read_text())
    assert document["corpus_sha256"] == outcome.corpus_sha256
    with open_instance(Home.at(home)) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey("ensemble_verdict"))
    assert event is not None
    assert event.asset_materialization is not None
    shown = {name: one.value for name, one in event.asset_materialization.metadata.items()}
    assert (shown["codec_block"], shown["swapped_scores"]) == outcome.worth[-2:]
    # What was shown decides nothing.
    assert outcome.judgement.decision == promoted_once[1].judgement.decision
