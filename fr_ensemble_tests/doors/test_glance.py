"""A glance at Dagster's records says what Dagster says, or that it has to be asked."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from fr_ensemble_assets.definitions import defs
from fr_ensemble_assets.doors.glance import (
    EVENTS_DATABASE,
    RUN_ENDED,
    RUNS_DATABASE,
    Glance,
    glance_at,
)
from fr_ensemble_assets.doors.workers import HOST_TAG
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.foundation.orchestration import SETTINGS_FILE
from fr_ensemble_assets.operations.instance import open_instance
from fr_ensemble_assets.operations.records import records_of
from fr_ensemble_assets.operations.status import Records, status_of
from fr_ensemble_tests.conftest import Chain

OLDER, NEWER = "a" * 64, "b" * 64


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home in which runs made two corpora, one after the other."""
    made = Home.at(tmp_path / "home")
    made.prepare()
    for sha256 in (OLDER, NEWER):
        materialise(made, sha256)
    return made


def materialise(home: Home, sha256: str, name: str = "corpus") -> None:
    @dg.asset(name=name)
    def stub() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(data_version=dg.DataVersion(sha256))

    with open_instance(home) as instance:
        dg.materialize([stub], instance=instance)


def report(home: Home, version: str) -> None:
    """As anybody may report to Dagster what no run made."""
    tags = {"dagster/data_version": version}
    with open_instance(home) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("corpus", tags=tags))


def test_newest_corpus_of_a_run_is_seen_and_reported_ones_are_counted(home: Home) -> None:
    assert glance_at(home) == Glance(NEWER, 0, False)
    for version in (OLDER, "../../etc"):
        report(home, version)
    assert glance_at(home) == Glance(NEWER, 2, False)
    assert records_of(home) == Records(NEWER, 2, ())


def test_newest_planning_cells_are_seen_beside_the_corpus(home: Home) -> None:
    materialise(home, OLDER, "planning_corpus")
    assert glance_at(home) == Glance(NEWER, 0, False, OLDER)
    assert records_of(home) == Records(NEWER, 0, (), OLDER)


def test_home_that_was_opened_has_no_corpus_yet(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    home.prepare()
    assert glance_at(home) is None
    assert records_of(home) == Records(None, 0, ())
    assert glance_at(home) == Glance(None, 0, False)


def test_run_that_has_not_ended_is_at_work(home: Home) -> None:
    with open_instance(home) as instance:
        tags = {HOST_TAG: "elsewhere"}
        instance.create_run_for_job(defs.resolve_job_def("train_seeds"), tags=tags)
    # Dagster itself wants to know where a queued run came from.
    for status in set(dg.DagsterRunStatus) - {dg.DagsterRunStatus.QUEUED}:
        altered(home, RUNS_DATABASE, f"UPDATE runs SET status = '{status.value}' WHERE id = 3")
        glance, work = glance_at(home), records_of(home).work
        assert glance == Glance(NEWER, 0, at_work=status.value not in RUN_ENDED), status
        assert glance.at_work or not work
        assert status_of(home).work == work


def test_backfill_that_has_not_ended_is_at_work(home: Home) -> None:
    for number, status in enumerate(BulkActionStatus):
        backfill = PartitionBackfill(
            f"b{number}", status, from_failure=False, tags={}, backfill_timestamp=1.0
        )
        with open_instance(home) as instance:
            instance.add_backfill(backfill)
        glance, records = glance_at(home), records_of(home)
        assert glance == Glance(NEWER, 0, at_work=bool(records.work)), status
        with open_instance(home) as instance:
            instance.update_backfill(backfill.with_status(BulkActionStatus.FAILED))


def other_settings(home: Home) -> None:
    with (home.dagster / SETTINGS_FILE).open("a") as settings:
        settings.write("# mine\n")


def other_form(home: Home, database: str) -> None:
    altered(home, database, "UPDATE alembic_version SET version_num = 'upgraded'")


def no_tables(home: Home) -> None:
    (home.dagster / RUNS_DATABASE).write_bytes(b"")


def other_records(home: Home) -> None:
    altered(home, EVENTS_DATABASE, "UPDATE event_logs SET event = replace(event, 'tags', 'labels')")


def wiped(home: Home) -> None:
    with open_instance(home) as instance:
        instance.wipe_assets([dg.AssetKey("corpus")])


def altered(home: Home, database: str, statement: str) -> None:
    with closing(sqlite3.connect(home.dagster / database)) as connection, connection:
        connection.execute(statement)


@pytest.mark.parametrize(
    "doubt",
    [
        other_settings,
        lambda home: other_form(home, RUNS_DATABASE),
        lambda home: other_form(home, EVENTS_DATABASE),
        no_tables,
        other_records,
        wiped,
    ],
    ids=["settings", "form of runs", "form of events", "tables", "records", "wiped"],
)
def test_whatever_is_in_doubt_is_left_to_dagster(home: Home, doubt: Callable[[Home], None]) -> None:
    assert glance_at(home) is not None
    doubt(home)
    assert glance_at(home) is None


def test_status_imports_neither_dagster_nor_pandera(promoted_once: Chain) -> None:
    code = (
        "import sys; from fr_ensemble_assets.foundation.home import Home; "
        "from fr_ensemble_assets.operations.status import status_of; "
        f"found = status_of(Home.at({str(promoted_once[0])!r})); "
        "print(found.judgement.decision.verdict, [c.problems for c in found.candidates], "
        "[m for m in ('dagster', 'pandera', 'scipy', 'torch', 'matplotlib') if m in sys.modules])"
    )
    looked = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert looked.stdout == "PROMOTE [()] []\n"
