"""A home that can only be read: somebody else's, or on a disk that is mounted so."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fr_ensemble_assets.doors.glance import RUNS_DATABASE
from fr_ensemble_assets.foundation.home import Home


def typed_without_privileges(*arguments: str) -> subprocess.CompletedProcess[str]:
    """As somebody to whom modes of files apply; root's don't stop at them."""
    as_anybody = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    command = [str(Path(sys.executable).with_name("fr-ensemble")), *arguments]
    plain = [*(as_anybody if os.geteuid() == 0 else ()), *command]
    return subprocess.run(plain, capture_output=True, text=True, check=False)


@pytest.fixture
def read_only(promoted: Home) -> Iterator[Home]:
    folders = [Path(folder) for folder, _, _ in os.walk(str(promoted.root))]
    for folder in folders:
        folder.chmod(0o500)
    yield promoted
    for folder in folders:
        folder.chmod(0o700)


def test_status_tells_what_stands_in_a_home_that_can_only_be_read(read_only: Home) -> None:
    told = typed_without_privileges("status", "--home", str(read_only.root))
    assert told.returncode == 0, told.stderr
    assert "verdict: PROMOTE" in told.stdout
    assert "(verified)" in told.stdout
    assert "at work:   nothing" in told.stdout
    refused = typed_without_privileges("run", "--home", str(read_only.root))
    assert refused.returncode == 2
    assert "expected a home folder that can be written" in refused.stderr


def test_status_says_what_it_cant_tell_of_a_home_that_can_only_be_read(read_only: Home) -> None:
    runs = read_only.dagster / RUNS_DATABASE
    with closing(sqlite3.connect(runs)) as database, database:
        database.execute("UPDATE runs SET status = 'STARTED'")
    told = typed_without_privileges("status", "--home", str(read_only.root))
    assert "not told:  what is at work, though something is" in told.stdout
    assert "verdict: PROMOTE" in told.stdout
