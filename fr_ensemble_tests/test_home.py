"""The home: opened by many at once, for its owner alone, with room, and nothing followed."""

from __future__ import annotations

import multiprocessing
import sqlite3
import subprocess
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.operations.instance import open_instance
from fr_ensemble_tests.platform import COMMAND


def command(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments, "--home", str(home)], capture_output=True, text=True, check=False
    )


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
    context.set_forkserver_preload(["dagster", "fr_ensemble_tests.test_home"])
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
