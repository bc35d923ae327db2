"""Dagster's storage on a real PostgreSQL, by one setting."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
from multiprocessing.synchronize import Barrier
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.launcher import RunLauncher

from fr_ensemble_assets.doors import workers
from fr_ensemble_assets.doors.dagster_internals import CheckRunHealthResult, WorkerStatus
from fr_ensemble_assets.doors.workers import HOST_TAG, PROCESS_TAG, this_host
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.operations.instance import close_dead_runs, open_instance
from fr_ensemble_assets.operations.status import status_of
from fr_ensemble_tests.cluster.services import Postgres, free_ports
from fr_ensemble_tests.conftest import Row, run_in, write_rows

pytestmark = pytest.mark.cluster


def settings_of(home: Home) -> dict[str, object]:
    told: dict[str, object] = yaml.safe_load((home.dagster / "dagster.yaml").read_text())
    return told


def test_one_setting_moves_everything_and_stays(
    postgres: Postgres, few_rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FR_ENSEMBLE_DATABASE", postgres.url)
    home = Home.at(tmp_path / "home")
    corpus = write_rows(tmp_path / "few.jsonl", few_rows)
    assert run_in(home, corpus, epochs=1).judgement.decision.verdict == "HOLD"
    assert not list(home.dagster.rglob("*.db"))
    assert (home.dagster / "dagster.yaml").stat().st_mode & 0o077 == 0
    monkeypatch.delenv("FR_ENSEMBLE_DATABASE")
    assert run_in(home, corpus, epochs=1).judgement.decision.verdict == "HOLD"
    with open_instance(home) as instance:
        runs = instance.get_runs()
        judged = [run.status.value for run in runs if run.job_name == "train_ensemble"]
        assert judged == ["FAILURE"] * 2
    # Another host, by its own folder, sees the same.
    monkeypatch.setenv("FR_ENSEMBLE_DATABASE", postgres.url)
    elsewhere = Home.at(tmp_path / "elsewhere")
    elsewhere.prepare()
    assert status_of(elsewhere).corpus_sha256 is not None


def test_a_home_that_is_there_gets_the_setting_and_keeps_the_others(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home.at(tmp_path / "home")
    home.prepare()
    file = home.dagster / "dagster.yaml"
    before = file.read_text().replace("max_retries: 2", "max_retries: 5")
    file.write_text(before)
    monkeypatch.setenv("FR_ENSEMBLE_DATABASE", postgres.url)
    home.prepare()
    told = settings_of(home)
    address = postgres.url.replace("postgresql://", "postgresql+psycopg2://")
    assert told.pop("storage") == {"postgres": {"postgres_url": address}}
    assert told == yaml.safe_load(before)
    changed = file.stat().st_mtime_ns
    home.prepare()
    assert file.stat().st_mtime_ns == changed


def open_at_once(root: str, start: Barrier) -> None:
    """What every command does first."""
    home = Home.at(root)
    start.wait()
    home.prepare()
    with open_instance(home) as instance:
        instance.get_runs()


@pytest.mark.parametrize("homes", [1, 20], ids=["one host", "twenty hosts"])
def test_twenty_first_commands_at_once_all_succeed(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, homes: int
) -> None:
    monkeypatch.setenv("FR_ENSEMBLE_DATABASE", postgres.url)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["dagster", "fr_ensemble_tests.cluster.test_database"])
    start = context.Barrier(20)
    at_once = [
        context.Process(
            target=set_and_open, args=(postgres.url, str(tmp_path / f"{n % homes}"), start)
        )
        for n in range(20)
    ]
    for process in at_once:
        process.start()
    for process in at_once:
        process.join()
    assert [process.exitcode for process in at_once] == [0] * 20
    with open_instance(Home.at(tmp_path / "0")) as instance:
        limits = {pool.name: pool.limit for pool in instance.event_log_storage.get_pool_limits()}
    assert limits == {"train": 1, "encode": 1}


def set_and_open(url: str, root: str, start: Barrier) -> None:
    """A fork server that is there already has the environment of the test before."""
    os.environ["FR_ENSEMBLE_DATABASE"] = url
    open_at_once(root, start)


def test_a_pool_limit_that_somebody_set_is_kept(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FR_ENSEMBLE_DATABASE", postgres.url)
    home = Home.at(tmp_path / "home")
    home.prepare()
    with open_instance(home) as instance:
        instance.event_log_storage.set_concurrency_slots("train", 3)
    for _ in range(2):
        with open_instance(home) as instance:
            limits = {p.name: p.limit for p in instance.event_log_storage.get_pool_limits()}
            assert limits == {"train": 3, "encode": 1}


# --- who lives ------------------------------------------------------------------------------------


class Cluster(RunLauncher):
    """A launcher whose workers are elsewhere; it says of them what a test wants."""

    says = WorkerStatus.RUNNING

    def launch_run(self, context: object) -> None: ...
    def terminate(self, run_id: str) -> bool:
        return not run_id

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        return CheckRunHealthResult(self.says, run.run_id)


@pytest.mark.parametrize(
    ("says", "closed"),
    [
        (WorkerStatus.RUNNING, 0),
        (WorkerStatus.UNKNOWN, 0),
        (WorkerStatus.FAILED, 1),
        (WorkerStatus.NOT_FOUND, 1),
    ],
)
def test_a_clusters_run_lives_as_its_launcher_says_whatever_pid_its_tags_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: WorkerStatus, closed: int
) -> None:
    home = Home.at(tmp_path / "home")
    home.prepare()
    with open_instance(home) as instance:
        launcher = Cluster()
        launcher.register_instance(instance)
        launcher.says = says
        monkeypatch.setattr(instance, "_run_launcher", launcher)
        gone = subprocess.Popen(["true"])
        gone.wait()
        # As a run of the command line that was executed again from the UI.
        tags = {HOST_TAG: this_host(), PROCESS_TAG: str(gone.pid)}
        run = instance.create_run_for_job(a_job(), tags=tags)
        report(instance, run, dg.DagsterEventType.PIPELINE_STARTING)
        report(instance, run, dg.DagsterEventType.PIPELINE_START)
        assert close_dead_runs(instance) == closed


@pytest.mark.parametrize(("lives", "says"), [(True, "RUNNING"), (False, "FAILED")])
def test_of_a_run_that_was_typed_the_cluster_is_not_asked(
    tmp_path: Path, lives: bool, says: str
) -> None:
    """It knows no job of that name, which the daemon would take for the run's end."""
    clusters = pytest.importorskip("fr_ensemble_assets.doors.clusters")
    home = Home.at(tmp_path / "home")
    home.prepare()
    gone = subprocess.Popen(["true"])
    gone.wait()
    with open_instance(home) as instance:
        launcher = clusters.ClusterRunLauncher(address=f"http://127.0.0.1:{free_ports(1)[0]}")
        launcher.register_instance(instance)
        tags = {HOST_TAG: this_host(), PROCESS_TAG: str(os.getpid() if lives else gone.pid)}
        run = instance.create_run_for_job(a_job(), tags=tags)
        report(instance, run, dg.DagsterEventType.PIPELINE_START)
        assert launcher.check_run_worker_health(run).status.value == says


def report(instance: dg.DagsterInstance, run: dg.DagsterRun, kind: dg.DagsterEventType) -> None:
    event = dg.DagsterEvent(event_type_value=kind.value, job_name=run.job_name)
    instance.report_dagster_event(event, run_id=run.run_id)


def a_job() -> dg.JobDefinition:
    @dg.op
    def nothing() -> None: ...

    @dg.job
    def nothing_to_do() -> None:
        nothing()

    return nothing_to_do


def test_runs_of_another_container_are_closed_only_where_nobody_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home.at(tmp_path / "home")
    home.prepare()
    with open_instance(home) as instance:
        tags = {HOST_TAG: this_host(), PROCESS_TAG: str(os.getpid())}
        run = instance.create_run_for_job(a_job(), tags=tags)
        report(instance, run, dg.DagsterEventType.PIPELINE_START)
        monkeypatch.setattr(workers, "_process_numbers", lambda: "/pid:[1]")
        assert close_dead_runs(instance) == 0
        assert close_dead_runs(instance, unattended=True) == 1


# --- a cluster -----------------------------------------------------------------------------------


def test_a_cluster_is_written_down_with_its_launcher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FR_ENSEMBLE_CLUSTER", "http://head:8265")
    home = Home.at(tmp_path / "home")
    home.prepare()
    told = settings_of(home)
    assert told["run_launcher"] == {
        "module": "fr_ensemble_assets.doors.clusters",
        "class": "ClusterRunLauncher",
        "config": {"ray": {"address": "http://head:8265", "num_cpus": 0}},
    }
    assert told["run_monitoring"]["enabled"]  # type: ignore[index]
    monkeypatch.setenv("FR_ENSEMBLE_CLUSTER", "head:8265")
    with pytest.raises(UnusableInput, match="expected the address of a Ray dashboard"):
        Home.at(tmp_path / "other").prepare()
