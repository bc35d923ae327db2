"""Backfills from the command line: which seeds of which corpus, and how it is told."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from click.testing import Result
from typer.testing import CliRunner

from fr_ensemble_assets.cli.main import app
from fr_ensemble_assets.cli.train import parse_seeds
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.corpus.in_use import CORPUS_TAG, newest_corpus
from fr_ensemble_assets.corpus.store import load_corpus
from fr_ensemble_assets.doors.progress import read_progress
from fr_ensemble_assets.evidence.results import results_file
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.foundation.progress import Silent
from fr_ensemble_assets.gate.verdict import judge
from fr_ensemble_assets.operations.backfill import (
    BackfillPlan,
    conclude,
    follow,
    launch,
    plan_backfill,
    run_here,
)
from fr_ensemble_assets.operations.instance import OrchestrationFailure, open_instance
from fr_ensemble_assets.operations.launching import backfill_request, request_backfill
from fr_ensemble_tests.conftest import Chain, Row, run_chain, write_rows
from fr_ensemble_tests.web import web_server


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("all", (0, 1, 2, 3, 4)),
        ("0-4", (0, 1, 2, 3, 4)),
        ("3,0", (0, 3)),
        ("1, 3-4", (1, 3, 4)),
        ("0-19", tuple(range(20))),
    ],
)
def test_seeds_are_typed_as_one_thinks_of_them(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text, studies=True) == seeds


@pytest.mark.parametrize("text", ["", "a", "-1", "4-0", "0-100", "0-99999999999", "1,,2"])
def test_other_seeds_are_refused(text: str) -> None:
    with pytest.raises(UnusableInput, match="--seeds: expected "):
        parse_seeds(text, studies=True)


def test_seeds_beyond_the_ensemble_are_for_backfills_alone() -> None:
    with pytest.raises(UnusableInput, match="from 0 to 4"):
        parse_seeds("0-19")


@pytest.fixture
def two_corpora(promoted: Home, shuffled_rows: list[Row], tmp_path: Path) -> tuple[Home, str, str]:
    """A home with a corpus that promotes, and a newer one on which nothing was trained."""
    (older,) = (folder.name for folder in promoted.store.iterdir())
    outcome = run_chain(
        Path(str(promoted.root)), write_rows(tmp_path / "newer.jsonl", shuffled_rows), epochs=1
    )
    return promoted, older, outcome.corpus_sha256


def test_newest_corpus_is_taken_unless_another_is_named(
    two_corpora: tuple[Home, str, str],
) -> None:
    home, older, newer = two_corpora
    with open_instance(home) as instance:
        assert plan_backfill(instance, home, [1, 3], None).corpus_sha256 == newer
        assert plan_backfill(instance, home, [1, 3], older[:8].upper()).corpus_sha256 == older
        for wrong in ("beef", "not-hex", ""):
            with pytest.raises(UnusableInput, match=f"{older[:12]}"):
                plan_backfill(instance, home, [1], wrong)


def test_verdict_follows_only_where_the_ensemble_is_whole_after_it(
    two_corpora: tuple[Home, str, str],
) -> None:
    home, older, newer = two_corpora
    with open_instance(home) as instance:
        assert plan_backfill(instance, home, [1, 3], older).judges
        assert not plan_backfill(instance, home, [1, 3], newer).judges
        assert plan_backfill(instance, home, [0, 1, 2, 3, 4], newer).judges


def without_results(home: Home) -> Home:
    """The same home before anything was trained."""
    for made in home.store.glob("*/loso-*"):
        shutil.rmtree(made)
    return home


@pytest.mark.parametrize(("chain", "code"), [("promoted", 0), ("held", 1)])
def test_where_all_is_done_nothing_is_started(
    chain: str, code: int, request: pytest.FixtureRequest
) -> None:
    """The daemon would take a minute to find that out."""
    home: Home = request.getfixturevalue(chain)
    told = typed("--seeds", "1,3", home=home)
    assert told.exit_code == code, told.stderr
    assert "all of it is done already" in told.stderr
    assert f"verdict: {'HOLD' if code else 'PROMOTE'}" in told.stdout
    with open_instance(home) as instance:
        assert list(instance.get_backfills()) == []


def test_damaged_candidate_is_something_left_to_do(promoted: Home) -> None:
    (candidate,) = promoted.candidates.iterdir()
    next(candidate.glob("*.onnx")).write_bytes(b"not any more")
    told = typed("--seeds", "1,3", home=promoted)
    assert told.exit_code == 3
    assert "no daemon serves" in told.stderr


def test_what_a_backfill_waits_for_is_told(promoted: Home) -> None:
    without_results(promoted)
    said: list[str] = []
    with open_instance(promoted) as instance, web_server(promoted) as address:
        plan = plan_backfill(instance, promoted, [2], None)
        backfill_id = launch(instance, plan, address)
        with pytest.raises(OrchestrationFailure, match="no daemon for"):
            follow(instance, plan, backfill_id, Silent(), said.append, lambda _: None)
    assert said == ["waiting for the daemon, which looks every 30 s for what is next"]


def test_without_a_daemon_it_says_so_and_starts_nothing(promoted: Home) -> None:
    without_results(promoted)
    told = typed("--seeds", "1,3", home=promoted)
    assert told.exit_code == 3
    assert "no daemon serves" in told.stderr
    assert "--in-process" in told.stderr
    with open_instance(promoted) as instance:
        assert list(instance.get_backfills()) == []


def test_missing_corpus_is_one_sentence(tmp_path: Path) -> None:
    told = typed("--in-process", home=Home.at(tmp_path / "home"))
    assert told.exit_code == 2
    assert "expected a corpus that was materialised, found none" in told.stderr


def typed(*arguments: str, home: Home) -> Result:
    return CliRunner().invoke(app, ["backfill", *arguments, "--home", str(home.root)])


def test_two_seeds_in_process_end_without_a_verdict(promoted: Home) -> None:
    without_results(promoted)
    told = typed("--seeds", "1,3", "--in-process", home=promoted)
    assert told.exit_code == 0, told.stderr
    assert "verdict:   not yet: seeds 0, 2, 4 have no results" in told.stdout
    (results,) = promoted.store.glob("*/loso-*")
    found = sorted(path.name for path in results.glob("loso_*.json"))
    assert found == [results_file(1), results_file(3)]

    told = typed("--seeds", "all", "--in-process", home=promoted)
    assert told.exit_code == 0, told.stderr
    assert "verdict: PROMOTE" in told.stdout
    assert (results / "PROMOTE.json").exists()


def test_hold_exits_1(held: Home) -> None:
    told = typed("--seeds", "all", "--in-process", home=held)
    assert told.exit_code == 1, told.stderr
    assert "verdict: HOLD" in told.stdout


def test_studied_seeds_are_told_and_not_judged(promoted: Home, promoted_once: Chain) -> None:
    (before,) = promoted.candidates.iterdir()
    members = {path.name: path.read_bytes() for path in before.glob("*.onnx")}
    with open_instance(promoted) as instance:
        plan = plan_backfill(instance, promoted, [5, 7], None)
        ending = run_here(instance, plan, Silent())
    assert ending.judgement.decision == promoted_once[1].judgement.decision
    assert [score.seed for score in ending.judgement.studied] == [5, 7]
    (verdict,) = promoted.store.glob("*/loso-*/PROMOTE.json")
    document = json.loads(verdict.read_text())
    assert document["seeds"] == [0, 1, 2, 3, 4]
    assert document["study"]["seeds"] == [0, 1, 2, 3, 4, 5, 7]
    assert document["study"]["plcc_spread"] >= document["gate"]["plcc_spread"]
    assert {path.name: path.read_bytes() for path in before.glob("*.onnx")} == members


def test_bad_studied_seed_does_not_hold_the_ensemble(promoted: Home, promoted_once: Chain) -> None:
    (results,) = promoted.store.glob("*/loso-*")
    weak = json.loads((results / results_file(0)).read_text()) | {"seed": 9, "mean_plcc": 0.1}
    (results / results_file(9)).write_text(json.dumps(weak))
    outcome = promoted_once[1]
    used = load_corpus(promoted, outcome.corpus_sha256)
    assert judge(results, used, ENSEMBLE).decision.promote


def test_launched_backfill_is_bound_to_its_corpus(two_corpora: tuple[Home, str, str]) -> None:
    home, older, _ = two_corpora
    with open_instance(home) as instance, web_server(home) as address:
        backfill_id = launch(instance, plan_backfill(instance, home, [1, 3, 6], older), address)
        backfill = instance.get_backfill(backfill_id)
        assert backfill is not None
        assert backfill.tags == {CORPUS_TAG: older}
        assert backfill.title == f"seeds 1,3,6 of {older[:12]}"
        assert {key.to_user_string() for key in backfill.asset_selection or ()} == {
            *("loso_results", "study_results"),
            *("ensemble_verdict", "interval_calibration"),
            *("ensemble_members", "registry_candidate"),
        }
        assert instance.get_dynamic_partitions("study_seeds") == ["6"]


def test_no_wait_launches_and_returns(promoted: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fr_ensemble_assets.cli.backfill.daemon_lives", lambda _instance: True)
    with web_server(without_results(promoted)) as address:
        told = typed("--seeds", "2", "--no-wait", home=promoted)
    assert told.exit_code == 0, told.stderr
    with open_instance(promoted) as instance:
        (backfill,) = instance.get_backfills()
    assert f"{address}/runs/b/{backfill.backfill_id}" in told.stderr


def test_daemon_without_a_web_server_is_one_sentence(
    promoted: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fr_ensemble_assets.cli.backfill.daemon_lives", lambda _instance: True)
    told = typed("--seeds", "2", "--no-wait", home=without_results(promoted))
    assert told.exit_code == 3
    assert "but no web server answers; start `fr-ensemble ui`" in told.stderr


def test_web_server_with_a_token_is_asked_with_it(
    promoted: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_instance(promoted) as instance, web_server(promoted, "0123456789abcdef") as address:
        plan = plan_backfill(instance, promoted, [2], None)
        for token, found in (("", "none"), ("fedcba9876543210", "another")):
            monkeypatch.setenv("FR_ENSEMBLE_TOKEN", token)
            with pytest.raises(UnusableInput, match=f"expected the token of .*found {found};"):
                launch(instance, plan, address)
        monkeypatch.setenv("FR_ENSEMBLE_TOKEN", "0123456789abcdef")
        assert instance.get_backfill(launch(instance, plan, address)) is not None


def test_what_dagster_says_against_a_backfill_is_told(promoted: Home) -> None:
    with open_instance(promoted) as instance, web_server(promoted) as address:
        plan = plan_backfill(instance, promoted, [1, 44], None)
        with pytest.raises(OrchestrationFailure, match="refused the backfill: .*44"):
            request_backfill(plan, address)  # by itself, without its seed's being made known


def test_server_that_does_not_answer_is_one_sentence(promoted: Home) -> None:
    with web_server(promoted) as address:
        pass
    with open_instance(promoted) as instance:
        plan = plan_backfill(instance, promoted, [1], None)
        with pytest.raises(OrchestrationFailure, match="expected the web server of the home, foun"):
            launch(instance, plan, address)


def test_backfill_is_asked_for_by_asset_and_seed(tmp_path: Path) -> None:
    sha256 = "ab" * 32
    plan = BackfillPlan(Home.at(tmp_path), sha256, (1, 3, 6), judges=False)
    assert backfill_request(plan) == {
        "params": {
            "title": "seeds 1,3,6 of abababababab",
            "tags": [{"key": CORPUS_TAG, "value": sha256}],
            "partitionsByAssets": [
                {
                    "assetKey": {"path": ["loso_results"]},
                    "partitions": {
                        "ranges": [{"start": "1", "end": "1"}, {"start": "3", "end": "3"}]
                    },
                },
                {
                    "assetKey": {"path": ["study_results"]},
                    "partitions": {"ranges": [{"start": "6", "end": "6"}]},
                },
            ],
        }
    }
    judging = replace(plan, seeds=(0,), judges=True)
    asked = backfill_request(judging)["params"]["partitionsByAssets"]
    assert [one["assetKey"]["path"] for one in asked] == [
        *(["loso_results"], ["ensemble_verdict"], ["interval_calibration"]),
        *(["ensemble_members"], ["registry_candidate"]),
    ]
    assert all("partitions" not in one for one in asked[1:])


def test_progress_is_read_back_from_the_log() -> None:
    assert read_progress("seed 3: 40%") == ("seed 3", 40)
    assert read_progress("Finished execution of step") is None


# --- which corpus? --------------------------------------------------------------------------


def test_corpus_that_arrives_later_changes_nothing_for_a_run_asked_for_before(
    two_corpora: tuple[Home, str, str],
) -> None:
    """Queued before the newer corpus came: the older one is what was meant."""
    home, older, newer = two_corpora
    with open_instance(home) as instance:
        records = instance.fetch_materializations(dg.AssetKey("corpus"), limit=2).records
        between = (records[0].timestamp + records[1].timestamp) / 2
        assert newest_corpus(instance) == newer
        assert newest_corpus(instance, before=between) == older


def test_failure_of_dagsters_own_is_no_verdict(promoted: Home) -> None:
    with open_instance(promoted) as instance:
        plan = plan_backfill(instance, promoted, [8], None)
        with pytest.raises(OrchestrationFailure, match="seeds 8 are missing: no step failed"):
            conclude(plan, [])
