"""kill -9, for real: of a run, of each service, of everything in the midst of a backfill."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from upath import UPath

from fr_ensemble_assets.candidate.contents import CANDIDATE_FILES, DIGESTS_FILE, OPTIONAL_FILES
from fr_ensemble_assets.candidate.verify import verify_candidate
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.predictors.names import PREDICTOR_FILES
from fr_ensemble_tests.conftest import Row, run_chain, without_times, write_rows
from fr_ensemble_tests.platform import COMMAND, Platform, platform

pytestmark = pytest.mark.live

WORKER = "multiprocessing.spawn"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, bundled_rows: list[Row]) -> UPath:
    """Enough rows for training to take some ten seconds."""
    rows = [row for row in bundled_rows if row["frame_index"] % 2 == 0]
    return write_rows(tmp_path_factory.mktemp("corpus") / "corpus.jsonl", rows)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, corpus: UPath) -> UPath:
    """The candidate as it comes out when nothing is killed."""
    outcome = run_chain(tmp_path_factory.mktemp("undisturbed") / "home", corpus)
    assert outcome.candidate_dir is not None
    return outcome.candidate_dir


def assert_same_but_for_times(one: UPath, other: UPath) -> None:
    """The ensemble's own; a home in which nobody trained predictors has none, nor their digests."""
    for name in {*CANDIDATE_FILES, *OPTIONAL_FILES} - PREDICTOR_FILES - {DIGESTS_FILE}:
        assert without_times(Path(str(one / name))) == without_times(Path(str(other / name))), name


def results(home: Home) -> list[UPath]:
    return list(home.store.glob("*/loso-*/loso_seed?.json"))


def temporaries(home: Home) -> list[UPath]:
    return [path for path in home.root.rglob(".tmp-*") if "dagster" not in str(path)]


def candidate_of(served: Platform, home: Home) -> UPath:
    (found,) = served.wait_for(
        lambda: list(home.candidates.glob("[0-9a-f]*")), "a candidate is published", 300
    )
    served.wait_for(
        lambda: all(run["status"] in {"SUCCESS", "FAILURE"} for run in served.runs()),
        "all runs have ended",
    )
    return UPath(found)


def test_killed_run_and_killed_services_are_taken_up_again(
    tmp_path: Path, corpus: UPath, undisturbed: UPath
) -> None:
    home = Home.at(tmp_path / "home")
    home.prepare()
    with platform(tmp_path / "home") as served:
        shutil.copy(str(corpus), str(home.inbox))
        served.wait_for(lambda: results(home), "a first seed is done")
        served.kill(WORKER)
        served.kill("dagster api grpc")
        served.kill("dagster._daemon")
        served.kill("operations.front")
        served.wait_for(
            lambda: served.told().count("starting it again") == 3, "the services are back"
        )
        made = {path: path.stat().st_mtime_ns for path in results(home)}
        candidate = candidate_of(served, home)
        # The seeds that were done are the ones that stand: none was trained twice.
        assert made == {path: path.stat().st_mtime_ns for path in made}
        assert verify_candidate(candidate).problems == ()
        assert_same_but_for_times(candidate, undisturbed)
        assert [run["status"] for run in served.runs()] == ["SUCCESS", "FAILURE"]
        assert temporaries(home) == []


def test_backfill_survives_the_end_of_everything_and_a_restart(
    tmp_path: Path, undisturbed: UPath
) -> None:
    home = Home.at(tmp_path / "home")
    shutil.copytree(undisturbed.parent.parent, tmp_path / "home")
    for made in (*home.store.glob("*/loso-*"), home.candidates / undisturbed.name):
        shutil.rmtree(made)
    with platform(tmp_path / "home") as served:
        command = [COMMAND, "backfill", "--home", str(home.root)]
        backfill = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=sys.stderr, text=True)
        served.wait_for(lambda: results(home), "a first seed is done")
        served.process.kill()
        served.process.wait()
        before = len(served.processes())
        assert before > 0  # what a killed supervisor leaves
        served.start()
        assert f"ended {before} processes" in served.told()
        told, _ = backfill.communicate(timeout=300)
        assert backfill.returncode == 0
        assert "verdict: PROMOTE" in told
        candidate = candidate_of(served, home)
        assert_same_but_for_times(candidate, undisturbed)
        assert temporaries(home) == []
        assert served.stop() == 0
        assert served.processes() == []
