"""What Dagster knows of a home, from itself: the current corpus, and what is at work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fr_ensemble_assets.corpus.in_use import CELLS, newest_corpus, skipped_reports
from fr_ensemble_assets.doors.naming import work_of
from fr_ensemble_assets.doors.workers import Worker, worker_of
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.operations.instance import (
    open_instance,
    unfinished_backfills,
    unfinished_runs,
)
from fr_ensemble_assets.operations.status import Records, Work

if TYPE_CHECKING:
    import dagster as dg


def records_of(home: Home) -> Records:
    """Ask Dagster.

    Raises
    ------
    UnusableInput
        If the home can't be opened.
    """
    with open_instance(home) as instance:
        return Records(
            newest_corpus(instance),
            skipped_reports(instance),
            tuple(_work(instance)),
            newest_corpus(instance, kind=CELLS),
        )


def _work(instance: dg.DagsterInstance) -> list[Work]:
    backfills = [
        Work(f"backfill of {b.title or 'assets'}", b.status.value, b.backfill_id)
        for b in unfinished_backfills(instance)
    ]
    runs = [
        Work(f"run of {work_of(run)}", _state(instance, run), run.run_id)
        for run in unfinished_runs(instance)
    ]
    return backfills + runs


def _state(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    dead = run.status.value == "STARTED" and worker_of(instance, run) is Worker.GONE
    return "KILLED" if dead else run.status.value
