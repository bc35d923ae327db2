"""Runs of the queue as jobs of a cluster, records in PostgreSQL, files in S3: whatever dies, the
bytes are those of one machine, and no run stays at work."""

from __future__ import annotations

import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from upath import UPath

from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.doors.dagster_internals import DAEMON_MODULE
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.foundation.progress import Silent
from fr_ensemble_assets.operations.in_process import execute
from fr_ensemble_assets.operations.instance import open_instance
from fr_ensemble_tests.cluster.deployed import TOLD, Deployed, deployed
from fr_ensemble_tests.conftest import Row, copy_of, without_times, write_rows

pytest.importorskip("ray", reason="the extra fr-ensemble[cluster] isn't installed")
pytestmark = [pytest.mark.cluster, pytest.mark.slow]

#: So long a service is away, and so long the network.
_AWAY_S, _CUT_S = 4.0, 20.0
SERVING = ("platform", "head", "worker", "worker2", "database", "store")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Deployed]:
    with deployed(workers=2) as started:
        yield started


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, rows: list[Row]) -> UPath:
    return write_rows(tmp_path_factory.mktemp("corpus") / "rows.jsonl", rows)


@pytest.fixture(scope="module")
def alone(corpus: UPath, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What one machine makes of it."""
    folder = tmp_path_factory.mktemp("alone")
    home = Home.at(folder / "home")
    home.prepare()
    with open_instance(home) as instance:
        ops = {"corpus": {"config": {"path": str(corpus)}}}
        execute(instance, home, "train_ensemble", ENSEMBLE.units, Silent(), ops=ops)
    for name in ("store", "candidates"):
        copy_of(home.root / name, folder / "copy" / name)
    return told_in(folder / "copy")


@pytest.fixture(scope="module")
def arrived(cluster: Deployed, corpus: UPath) -> str:
    """The run that the corpus' arrival started."""
    cluster.put(Path(str(corpus)), "inbox/rows.jsonl")
    cluster.wait_for(cluster.runs, "the sensor has seen it")
    run_id = str(cluster.runs()[-1]["runId"])
    cluster.wait_for(cluster.all_ended, "the run has ended")
    return run_id


def told_in(folder: Path) -> dict[str, object]:
    """Everything but the times and where the corpus came from, by name."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        told = without_times(path)
        if isinstance(told, str):
            told = re.sub(r'"[^"]*/rows\.jsonl"', '"rows.jsonl"', told)
        found[str(path.relative_to(folder))] = told
    return found


def as_alone(cluster: Deployed, alone: dict[str, object], folder: Path) -> None:
    cluster.copy(folder)
    ours = told_in(folder)
    assert sorted(ours) == sorted(alone)
    assert [name for name in alone if ours[name] != alone[name]] == []


def test_an_arrival_becomes_the_candidate_that_one_machine_makes(
    cluster: Deployed, alone: dict[str, object], arrived: str, tmp_path: Path
) -> None:
    assert cluster.succeeded(arrived)
    as_alone(cluster, alone, tmp_path)
    asked = (
        "from ray.job_submission import JobSubmissionClient as C\n"
        "print([job.submission_id for job in C('http://head:8265').list_jobs()])"
    )
    jobs = cluster.topology.run("platform", ["python", "-c", asked]).stdout
    assert f"dagster-run-{arrived}" in jobs


def test_the_front_alone_is_found_from_outside_and_it_is_closed(cluster: Deployed) -> None:
    mutation = quote("mutation { reloadWorkspace { __typename } }")
    assert cluster.answer("/server_info") == 401
    token = TOLD["FR_ENSEMBLE_TOKEN"]
    cluster.wait_for(lambda: cluster.answer("/server_info", token) == 200, "Dagster answers")
    assert cluster.answer(f"/graphql?query={mutation}", token) == 405
    # Nothing leads from here to the hosts inside, nor from any host to anywhere else.
    here = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout
    inside = cluster.topology.hosts["head"].address.rpartition(".")[0]
    assert inside not in here
    routes = {host: cluster.topology.run(host, ["ip", "route"]).stdout for host in SERVING}
    assert [host for host in SERVING if "default" in routes[host]] == []
    assert [host for host in SERVING if "eth1" in routes[host]] == ["platform"]


def a_worker_dies(cluster: Deployed) -> Callable[[], None]:
    cluster.topology.kill("worker2")
    return lambda: cluster.start_again("worker2")


def the_head_dies(cluster: Deployed) -> Callable[[], None]:
    for host in ("head", "worker", "worker2"):  # workers end without a head, after a while
        cluster.topology.kill(host)
    time.sleep(_AWAY_S)
    cluster.start_again("head")
    cluster.start_again("worker", "worker2")
    return lambda: None


def the_daemon_dies(cluster: Deployed) -> Callable[[], None]:
    cluster.kill_process("platform", f"{DAEMON_MODULE} run")
    return lambda: None


def the_database_dies(cluster: Deployed) -> Callable[[], None]:
    cluster.topology.kill("database")
    time.sleep(_AWAY_S)
    cluster.start_again("database")
    return lambda: None


def the_store_dies(cluster: Deployed) -> Callable[[], None]:
    cluster.topology.kill("store")
    time.sleep(_AWAY_S)
    cluster.start_again("store")
    return lambda: None


def the_network_parts(cluster: Deployed) -> Callable[[], None]:
    """The head, on which the run is, from all others."""
    cluster.topology.cut("head")
    time.sleep(_CUT_S)
    cluster.topology.join("head")
    return lambda: None


@pytest.mark.parametrize(
    "disturb",
    [
        a_worker_dies,
        the_daemon_dies,
        the_database_dies,
        the_store_dies,
        the_network_parts,
        the_head_dies,
    ],
)
def test_whatever_dies_the_bytes_are_the_same_and_no_run_stays_at_work(
    cluster: Deployed,
    alone: dict[str, object],
    arrived: str,
    tmp_path: Path,
    disturb: Callable[[Deployed], Callable[[], None]],
) -> None:
    cluster.forget("store", "candidates")
    run_id = cluster.run_again(arrived)

    def trains() -> bool:
        return any("/parts_seed" in name or "/loso_seed" in name for name in cluster.lying("store"))

    cluster.wait_for(trains, "a part is finished")
    mend = disturb(cluster)
    cluster.wait_for(lambda: cluster.succeeded(run_id), "the run, or its retry, has succeeded")
    mend()
    cluster.wait_for(cluster.all_ended, "no run is at work")
    as_alone(cluster, alone, tmp_path)


def test_a_run_that_is_asked_for_when_the_database_is_back_starts(
    cluster: Deployed, arrived: str
) -> None:
    """No connection of before is used."""
    cluster.topology.kill("database")
    cluster.start_again("database")
    run_id = cluster.run_again(arrived)
    cluster.wait_for(lambda: cluster.succeeded(run_id), "the run has succeeded")
    cluster.wait_for(cluster.all_ended, "no run is at work")


def test_a_corpus_that_is_refused_is_told_by_the_platform(
    cluster: Deployed, few_rows: list[Row], tmp_path: Path
) -> None:
    corpus = write_rows(tmp_path / "few.jsonl", [{**row, "vmaf": 50.0} for row in few_rows])
    before = len(cluster.runs())
    cluster.put(Path(str(corpus)), "inbox/few.jsonl")
    cluster.wait_for(lambda: len(cluster.runs()) > before, "the sensor has seen it")
    cluster.wait_for(cluster.all_ended, "the run has ended")
    assert cluster.runs()[0]["status"] == "FAILURE"
    cluster.wait_for(lambda: "corpus check" in cluster.notices(), "the notice is written")


def test_a_hundred_runs_wait_and_one_at_a_time_is_at_work(
    cluster: Deployed, alone: dict[str, object], arrived: str, tmp_path: Path
) -> None:
    asked = [cluster.run_again(arrived) for _ in range(100)]

    def two_are_done() -> bool:
        statuses = Counter(run["status"] for run in cluster.runs() if run["runId"] in asked)
        assert statuses["STARTING"] + statuses["STARTED"] <= 1
        assert statuses["FAILURE"] == 0
        return statuses["SUCCESS"] >= 2

    cluster.wait_for(two_are_done, "two of a hundred runs are done")
    cluster.cancel(asked)
    cluster.wait_for(cluster.all_ended, "the others are cancelled")
    assert len({run["runId"] for run in cluster.runs()} & set(asked)) == 100
    as_alone(cluster, alone, tmp_path)
