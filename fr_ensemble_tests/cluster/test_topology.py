"""Runs of the queue as jobs of a cluster, records in PostgreSQL, files in S3: whatever dies, the
bytes are those of one machine, and no run stays at work."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest

from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS
from fr_ensemble_assets.doors.dagster_internals import DAEMON_MODULE
from fr_ensemble_assets.doors.workers import NAME_TAG
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.foundation.progress import Silent
from fr_ensemble_assets.operations.in_process import execute
from fr_ensemble_assets.operations.instance import open_instance
from fr_ensemble_tests.cluster.deployed import BUCKET, TOLD, WIDE, Deployed, deployed, told_by
from fr_ensemble_tests.conftest import Row, copy_of, without_times, write_rows
from fr_ensemble_tests.platform import COMMAND

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
def corpora(tmp_path_factory: pytest.TempPathFactory, rows: list[Row]) -> tuple[Path, Path]:
    """The bundled corpus, and the small one that is trained again while something dies."""
    folder = tmp_path_factory.mktemp("corpus")
    whole = Path(shutil.copy(str(BUNDLED_CORPUS), folder / "bundled.jsonl.gz"))
    return whole, Path(str(write_rows(folder / "rows.jsonl", rows)))


def trained_alone(corpus: Path, folder: Path) -> Home:
    """What one machine makes of it."""
    home = Home.at(folder / "home")
    home.prepare()
    with open_instance(home) as instance:
        ops = {"corpus": {"config": {"path": str(corpus)}}}
        execute(instance, home, "train_ensemble", ENSEMBLE.units, Silent(), ops=ops)
    return home


@pytest.fixture(scope="module")
def whole_alone(corpora: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Home:
    return trained_alone(corpora[0], tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def alone(
    corpora: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, object]:
    """What one machine makes of the small one, by name."""
    folder = tmp_path_factory.mktemp("small")
    return told_of(trained_alone(corpora[1], folder), folder / "copy")


@pytest.fixture(scope="module")
def arrivals(cluster: Deployed, corpora: tuple[Path, Path], few_rows: list[Row]) -> dict[str, str]:
    """The runs that two arrivals started, by name: the bundled corpus, and one without a target."""
    same = [{**row, "vmaf": 50.0} for row in few_rows]
    for file in (corpora[0], Path(str(write_rows(corpora[1].with_name("same.jsonl"), same)))):
        cluster.put(file, f"inbox/{file.name}")
    cluster.wait_for(lambda: len(cluster.runs()) == 2, "the sensor has seen both")
    runs = {told_by(run, NAME_TAG): str(run["runId"]) for run in cluster.runs()}
    cluster.wait_for(cluster.all_ended, "the runs have ended")
    return runs


def told_of(home: Home, folder: Path) -> dict[str, object]:
    for name in ("store", "candidates"):
        copy_of(home.root / name, folder / name)
    return told_in(folder)


def told_in(folder: Path) -> dict[str, object]:
    """Everything but the times and where the corpus came from, by name."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        told = without_times(path)
        if isinstance(told, str):
            told = re.sub(r'"[^"]*/(rows\.jsonl|bundled\.jsonl\.gz)"', r'"\1"', told)
        found[str(path.relative_to(folder))] = told
    return found


def as_alone(cluster: Deployed, alone: dict[str, object], folder: Path) -> None:
    cluster.copy(folder)
    ours = told_in(folder)
    assert sorted(ours) == sorted(alone)
    assert [name for name in alone if ours[name] != alone[name]] == []


def test_an_arrival_becomes_the_candidate_that_one_machine_makes(
    cluster: Deployed, whole_alone: Home, arrivals: dict[str, str], tmp_path: Path
) -> None:
    arrived = arrivals["bundled.jsonl.gz"]
    assert cluster.succeeded(arrived)
    as_alone(cluster, told_of(whole_alone, tmp_path / "alone"), tmp_path / "ours")
    asked = (
        "from ray.job_submission import JobSubmissionClient as C\n"
        "print([job.submission_id for job in C('http://head:8265').list_jobs()])"
    )
    jobs = cluster.topology.run("platform", ["python", "-c", asked]).stdout
    assert f"dagster-run-{arrived}" in jobs


def test_a_corpus_that_is_refused_is_told_by_the_platform(
    cluster: Deployed, arrivals: dict[str, str]
) -> None:
    assert cluster.statuses()[arrivals["same.jsonl"]] == "FAILURE"
    cluster.wait_for(lambda: "corpus check" in cluster.notices(), "the notice is written")


def test_typed_over_cluster_database_and_store_it_prints_what_one_machine_prints(
    cluster: Deployed, whole_alone: Home
) -> None:
    there = cluster.type("platform", "typed", "run", "--executor", "ray://head:10001")
    here = subprocess.run(
        [COMMAND, "run", "--home", str(whole_alone.root)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **WIDE},
    )
    assert (there.returncode, here.returncode) == (0, 0), there.stderr + here.stderr
    assert cluster.given_up() == [], "no job of the cluster tells of a run that was typed"
    assert len(printed(here.stdout)) > 15
    assert printed(there.stdout) == printed(here.stdout)


def printed(text: str) -> list[str]:
    """What a run prints, but for the seconds that it took and where things lie."""
    lines = re.sub(r"(?m)^(│ +\d+ │.*│) +\d* │$", r"\1", text).splitlines()
    return [line for line in lines if not re.match(r"\W*(results|candidate|look at)\b", line)]


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


def test_two_publishers_at_once_leave_one_whole_winner(
    cluster: Deployed, corpora: tuple[Path, Path], alone: dict[str, object], tmp_path: Path
) -> None:
    """Two whole runs of the same corpus over one home, typed on two hosts."""

    def publish(host: str) -> subprocess.CompletedProcess[str]:
        return cluster.type(host, "shared", "run", "--corpus", str(corpora[1]))

    with ThreadPoolExecutor() as at_once:
        ended = list(at_once.map(publish, ("worker", "worker2")))
    assert [done.returncode for done in ended] == [0, 0], [done.stderr for done in ended]
    assert cluster.given_up() == [], "no job of the cluster tells of a run that was typed"
    cluster.copy(tmp_path, f"{BUCKET}/shared")  # which verifies the candidate
    results = {name: told for name, told in alone.items() if name.startswith("store")}
    assert {name: told for name, told in told_in(tmp_path).items() if name in results} == results


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


def the_run_dies(cluster: Deployed) -> Callable[[], None]:
    """Whether it lives is asked of who launched it, by whoever asks on whatever host."""
    (run_id,) = (run["runId"] for run in cluster.runs() if run["status"] == "STARTED")
    cluster.kill_process("head", "/dagster api execute_run")
    cluster.wait_for(lambda: cluster.statuses()[run_id] == "FAILURE", "its end is noticed")
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
        the_run_dies,
        the_daemon_dies,
        the_database_dies,
        the_store_dies,
        the_network_parts,
        the_head_dies,
    ],
)
def test_whatever_dies_the_bytes_are_the_same_and_no_run_stays_at_work(
    cluster: Deployed,
    corpora: tuple[Path, Path],
    alone: dict[str, object],
    tmp_path: Path,
    disturb: Callable[[Deployed], Callable[[], None]],
) -> None:
    cluster.forget("store", "candidates")
    run_id = cluster.launch(corpora[1])
    cluster.wait_for_object("/parts_seed|/loso_seed")
    mend = disturb(cluster)
    cluster.wait_for(lambda: cluster.succeeded(run_id), "the run, or its retry, has succeeded")
    mend()
    cluster.wait_for(cluster.all_ended, "no run is at work")
    as_alone(cluster, alone, tmp_path)


def test_a_hundred_runs_wait_and_one_at_a_time_is_at_work(
    cluster: Deployed, corpora: tuple[Path, Path], alone: dict[str, object], tmp_path: Path
) -> None:
    """Asked for when the database is back: no connection of before is used."""
    cluster.topology.kill("database")
    cluster.start_again("database")
    asked = [cluster.launch(corpora[1]) for _ in range(100)]
    assert cluster.closed_as_dead("worker") == 0, "one of them lives, elsewhere"

    def one_is_done_and_one_at_work() -> bool:
        statuses = Counter(status for run, status in cluster.statuses().items() if run in asked)
        assert statuses["STARTING"] + statuses["STARTED"] <= 1
        assert statuses["FAILURE"] == 0
        return statuses["SUCCESS"] >= 1 and statuses["STARTED"] == 1

    cluster.wait_for(one_is_done_and_one_at_work, "one run is done, and the next at work")
    cluster.cancel(asked)
    cluster.wait_for(cluster.all_ended, "the others are cancelled")
    assert len(cluster.statuses().keys() & set(asked)) == 100
    as_alone(cluster, alone, tmp_path)
