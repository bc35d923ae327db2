"""Dagster's records are written without a wait for the disk each, and none is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg

from fr_ensemble_assets.doors.glance import EVENTS_DATABASE
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.operations.instance import open_instance
from fr_ensemble_assets.operations.sqlite import idle

_RECORD_AND_DIE = """
import os, signal, sys
import dagster as dg
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.operations.instance import open_instance
instance = open_instance(Home.at(sys.argv[1]))
instance.report_runless_asset_event(dg.AssetMaterialization("seen"))
os.kill(os.getpid(), signal.SIGKILL)
"""


def log_of(home: Home) -> Path:
    return home.dagster / f"{EVENTS_DATABASE}-wal"


def test_the_log_stays_open_between_records_and_is_folded_back_at_the_end(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    home.prepare()
    with open_instance(home) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("seen"))
        assert log_of(home).exists(), "no connection of Dagster's is open now"
    idle.close()
    assert not log_of(home).exists()


def test_a_process_that_is_killed_loses_no_record(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    home.prepare()
    command = [sys.executable, "-c", _RECORD_AND_DIE, str(home.root)]
    done = subprocess.run(command, check=False, env=dict(os.environ))
    assert done.returncode == -signal.SIGKILL
    with open_instance(home) as instance:
        assert instance.get_latest_materialization_event(dg.AssetKey("seen")) is not None
