"""Dagster's own records under a home: opened safely, cleared of the dead, asked who is there."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fr_ensemble_assets.doors.glance import BACKFILL_ENDED, EVENTS_DATABASE, RUNS_DATABASE
from fr_ensemble_assets.doors.workers import Worker, worker_of
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.foundation.orchestration import (
    SETTINGS_FILE,
    database_of,
    require_database,
)
from fr_ensemble_assets.operations import postgres
from fr_ensemble_assets.operations.sqlite import write_without_waiting

if TYPE_CHECKING:
    import dagster as dg

    from fr_ensemble_assets.doors.dagster_internals import PartitionBackfill, SensorInstigatorData


_UNFINISHED = frozenset({"QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING"})
#: Dagster's databases under its home, each with a stamp of the form that its tables have.
_DATABASES = (RUNS_DATABASE, EVENTS_DATABASE, "schedules/schedules.db")
_LOCK_FILE = "opening.lock"
#: An opening takes a second; a process that holds the lock for so long is stopped, or hangs.
_PATIENCE_S = 120.0


class OrchestrationFailure(Exception):
    """Dagster, or code of ours, failed in a way that says nothing about the input."""


def open_instance(home: Home) -> dg.DagsterInstance:
    """Dagster's instance under ``home``, its storage initialised.

    Processes that initialise one fresh SQLite home at once break it for good, so the first opening
    is done by one at a time. Later ones don't wait for each other. The same on PostgreSQL, where
    those who open it may be on many hosts.

    Raises
    ------
    UnusableInput
        If ``dagster.yaml`` or the databases can't be used.
    StorageTrouble
        If the database doesn't answer.
    """
    url = database_of(home.dagster)
    if url is not None:
        require_database(url)
    write_without_waiting()
    if _is_initialised(home) if url is None else postgres.is_initialised(url):
        return _open(home)
    with _alone(home) if url is None else postgres.alone(url):
        return _open(home)


def _open(home: Home) -> dg.DagsterInstance:
    import dagster as dg
    import yaml

    from fr_ensemble_assets.encodes.assets import ENCODING_POOL
    from fr_ensemble_assets.training.resources import TRAINING_POOL

    settings = home.dagster / SETTINGS_FILE
    try:
        instance = dg.DagsterInstance.from_config(str(home.dagster))
    except (yaml.YAMLError, dg.DagsterInvalidConfigError) as error:
        found = " ".join(str(error).split())[:300]
        raise UnusableInput(
            f"{settings}: expected settings of Dagster, found '{found}'; mend the file, or remove "
            "it to have ours again."
        ) from error
    instance.get_runs(limit=1)
    instance.all_asset_keys()
    instance.all_instigator_state()
    # A pool that was never used has no limit yet, and two first runs would start together. Read
    # first: Dagster tries to insert, and updates in the same transaction, which PostgreSQL refuses.
    limited = {pool.name: pool for pool in instance.event_log_storage.get_pool_limits()}
    default = instance.global_op_concurrency_default_limit
    for name in (ENCODING_POOL, TRAINING_POOL):
        pool = limited.get(name)
        if pool is None or (pool.from_default and pool.limit != default):
            _limit(instance, name)
    return instance


def _limit(instance: dg.DagsterInstance, pool: str) -> None:
    """Give a pool the default limit; of those who try at once one succeeds, which is enough."""
    import sqlalchemy.exc

    storage = instance.event_log_storage
    try:
        storage.initialize_concurrency_limit_to_default(pool)
    except sqlalchemy.exc.DBAPIError:
        if pool not in {limited.name for limited in storage.get_pool_limits()}:
            raise


def _is_initialised(home: Home) -> bool:
    """Whether every database has its stamp; Dagster gives it after it made the tables.

    Raises
    ------
    UnusableInput
        If one has two stamps: two processes, without our lock, initialised it at once.
    """
    counts = []
    for name in _DATABASES:
        path = home.dagster / name
        counts.append(_count_stamps(path))
        if counts[-1] > 1:
            raise UnusableInput(
                f"{path}: expected a database that one process made, found one that several made "
                f"at once, which can't be used; remove the folder {home.dagster} (results, "
                "candidates and the inbox lie beside it and stay) and type the command again."
            )
    return all(counts)


def _count_stamps(database: Path) -> int:
    if not database.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            (count,) = connection.execute("SELECT count(*) FROM alembic_version").fetchone()
    except sqlite3.Error:  # without tables yet, or being made now
        return 0
    return int(count)


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    import filelock

    path = home.dagster / _LOCK_FILE
    try:
        with filelock.FileLock(str(path), timeout=_PATIENCE_S):
            yield
    except filelock.Timeout:
        raise UnusableInput(
            f"{path}: expected this home to be opened for the first time within "
            f"{_PATIENCE_S:.0f} s, found another process at it all the time; end that process "
            "and type the command again."
        ) from None


def close_dead_runs(instance: dg.DagsterInstance, unattended: bool = False) -> int:
    """Mark runs whose process was killed as failed; Dagster would show them running for ever.

    Runs of another host, which may work on a home that both see, are left as they are; those of a
    cluster are asked of the launcher that started them.

    The daemon does the same by itself. Whoever starts a daemon calls this before: in its first
    moments the daemon may look at a backfill between its marking a run as failed and its noting
    that the run will be retried, and give the backfill up.

    Parameters
    ----------
    unattended
        Whether nothing serves the home now: runs that were about to start then never will, and
        sensors can be told to look again where the clock was set back.
    """
    import dagster as dg

    started, starting = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING
    at_work = instance.get_runs(dg.RunsFilter(statuses=[started, starting]))
    signs = {Worker.GONE}
    if unattended:
        signs |= {Worker.UNNAMED, Worker.BEFORE}
    dead = [run for run in at_work if worker_of(instance, run) in signs]
    for run in dead:
        instance.report_run_failed(run, "The process of this run was killed.")
    if unattended:
        _forget_ticks_to_come(instance)
    return len(dead)


def _forget_ticks_to_come(instance: dg.DagsterInstance) -> None:
    """Let sensors look again whose last look is to come: the clock was set back since.

    Dagster would wait until the clock is there again. What they remember is kept.
    """
    for state in instance.all_instigator_state():
        data = state.sensor_instigator_data
        if data is not None and any((at or 0) > time.time() for at in _last_ticks(data)):
            forgotten = data._replace(last_tick_timestamp=None, last_tick_start_timestamp=None)
            instance.update_instigator_state(state.with_data(forgotten))


def _last_ticks(data: SensorInstigatorData) -> tuple[float | None, float | None]:
    return data.last_tick_timestamp, data.last_tick_start_timestamp


def unfinished_runs(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Runs that wait or are at work, the newest first."""
    import dagster as dg

    statuses = [status for status in dg.DagsterRunStatus if status.value in _UNFINISHED]
    return list(instance.get_runs(dg.RunsFilter(statuses=statuses)))


def unfinished_backfills(instance: dg.DagsterInstance) -> list[PartitionBackfill]:
    """Backfills that wait or are at work, also where none of their runs is."""
    return [b for b in instance.get_backfills() if b.status.value not in BACKFILL_ENDED]


def daemon_silence_s(instance: dg.DagsterInstance) -> float:
    """Seconds since the daemon that runs backfills last said that it lives; infinite if never.

    A sign of life that is to come was given before the clock was set back: as good as an old one.
    """
    heartbeat = instance.get_daemon_heartbeats().get("BACKFILL")
    return abs(time.time() - heartbeat.timestamp) if heartbeat is not None else float("inf")
