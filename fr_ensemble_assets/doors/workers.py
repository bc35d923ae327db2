"""Which process works on a run, and whether it still lives."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

#: By this tag a run of the command line names its process; Dagster's own runs tell it in an event.
PROCESS_TAG = "fr_ensemble/process"
#: A process that began this much later than its run has only inherited the number.
_SLACK_S = 60.0
#: Anybody who starts a run may set its tags.
_PROCESS = re.compile(r"[1-9][0-9]{0,8}")


class WatchedRunLauncher(DefaultRunLauncher):
    """Dagster's launcher of local processes, which can tell a dead one.

    With it the daemon notices runs whose process was killed, even while the daemon itself was
    down, marks them as failed and retries them. Named in ``dagster.yaml``.
    """

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the run's process runs on this machine."""
        if is_worked_on(self._instance, run):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, "its process is gone")


def is_worked_on(instance: DagsterInstance, run: DagsterRun, unknown: bool = True) -> bool:
    """Whether the process of ``run`` still runs; ``unknown`` where none was named yet."""
    import psutil

    process = _process_of(instance, run)
    if process is None:
        return unknown
    pid, named_at = process
    try:
        found = psutil.Process(pid)
        return bool(
            found.status() != psutil.STATUS_ZOMBIE and found.create_time() <= named_at + _SLACK_S
        )
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


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
