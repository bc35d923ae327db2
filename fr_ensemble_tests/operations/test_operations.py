"""Day to day: status, clean, failure notices, drift, and a home that is served once."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import Result
from typer.testing import CliRunner

from fr_ensemble_assets.candidate.drift import drift_of
from fr_ensemble_assets.cli.main import app
from fr_ensemble_assets.clips.ffmpeg import Children, Ffmpeg
from fr_ensemble_assets.clips.inventory import inventory_file, save_inventory, take_inventory
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.definitions import build_definitions, defs
from fr_ensemble_assets.doors.dagster_internals import WorkerStatus
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.doors.sensors import notice_of, verdict_of
from fr_ensemble_assets.doors.workers import (
    HOST_TAG,
    PROCESS_TAG,
    WatchedRunLauncher,
    Worker,
    this_host,
    worker_of,
)
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.foundation.notices import Notice, post_notice, write_notice
from fr_ensemble_assets.gate.previous import previous_verdict
from fr_ensemble_assets.operations.backfill import launch, plan_backfill
from fr_ensemble_assets.operations.clean import list_stores, remove_stores
from fr_ensemble_assets.operations.instance import close_dead_runs, open_instance
from fr_ensemble_assets.operations.serving.lock import served_at
from fr_ensemble_assets.operations.serving.services import MODULE
from fr_ensemble_assets.predictors.cell_store import CELLS_FILE
from fr_ensemble_assets.predictors.clip_cells import clip_cells_files
from fr_ensemble_tests.conftest import Chain, Row, run_chain, write_rows
from fr_ensemble_tests.video import MakeClip
from fr_ensemble_tests.web import web_server

ENSEMBLE_RUNS = dg.RunsFilter(job_name="train_ensemble")


def typed(command: str, home: Home, *arguments: str) -> Result:
    return CliRunner().invoke(app, [command, *arguments, "--home", str(home.root)])


@pytest.fixture
def overtaken(promoted: Home, shuffled_rows: list[Row], tmp_path: Path) -> Home:
    """A home with a candidate, in which a newer corpus was then held."""
    run_chain(Path(str(promoted.root)), write_rows(tmp_path / "newer.jsonl", shuffled_rows))
    return promoted


# --- runs of the command line stand among the others ----------------------------------------


def test_runs_of_the_command_line_belong_to_the_code_location_and_name_their_corpus(
    promoted: Home,
) -> None:
    """Timeline and Jobs list runs by their origin, and nothing else."""
    with open_instance(promoted) as instance:
        (run,) = instance.get_runs(ENSEMBLE_RUNS)
        label = {".dagster/repository": f"__repository__@{MODULE}"}
        labelled = {one.run_id for one in instance.get_runs(dg.RunsFilter(tags=label))}
        assert labelled == {one.run_id for one in instance.get_runs()}
    assert run.remote_job_origin is not None
    assert run.remote_job_origin.job_name == "train_ensemble"
    seen = {key: value for key, value in run.tags.items() if not key.startswith((".", "dagster/"))}
    assert seen == {"corpus": "corpus.jsonl"}


def test_a_promoted_run_is_told_in_a_line_and_a_held_one_is_not_told_twice(
    promoted: Home, held_once: Chain
) -> None:
    with open_instance(promoted) as instance:
        (run,) = instance.get_runs(ENSEMBLE_RUNS)
        told = verdict_of(instance, run)
        context = dg.build_run_status_sensor_context(
            "verdicts",
            instance.get_records_for_run(run.run_id).records[-1].event_log_entry.dagster_event,
            instance,
            run,
            resources={"home": HomeResource(str(promoted.root))},
        )
        build_definitions().get_sensor_def("verdicts")(context)
    assert told is not None
    assert f"train_ensemble {run.run_id[:8]}: PROMOTE of corpus.jsonl, mean PLCC 0.9" in told.text
    assert told.text in Path(str(promoted.verdicts_log)).read_text()
    with open_instance(Home.at(held_once[0])) as instance:
        (one,) = instance.get_runs(ENSEMBLE_RUNS)
        assert one.status is dg.DagsterRunStatus.FAILURE


# --- status ---------------------------------------------------------------------------------


def test_status_of_a_fresh_home_says_what_to_do(tmp_path: Path) -> None:
    told = typed("status", Home.at(tmp_path / "home"))
    assert told.exit_code == 0
    assert "corpus:    none yet: type fr-ensemble run, or put one into inbox/" in told.stdout
    assert "candidate: none" in told.stdout
    assert "served at: nowhere" in told.stdout


@pytest.mark.parametrize("command", ["status", "clean"])
def test_who_only_looks_makes_no_home(tmp_path: Path, command: str) -> None:
    told = typed(command, Home.at(tmp_path / "typo" / "home"))
    assert told.exit_code == 0
    assert list(tmp_path.iterdir()) == []
    if command == "status":
        assert f"no such home yet: there is no folder {tmp_path}/typo" in told.stdout


def test_a_window_of_forty_columns_gets_lines_instead_of_cut_tables(
    promoted: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "dumb")
    told = typed("status", promoted).stdout
    assert "…" not in told
    assert "seed 0, mean PLCC 0.9" in told


def test_status_while_it_trains_says_how_many_seeds_are_done(promoted: Home) -> None:
    (results,) = promoted.store.glob("*/loso-*")
    for seed in (0, 2, 4):
        (results / f"loso_seed{seed}.json").unlink()
    told = typed("status", promoted).stdout
    assert "verdict:   not judged yet: 2 of 5 seeds" in told
    assert "verdict: HOLD" not in told


def test_status_names_the_assets_of_a_run_that_has_no_job_of_ours(promoted: Home) -> None:
    job = build_definitions().resolve_implicit_global_asset_job_def()
    with open_instance(promoted) as instance:
        chosen = {dg.AssetKey("corpus"), dg.AssetKey("codec_block")}
        run = instance.create_run_for_job(
            job, asset_selection=chosen, status=dg.DagsterRunStatus.STARTED
        )
    status = json.loads(typed("status", promoted, "--json").stdout)
    assert status["work"] == [
        {"name": "run of codec_block, corpus", "state": "STARTED", "id": run.run_id}
    ]


def test_status_names_corpus_seeds_verdict_and_candidate(promoted: Home) -> None:
    told = typed("status", promoted, "--json")
    status = json.loads(told.stdout)
    (candidate,) = promoted.candidates.iterdir()
    assert status["seeds"] == [0, 1, 2, 3, 4]
    assert status["verdict"] == "PROMOTE"
    assert status["candidates"] == [{"folder": str(candidate), "current": True, "problems": []}]
    assert status["work"] == []
    assert "(verified)" in told.stderr


def test_status_judges_now_and_believes_no_file(promoted: Home) -> None:
    (results,) = promoted.store.glob("*/loso-*")
    (results / "loso_seed3.json").unlink()
    status = json.loads(typed("status", promoted, "--json").stdout)
    assert (results / "PROMOTE.json").exists()
    assert status["verdict"] == "HOLD"
    assert status["reasons"] == ["no results for seed 3"]


def test_status_shows_a_run_whose_process_is_gone(promoted: Home) -> None:
    with open_instance(promoted) as instance:
        run_id = stranded_run(instance)
    status = json.loads(typed("status", promoted, "--json").stdout)
    assert status["work"] == [{"name": "run of train_seeds", "state": "KILLED", "id": run_id}]


@pytest.mark.parametrize("damaged", ["loso_seed2.json", "corpus.parquet"])
def test_status_of_a_damaged_home_tells_the_damage_and_the_rest(
    promoted: Home, damaged: str
) -> None:
    (path,) = promoted.store.rglob(damaged)
    path.write_bytes(path.read_bytes()[:100])
    told = typed("status", promoted)
    assert told.exit_code == 0
    assert f"{damaged}" in told.stdout.split("damaged: ")[1]
    assert "(verified)" in told.stdout
    assert "at work:   nothing" in told.stdout


@pytest.mark.parametrize("settings", ["foo: [", "nosuch: 1"])
def test_broken_settings_are_one_sentence_that_names_the_file(
    promoted: Home, settings: str
) -> None:
    (promoted.dagster / "dagster.yaml").write_text(settings)
    told = typed("status", promoted)
    assert told.exit_code == 2
    assert "dagster.yaml: expected settings of Dagster" in told.stderr
    assert "Traceback" not in told.stderr


# --- clean ----------------------------------------------------------------------------------


def test_clean_keeps_what_a_candidate_or_the_current_corpus_needs(
    overtaken: Home, few_rows: list[Row], tmp_path: Path
) -> None:
    run_chain(Path(str(overtaken.root)), write_rows(tmp_path / "few.jsonl", few_rows), epochs=1)
    stores = [kept for kept in list_stores(overtaken) if kept.kind == "corpus"]
    kept_for = {kept.folder.name: kept.kept_for for kept in stores}
    assert sorted(kept_for.values()) == ["", "being the current corpus", "its candidate"]

    listed = typed("clean", overtaken)
    assert "unneeded:  1 of 4; --remove removes them" in listed.stdout
    assert len(list(overtaken.store.iterdir())) == 3

    removed = typed("clean", overtaken, "--remove")
    assert "removed:   1 of 4" in removed.stdout
    assert {folder.name for folder in overtaken.store.iterdir()} == {
        name for name, why in kept_for.items() if why
    }


def test_clean_offers_cells_that_no_candidate_and_no_clip_needs(promoted: Home) -> None:
    (needed,) = store.folders(promoted.planning)
    other = promoted.cells_dir("ab" * 32)
    for path in (other / CELLS_FILE, *clip_cells_files(promoted.clip_cells, "gone")):
        store.put(path, b"0123456789")
    told = {
        kept.folder.name: kept.kept_for for kept in list_stores(promoted) if kept.kind == "cells"
    }
    assert told == {needed.name: "its candidate", other.name: "", "clips": ""}
    removed = typed("clean", promoted, "--remove")
    assert "removed:   2 of 4" in removed.stdout
    assert [folder.name for folder in store.folders(promoted.planning)] == [needed.name, "clips"]
    assert store.names(promoted.clip_cells) == []


def test_clean_keeps_the_cells_of_clips_in_the_clips_folder(
    promoted: Home, ffmpeg: Ffmpeg, make_clip: MakeClip
) -> None:
    make_clip(promoted.clips / "here.mkv")
    with Children() as children:
        save_inventory(
            inventory_file(promoted),
            take_inventory(ffmpeg, children, [promoted.clips / "here.mkv"], None),
        )
    for src in ("here", "gone"):
        for path in clip_cells_files(promoted.clip_cells, src):
            store.put(path, b"0123456789")
    typed("clean", promoted, "--remove")
    assert store.names(promoted.clip_cells) == ["here.csv.gz", "here.json"]


def test_clean_removes_nothing_while_a_run_is_at_work(overtaken: Home) -> None:
    with open_instance(overtaken) as instance:
        instance.create_run_for_job(
            defs.resolve_job_def("list_clips"),
            status=dg.DagsterRunStatus.STARTED,
            tags={PROCESS_TAG: str(os.getpid())},
        )
    with pytest.raises(UnusableInput, match="expected no run or backfill at work, found 1"):
        remove_stores(overtaken, list_stores(overtaken))
    assert len(list(overtaken.store.iterdir())) == 2


def test_clean_removes_nothing_while_a_backfill_is_asked_for(overtaken: Home) -> None:
    """Nothing of it runs yet: the daemon takes half a minute to look."""
    with open_instance(overtaken) as instance, web_server(overtaken) as address:
        launch(instance, plan_backfill(instance, overtaken, [30], None), address)
    with pytest.raises(UnusableInput, match="expected no run or backfill at work, found 1"):
        remove_stores(overtaken, list_stores(overtaken))
    (work,) = json.loads(typed("status", overtaken, "--json").stdout)["work"]
    assert work["name"].startswith("backfill of seeds 30 of ")
    assert work["state"] == "REQUESTED"


# --- dead runs ------------------------------------------------------------------------------


def stranded_run(instance: dg.DagsterInstance, host: str | None = None) -> str:
    """A run that Dagster believes at work, by a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    run = instance.create_run_for_job(
        defs.resolve_job_def("train_seeds"),
        status=dg.DagsterRunStatus.STARTED,
        tags={PROCESS_TAG: str(ended.pid), HOST_TAG: host or this_host()},
    )
    return run.run_id


def test_run_of_a_killed_process_is_told_from_one_at_work(promoted: Home) -> None:
    with open_instance(promoted) as instance:
        dead = instance.get_run_by_id(stranded_run(instance))
        alive = instance.create_run_for_job(
            defs.resolve_job_def("train_seeds"),
            status=dg.DagsterRunStatus.STARTED,
            tags={PROCESS_TAG: str(os.getpid())},
        )
        assert dead is not None
        assert worker_of(instance, dead) is Worker.GONE
        assert worker_of(instance, alive) is Worker.ALIVE
        assert close_dead_runs(instance) == 1
        closed = instance.get_run_by_id(dead.run_id)
        assert closed is not None
        assert closed.status is dg.DagsterRunStatus.FAILURE


def test_run_of_another_host_is_never_declared_dead(promoted: Home) -> None:
    """Its process can't be seen from here, and a number like its own says nothing."""
    with open_instance(promoted) as instance:
        run_id = stranded_run(instance, host="elsewhere")
        run = instance.get_run_by_id(run_id)
        assert run is not None
        assert worker_of(instance, run) is Worker.ELSEWHERE
        launcher = instance.run_launcher
        assert isinstance(launcher, WatchedRunLauncher)
        assert launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
        assert close_dead_runs(instance) == 0
        assert close_dead_runs(instance, unattended=True) == 0
    status = json.loads(typed("status", promoted, "--json").stdout)
    assert status["work"] == [{"name": "run of train_seeds", "state": "STARTED", "id": run_id}]


def test_run_that_names_no_process_is_dead_only_where_nothing_serves_its_host(
    promoted: Home,
) -> None:
    with open_instance(promoted) as instance:
        for host in (this_host(), "elsewhere"):
            instance.create_run_for_job(
                defs.resolve_job_def("train_seeds"),
                status=dg.DagsterRunStatus.STARTING,
                tags={HOST_TAG: host},
            )
        assert close_dead_runs(instance) == 0
        assert close_dead_runs(instance, unattended=True) == 1
        (left,) = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTING]))
        assert left.tags[HOST_TAG] == "elsewhere"


def test_every_run_names_its_host(promoted: Home) -> None:
    with open_instance(promoted) as instance:
        assert {run.tags.get(HOST_TAG) for run in instance.get_runs()} == {this_host()}


# --- drift ----------------------------------------------------------------------------------


def test_candidate_that_stands_has_not_drifted(promoted: Home, promoted_once: Chain) -> None:
    sha256 = promoted_once[1].corpus_sha256
    assert drift_of(promoted, sha256, sha256, ENSEMBLE).sentences == ()


def test_newer_corpus_overtakes_a_candidate_and_alters_nothing(
    overtaken: Home, promoted_once: Chain
) -> None:
    (held,) = (p.parent.parent.name for p in overtaken.store.glob("*/loso-*/HOLD.json"))
    drift = drift_of(overtaken, promoted_once[1].corpus_sha256, held, ENSEMBLE)
    assert drift.altered == ()
    assert drift.overtaken == f"the current corpus is {held}, verdict: HOLD"


@pytest.mark.parametrize(
    ("altered", "told"),
    [
        ("corpus.parquet", "corpus.parquet: expected"),
        ("loso_seed2.json", "loso_seed2.json"),
        ("loso_seed2_predictions.parquet", "seed 2"),
        ("PROMOTE.json", "PROMOTE.json"),
    ],
)
def test_what_changes_beneath_a_candidate_is_drift(
    promoted: Home, promoted_once: Chain, altered: str, told: str
) -> None:
    (path,) = promoted.store.rglob(altered)
    path.write_bytes(path.read_bytes().replace(b"1", b"2"))
    sha256 = promoted_once[1].corpus_sha256
    drift = drift_of(promoted, sha256, sha256, ENSEMBLE)
    assert any(told in sentence for sentence in drift.altered), drift.altered


def test_schedule_is_off_and_its_job_reports_drift_as_a_check(overtaken: Home) -> None:
    definitions = build_definitions(home=HomeResource(path=str(overtaken.root)))
    schedule = definitions.resolve_schedule_def("reverify_candidate")
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    with open_instance(overtaken) as instance:
        result = definitions.resolve_job_def(schedule.job_name).execute_in_process(
            instance=instance
        )
    found = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert result.success
    assert found["digests"].passed
    assert found["registry_schema"].passed
    assert not found["drift"].passed
    assert found["drift"].severity is dg.AssetCheckSeverity.WARN


# --- what changed since the last corpus -----------------------------------------------------


def test_previous_verdict_is_the_newest_of_another_corpus(
    overtaken: Home, promoted_once: Chain
) -> None:
    outcome = promoted_once[1]
    (held,) = (p.parent.parent.name for p in overtaken.store.glob("*/loso-*/HOLD.json"))
    previous = previous_verdict(overtaken, held, ENSEMBLE)
    assert previous is not None
    assert (previous.corpus_sha256, previous.verdict) == (outcome.corpus_sha256, "PROMOTE")
    assert previous.mean_plcc == outcome.judgement.decision.mean_plcc


def test_damaged_verdict_of_another_corpus_is_no_previous_one(
    promoted: Home, promoted_once: Chain
) -> None:
    other = promoted.store / ("f" * 64) / ENSEMBLE.folder
    other.mkdir(parents=True)
    sha256 = promoted_once[1].corpus_sha256
    for damage in ("", "[]", "{}", '{"dry_run": false, "gate": {"mean_plcc": 1}}'):
        (other / "PROMOTE.json").write_text(damage)
        assert previous_verdict(promoted, sha256, ENSEMBLE) is None


# --- failure notices ------------------------------------------------------------------------

NOTICE = Notice("train_ensemble ab failed: no\nreason", "train_ensemble", "abc", ("no\nreason",))


@contextmanager
def webhook(status: int = 200, location: str = "") -> Iterator[tuple[str, list[Any]]]:
    """A web server that keeps what it is told."""
    told: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.end_headers()

        def do_GET(self) -> None:
            told.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", told
    server.shutdown()


def test_notice_is_one_line_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "failures.log"
    write_notice(log, NOTICE)
    write_notice(log, NOTICE)
    lines = log.read_text().splitlines()
    assert len(lines) == 2
    assert lines[0].endswith("train_ensemble ab failed: no reason")


def test_webhook_gets_the_notice_as_json() -> None:
    with webhook() as (address, told):
        post_notice(address, NOTICE)
    assert told == [
        {
            "text": NOTICE.text,
            "job": "train_ensemble",
            "run_id": "abc",
            "reasons": ["no\nreason"],
        }
    ]


def test_webhook_that_refuses_is_one_sentence() -> None:
    with webhook(500) as (address, _), pytest.raises(UnusableInput, match="expected it to accept"):
        post_notice(address, NOTICE)
    with pytest.raises(UnusableInput, match="expected an http"):
        post_notice("file:///etc/passwd", NOTICE)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_webhook_that_sends_elsewhere_is_not_followed(status: int) -> None:
    with (
        webhook() as (elsewhere, told),
        webhook(status, elsewhere) as (address, _),
        pytest.raises(
            UnusableInput, match=f"expected it to accept a POST, found 'HTTP Error {status}"
        ),
    ):
        post_notice(address, NOTICE)
    assert told == []


def test_notice_of_a_hold_gives_the_gates_figures(held: Home) -> None:
    with open_instance(held) as instance:
        (run,) = instance.get_runs(dg.RunsFilter(job_name="train_ensemble"))
        notice = notice_of(instance, run, None)
    assert any(r.startswith("ensemble_verdict: mean_plcc: ") for r in notice.reasons)
    begun = f"train_ensemble {run.run_id[:8]} ended with HOLD: ensemble_verdict"
    assert notice.text.startswith(begun)


def test_notice_of_a_run_of_dagsters_own_job_names_its_assets() -> None:
    chosen = frozenset({dg.AssetKey("loso_results")})
    run = dg.DagsterRun("__ASSET_JOB", "0123456789", asset_selection=chosen)
    with dg.DagsterInstance.ephemeral() as instance:
        notice = notice_of(instance, run, "Steps failed")
    assert notice.text == "loso_results 01234567 failed: Steps failed"


def test_notice_of_a_bad_corpus_gives_the_readers_sentence(
    tmp_path: Path, few_rows: list[Row]
) -> None:
    bad = write_rows(tmp_path / "bad.jsonl", [{**few_rows[0], "vmaf": 101.0}, *few_rows[1:]])
    with pytest.raises(UnusableInput):
        run_chain(tmp_path / "home", bad)
    with open_instance(Home.at(tmp_path / "home")) as instance:
        (run,) = instance.get_runs()
        (reason,) = notice_of(instance, run, "Steps failed").reasons
    assert "bad.jsonl line 1: expected column 'vmaf'" in reason


# --- serving --------------------------------------------------------------------------------


def test_home_that_nobody_serves_has_no_address(promoted: Home) -> None:
    assert served_at(promoted) is None


def test_taken_port_is_one_sentence(promoted: Home) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        told = typed("ui", promoted, "--port", port)
    assert told.exit_code == 2
    assert f"--port {port}: expected a free port" in told.stderr


def test_code_that_can_not_be_loaded_is_told_with_its_last_words(
    promoted: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fr_ensemble_assets.operations.serving.services.MODULE", "no.such.module")
    told = typed("ui", promoted, "--port", str(free_port()))
    assert told.exit_code == 2
    assert "the code server: expected that it listens" in told.stderr
    assert "No module named 'no'" in told.stderr


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_copy_of_a_home_serves_nothing(promoted: Home, tmp_path: Path) -> None:
    shutil.copytree(str(promoted.root), tmp_path / "copy")
    assert served_at(Home.at(tmp_path / "copy")) is None
