"""Which process works on a run, on which host, and whether it still lives."""

from __future__ import annotations

import contextlib
import platform
import re
import socket
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import dagster as dg

from fr_ensemble_assets.doors.dagster_internals import (
    HIDDEN_TAG_PREFIX,
    CheckRunHealthResult,
    WorkerStatus,
)

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

    from fr_ensemble_assets.doors.dagster_internals import LaunchRunContext, RunLauncher

#: By this tag a run of the command line names its process; Dagster's own runs tell it in an event.
PROCESS_TAG = f"{HIDDEN_TAG_PREFIX}fr_ensemble_process"
#: By this tag every run names the host that it works on, whose processes alone can be looked at.
HOST_TAG = f"{HIDDEN_TAG_PREFIX}fr_ensemble_host"
#: By this tag a run says in a name what it works on, for whoever reads a list of runs.
NAME_TAG = "corpus"
#: A process that began this much later than its run has only inherited the number.
_SLACK_S = 60.0
#: So long a cluster may take to answer at all.
_ANSWER_S = 4.0
#: How Linux calls the numbering of a machine's processes as a whole.
_ALL_PROCESSES = "pid:[4026531836]"
#: Anybody who starts a run may set its tags.
_PROCESS = re.compile(r"[1-9][0-9]{0,8}")


class Worker(Enum):
    """What is known of the process that works on a run."""

    ALIVE = "it runs on this host"
    GONE = "it ran on this host, and doesn't any more"
    UNNAMED = "none was named yet, as before a run has started"
    ELSEWHERE = "another host's, which can't be seen from here"
    BEFORE = "this host's, but of a container before this one"


class WatchedRunLauncher(dg.DefaultRunLauncher):
    """Dagster's launcher of local processes, which can tell a dead one.

    With it the daemon notices runs whose process was killed, even while the daemon itself was
    down, marks them as failed and retries them. Named in ``dagster.yaml``.
    """

    def launch_run(self, context: LaunchRunContext) -> None:
        """Name this host, then start a process for the run."""
        # Here, since a retry comes with the tags of the attempt before, on whatever host it was.
        self._instance.add_run_tags(context.dagster_run.run_id, {HOST_TAG: this_host()})
        super().launch_run(context)

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        return health_of(self._instance, run)


def health_of(instance: DagsterInstance, run: DagsterRun) -> CheckRunHealthResult:
    """For the daemon: whether the run's process is gone; else it is taken for running.

    Dagster fails runs of any status but RUNNING and SUCCESS, UNKNOWN included: what isn't known
    to be dead is no reason to give a run up.
    """
    if worker_of(instance, run) is Worker.GONE:
        return CheckRunHealthResult(WorkerStatus.FAILED, "its process is gone")
    return CheckRunHealthResult(WorkerStatus.RUNNING)


def this_host() -> str:
    """The name by which runs know this machine."""
    return f"{_node()}{_process_numbers()}"


def _node() -> str:
    return platform.node() or "localhost"


def _process_numbers() -> str:
    """Which processes are numbered with ours; empty outside containers, and where nobody says."""
    try:
        found = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
    return "" if found == _ALL_PROCESSES else f"/{found}"


def worker_of(instance: DagsterInstance, run: DagsterRun) -> Worker:
    """What is known of the process of ``run``; a run that names no host is taken for ours.

    Of a run that a cluster's launcher started, that launcher is asked, wherever we are: tags may be
    those of an attempt before, and processes are none of this host's.
    """
    import psutil

    if _is_a_clusters(instance, run):
        return _told_by_cluster(instance.run_launcher, run)
    host = run.tags.get(HOST_TAG, this_host())
    if host != this_host():
        return Worker.BEFORE if host.partition("/")[0] == _node() else Worker.ELSEWHERE
    process = _process_of(instance, run)
    if process is None:
        return Worker.UNNAMED
    pid, named_at = process
    try:
        now = psutil.Process(pid)
        lives = now.status() != psutil.STATUS_ZOMBIE and now.create_time() <= named_at + _SLACK_S
    except psutil.NoSuchProcess:
        return Worker.GONE
    except psutil.AccessDenied:
        return Worker.ALIVE
    return Worker.ALIVE if lives else Worker.GONE


def _is_a_clusters(instance: DagsterInstance, run: DagsterRun) -> bool:
    """Whether a launcher that isn't of this host started it."""
    launcher = instance.run_launcher
    if isinstance(launcher, dg.DefaultRunLauncher) or not launcher.supports_check_run_worker_health:
        return False
    return was_launched(instance, run)


def was_launched(instance: DagsterInstance, run: DagsterRun) -> bool:
    """Whether any launcher started it; one in the process of a command that was typed has none."""
    launched = dg.DagsterEventType.PIPELINE_STARTING
    return bool(instance.get_records_for_run(run.run_id, of_type=launched, limit=1).records)


def _told_by_cluster(launcher: RunLauncher, run: DagsterRun) -> Worker:
    """What the launcher says; who is out of reach says nothing, and may still be at work."""
    cluster = urlsplit(str(getattr(launcher, "address", "")))
    try:
        if cluster.hostname:  # Ray's client has more patience than whoever typed a command
            place = cluster.hostname, cluster.port or 80
            socket.create_connection(place, _ANSWER_S).close()
        found = launcher.check_run_worker_health(run)
    except (OSError, RuntimeError):
        return Worker.ELSEWHERE
    if found.status == WorkerStatus.RUNNING:
        return Worker.ALIVE
    return Worker.ELSEWHERE if found.status == WorkerStatus.UNKNOWN else Worker.GONE


def _process_of(instance: DagsterInstance, run: DagsterRun) -> tuple[int, float] | None:
    """The newest process that took the run, and when (seconds since 1970) it said so."""
    found = None
    events = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    for record in events.records:
        event = record.event_log_entry.get_dagster_event()
        pid = event.engine_event_data.metadata.get("pid")
        if pid is not None:
            with contextlib.suppress(TypeError, ValueError):
                found = int(str(pid.value)), record.timestamp
    if found is None and PROCESS_TAG in run.tags:
        started = instance.get_run_record_by_id(run.run_id)
        if started is not None and _PROCESS.fullmatch(run.tags[PROCESS_TAG]):
            return int(run.tags[PROCESS_TAG]), started.create_timestamp.timestamp()
    return found
