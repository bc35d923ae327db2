"""A run on a Ray cluster whose nodes die: the bytes of one machine, and nothing trained twice."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.operations.instance import open_instance
from fr_ensemble_tests.conftest import Row, write_rows
from fr_ensemble_tests.training.lab import HEAD, ROOT, WORKERS, Lab, lab, wait_for

pytest.importorskip("ray", reason="the extra fr-ensemble[cluster] isn't installed")
pytestmark = pytest.mark.cluster

#: Of all seeds and six sources: 30 parts, long enough to be killed in the midst of them.
EPOCHS = "1000"
#: Of a processor whose last bits differ.
OTHER_KIND = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "+sse2"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Lab]:
    with lab() as built:
        yield built


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, rows: list[Row]) -> Path:
    return Path(str(write_rows(tmp_path_factory.mktemp("corpus") / "rows.jsonl", rows)))


@pytest.fixture(scope="module")
def alone(cluster: Lab, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of one machine."""
    home = tmp_path_factory.mktemp("alone")
    cluster.command("run", "--corpus", str(corpus), "--epochs", EPOCHS, "--home", str(home))
    return results(home)


def asked(corpus: Path, home: Path, cluster: Lab) -> list[str]:
    told = ["run", "--corpus", str(corpus), "--epochs", EPOCHS, "--home", str(home)]
    return [*told, "--executor", cluster.address]


def results(home: Path) -> Path:
    (folder,) = home.glob("store/*/loso-*")
    return folder


def parts(home: Path) -> list[Path]:
    return list(home.glob("store/*/loso-*/parts_seed*/*.json"))


def results_of(folder: Path) -> dict[str, Any]:
    """Everything but the seconds that it took."""
    predictions = {p.name: p.read_bytes() for p in folder.glob("*_predictions.parquet")}
    told = {p.name: json.loads(p.read_text()) for p in folder.glob("loso_seed?.json")}
    assert len(told) == len(predictions) == 5
    return predictions | {n: {**t, "wall_time_s": 0} for n, t in told.items()}


def kept_of(home: Path) -> int:
    """How many parts the last run took as it found them, as the UI shows it."""
    import dagster as dg

    kept = 0
    with open_instance(Home.at(home)) as instance:
        for seed in range(5):
            (newest,) = instance.fetch_materializations(
                dg.AssetRecordsFilter(dg.AssetKey("loso_results"), asset_partitions=[str(seed)]),
                limit=1,
            ).records
            told = newest.asset_materialization
            assert told is not None
            kept += int(str(told.metadata["parts_kept"].value))
    return kept


def test_a_cluster_gives_the_bytes_of_one_machine(
    cluster: Lab, corpus: Path, alone: Path, tmp_path: Path
) -> None:
    done = cluster.command(*asked(corpus, tmp_path, cluster))
    assert done.returncode == 1, done.stderr  # a dry run
    assert re.search(r"seed 4: (25|50|75|100)%", done.stderr), "progress is told as locally"
    assert results_of(results(tmp_path)) == results_of(alone)
    assert parts(tmp_path) == [], "parts go once the results of their seed are whole"


def test_a_node_that_dies_takes_nothing_with_it(
    cluster: Lab, corpus: Path, alone: Path, tmp_path: Path
) -> None:
    with cluster.typed(*asked(corpus, tmp_path, cluster)) as process:
        wait_for(lambda: len(parts(tmp_path)) >= 2, "two parts are finished")
        cluster.kill(WORKERS[0])
        _, err = process.communicate(timeout=600)
    cluster.start_host(WORKERS[0])
    assert process.returncode == 1, err
    assert results_of(results(tmp_path)) == results_of(alone)


def test_after_the_heads_death_only_what_is_missing_is_trained(
    cluster: Lab, corpus: Path, alone: Path, tmp_path: Path
) -> None:
    with cluster.typed(*asked(corpus, tmp_path, cluster)) as process:
        wait_for(lambda: len(parts(tmp_path)) >= 3, "three parts are finished")
        cluster.kill(HEAD)
        _, err = process.communicate(timeout=600)
    assert process.returncode == 3, err
    (sentence,) = [line for line in err.splitlines() if line.startswith("error:")]
    assert "expected its head to answer, found it silent for 25 s" in sentence
    assert "Traceback" not in err
    found = len(parts(tmp_path))
    assert found >= 3
    cluster.restart()
    again = cluster.command(*asked(corpus, tmp_path, cluster))
    assert again.returncode == 1, again.stderr
    assert kept_of(tmp_path) == found
    assert results_of(results(tmp_path)) == results_of(alone)


def test_ctrl_c_frees_the_cluster(cluster: Lab, corpus: Path, tmp_path: Path) -> None:
    with cluster.typed(*asked(corpus, tmp_path, cluster)) as process:
        wait_for(lambda: len(parts(tmp_path)) >= 1, "a part is finished")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=200)
    assert process.returncode == 130, err
    told = "error: interrupted; finished work is kept, type the same command to go on."
    assert told in err.splitlines()
    wait_for(lambda: cluster.free_processors() == len(WORKERS), "nothing is at work")


@contextmanager
def started_as(cluster: Lab, **environment: str) -> Iterator[None]:
    """A worker as somebody else would start it, while the block runs."""
    cluster.kill(WORKERS[1])
    cluster.start_host(WORKERS[1], **environment)
    yield
    cluster.kill(WORKERS[1])
    cluster.start_host(WORKERS[1])


def test_a_node_that_joins_late_takes_up_the_work(
    cluster: Lab, corpus: Path, alone: Path, tmp_path: Path
) -> None:
    with begun_without_the_other(cluster, corpus, tmp_path) as process:
        cluster.start_host(WORKERS[1])
        _, err = process.communicate(timeout=600)
    assert process.returncode == 1, err
    assert results_of(results(tmp_path)) == results_of(alone)


def test_a_node_of_another_kind_that_joins_late_ends_the_run(
    cluster: Lab, corpus: Path, tmp_path: Path
) -> None:
    with begun_without_the_other(cluster, corpus, tmp_path) as process:
        cluster.start_host(WORKERS[1], **OTHER_KIND)
        _, err = process.communicate(timeout=600)
        cluster.kill(WORKERS[1])
        cluster.start_host(WORKERS[1])
    assert process.returncode == 2, err
    assert "expected every part from machines of one kind" in err
    assert "generic" in err


@contextmanager
def begun_without_the_other(
    cluster: Lab, corpus: Path, home: Path
) -> Iterator[subprocess.Popen[str]]:
    """A run whose only worker went; what is left of it is another's, who wasn't there before."""
    cluster.kill(WORKERS[1])
    with cluster.typed(*asked(corpus, home, cluster)) as process:
        wait_for(lambda: parts(home), "a part is finished")
        cluster.kill(WORKERS[0])
        yield process
    cluster.start_host(WORKERS[0])


def test_another_version_of_the_project_is_refused(
    cluster: Lab, corpus: Path, tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "fr_ensemble_assets", tmp_path / "other" / "fr_ensemble_assets")
    (tmp_path / "other" / "fr_ensemble_assets" / "more.py").write_text("")
    with started_as(cluster, PYTHONPATH=str(tmp_path / "other")):
        done = cluster.command(*asked(corpus, tmp_path / "home", cluster))
    assert done.returncode == 2, done.stderr
    assert "on every node as here, found" in done.stderr
    assert not (tmp_path / "home").exists()


def test_nodes_whose_last_bits_differ_are_refused(
    cluster: Lab, corpus: Path, tmp_path: Path
) -> None:
    with started_as(cluster, **OTHER_KIND):
        done = cluster.command(*asked(corpus, tmp_path / "home", cluster))
    assert done.returncode == 2, done.stderr
    assert "expected nodes of one kind" in done.stderr
    assert "generic" in done.stderr
    assert not (tmp_path / "home").exists()
