"""The home: opened by many at once, for its owner alone, with room, and nothing followed."""

from __future__ import annotations

import errno
import multiprocessing
import os
import sqlite3
import stat
import subprocess
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
import sqlalchemy
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    SensorInstigatorData,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._daemon.sensor import get_elapsed
from dagster._daemon.types import DaemonHeartbeat
from upath import UPath

from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.files import temporary_name
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.foundation.progress import Silent
from fr_ensemble_assets.foundation.trouble import StorageTrouble, trouble_behind
from fr_ensemble_assets.operations.backfill import daemon_lives
from fr_ensemble_assets.operations.clean import list_stores
from fr_ensemble_assets.operations.instance import close_dead_runs, open_instance
from fr_ensemble_assets.operations.run import Plan, run_ensemble
from fr_ensemble_tests.conftest import Row, write_rows
from fr_ensemble_tests.platform import COMMAND


def command(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments, "--home", str(home)], capture_output=True, text=True, check=False
    )


def test_home_that_no_document_could_name_is_refused(tmp_path: Path) -> None:
    told = command(tmp_path / os.fsdecode(b"h\xff"), "status")
    assert (told.returncode, told.stderr.count("\n")) == (2, 1)
    assert "expected a home whose path is UTF-8" in told.stderr
    assert not list(tmp_path.iterdir())


def open_at_once(root: str, start: Barrier) -> None:
    """What every command does first."""
    home = Home.at(root)
    start.wait()
    home.prepare()
    with open_instance(home) as instance:
        instance.get_runs()


@pytest.mark.slow
def test_twenty_first_commands_at_once_all_succeed(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["dagster", "fr_ensemble_tests.foundation.test_home"])
    start = context.Barrier(20)
    at_once = [
        context.Process(target=open_at_once, args=(str(tmp_path / "home"), start))
        for _ in range(20)
    ]
    for process in at_once:
        process.start()
    for process in at_once:
        process.join()
    assert [process.exitcode for process in at_once] == [0] * 20


def test_home_that_was_broken_at_its_first_opening_is_told_with_the_way_out(
    tmp_path: Path,
) -> None:
    home = Home.at(tmp_path / "home")
    home.prepare()
    open_instance(home).dispose()
    database = tmp_path / "home" / "dagster" / "history" / "runs.db"
    with sqlite3.connect(database) as connection:
        connection.execute("INSERT INTO alembic_version VALUES ('5771160a95ad')")
    done = command(tmp_path / "home", "status")
    assert done.returncode == 2
    assert f"remove the folder {home.dagster} (results," in done.stderr
    assert len(done.stderr.splitlines()) == 1


# --- room --------------------------------------------------------------------------------------


def test_full_disk_is_told_before_work_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FR_ENSEMBLE_MIN_FREE_MB", str(10**9))
    for arguments in (["run"], ["backfill"], ["ui"]):
        done = command(tmp_path / "home", *arguments)
        assert done.returncode == 2
        assert "expected 1000000000 MB free for work to begin, found " in done.stderr
        assert len(done.stderr.strip().splitlines()) <= 2  # with the line that names the home
    assert not (tmp_path / "home").exists()


def test_disk_that_fills_up_under_work_is_told_in_one_sentence(
    tmp_path: Path, few_rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan(
        Home.at(tmp_path / "home"),
        corpus=str(write_rows(tmp_path / "corpus.jsonl", few_rows)),
        seeds=(0,),
        epochs=1,
        force=False,
    )

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    plan.home.prepare()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageTrouble, match="the disk is full, free some space, then type"):
            run_ensemble(plan, Silent())
    assert [file for file in home_files(plan.home.store) if ".tmp-" in file.name] == []
    assert run_ensemble(plan, Silent()).judgement.decision.verdict == "HOLD"


def test_trouble_of_a_database_is_told_without_its_sql(tmp_path: Path) -> None:
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'full.db'}")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("PRAGMA max_page_count = 2"))
        connection.execute(sqlalchemy.text("CREATE TABLE a (b)"))
        with pytest.raises(sqlalchemy.exc.OperationalError) as raised:
            connection.execute(sqlalchemy.text("INSERT INTO a VALUES (zeroblob(9999))"))
    wrapped = RuntimeError("Dagster's own")
    wrapped.__cause__ = raised.value
    told = str(trouble_behind(wrapped))
    assert "found 'database or disk is full': the disk is full, free some space" in told
    assert "INSERT" not in told
    assert trouble_behind(RuntimeError("database is locked in a talk about something else")) is None


def home_files(folder: UPath) -> list[Path]:
    return [file for file in Path(str(folder)).rglob("*") if file.is_file()]


# --- for whom, and what is not followed ----------------------------------------------------------


def test_new_home_is_its_owners_alone_and_an_old_one_stays_as_it_was(tmp_path: Path) -> None:
    private, shared = Home.at(tmp_path / "private"), Home.at(tmp_path / "shared")
    Path(str(shared.root)).mkdir(mode=0o750)
    Path(str(shared.store)).mkdir(mode=0o750)
    for home in (private, shared):
        home.prepare()
        store.put(home.store / "a" / "b.json", b"{}")
        store.publish(home.store / "c", {"d.json": b"{}"}, "d.json")
    everything = [private.root, *private.root.rglob("*")]
    assert {stat.S_IMODE(p.stat().st_mode) & 0o077 for p in everything} == {0}
    assert stat.S_IMODE(shared.store.stat().st_mode) == 0o750


def test_links_in_the_store_are_not_followed(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    home.prepare()
    store = Path(str(home.store)) / ("0" * 64)
    store.mkdir()
    (store / "corpus.parquet").write_bytes(b"12345")
    outside = tmp_path / temporary_name("outside").replace(str(os.getpid()), "4000000")
    outside.mkdir()
    for name in "abcdefgh":
        (store / name).symlink_to(".")  # eight: more ways than anybody waits for
    (store / "out").symlink_to(tmp_path)
    assert home.sweep() == 0
    (found,) = list_stores(home)
    assert found.size_bytes == 5
    assert outside.exists()


# --- the clock is set back ------------------------------------------------------------------------


def test_sensor_looks_and_daemon_is_missed_after_the_clock_was_set_back(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    home.prepare()
    later = time.time() + 86400
    with open_instance(home) as instance:
        data = SensorInstigatorData(later, cursor="kept", last_tick_start_timestamp=later)
        state = InstigatorState(origin(), InstigatorType.SENSOR, InstigatorStatus.RUNNING, data)
        instance.add_instigator_state(state)
        instance.add_daemon_heartbeat(DaemonHeartbeat(later, "BACKFILL", "an id", []))
        close_dead_runs(instance, unattended=True)
        (found,) = instance.all_instigator_state()
        assert get_elapsed(found) is None
        assert found.instigator_data.cursor == "kept"
        assert not daemon_lives(instance)


def origin() -> RemoteInstigatorOrigin:
    """Of a sensor, as the daemon writes it down."""
    code = InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="a"))
    return RemoteInstigatorOrigin(RemoteRepositoryOrigin(code, "repository"), "corpus_inbox")
