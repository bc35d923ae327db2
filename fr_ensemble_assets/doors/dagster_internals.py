"""What we use of Dagster that has no public name: here, each with its reason, and nowhere else.

A release of Dagster may move any of it, which is why ``pyproject.toml`` pins the minor version. A
test sees to it that no other module imports from a private one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import dagster as dg

# The marker of "this parameter is a resource", for classes whose fields no run's config may set:
# the public bases for resources make every field configurable.
from dagster._core.definitions.resource_annotation import TreatAsResourceParam

# What a launcher of runs says of a worker's health; the launcher itself is public.
from dagster._core.launcher import (
    CheckRunHealthResult,
    LaunchRunContext,
    RunLauncher,
    WorkerStatus,
)

# Tags that begin with it are kept and never shown: what a run's process is called helps nobody who
# reads a list of runs.
from dagster._core.storage.tags import HIDDEN_TAG_PREFIX

if TYPE_CHECKING:
    # Types of values that public methods return or take: of backfills, sensors' states, jobs.
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition,
    )
    from dagster._core.execution.backfill import PartitionBackfill
    from dagster._core.scheduler.instigation import SensorInstigatorData
    from dagster._core.workspace.context import WorkspaceProcessContext

__all__ = [
    "DAEMON_MODULE",
    "HIDDEN_TAG_PREFIX",
    "CheckRunHealthResult",
    "LaunchRunContext",
    "PartitionBackfill",
    "RunLauncher",
    "SensorInstigatorData",
    "TreatAsResourceParam",
    "UnresolvedAssetJobDefinition",
    "WorkerStatus",
    "shown_as_of",
    "workspace_context",
]

#: The daemon, for ``python -m``. Its public command is a script, which a virtual environment that
#: isn't active doesn't have on its path, and whose processes show no module's name.
DAEMON_MODULE = "dagster._daemon"


@contextmanager
def workspace_context(
    instance: dg.DagsterInstance, workspace: str
) -> Iterator[WorkspaceProcessContext]:
    """What Dagster's web application is made from, over the workspace file ``workspace``.

    Dagster's own command makes it so; there is no public way to serve the application by one's own
    means.
    """
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import WorkspaceFileTarget

    target = WorkspaceFileTarget(paths=[workspace])
    with WorkspaceProcessContext(
        instance, version=dg.__version__, workspace_load_target=target
    ) as context:
        yield context


@contextmanager
def shown_as_of(instance: dg.DagsterInstance, location: str, job: str) -> Iterator[None]:
    """Let runs of ``job`` that this process makes say that they belong to the code ``location``.

    By their origin Timeline, Jobs and the sensors of failed runs know them. Dagster gives none to
    what ``execute_in_process`` runs, and takes none there.
    """
    from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
    from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin

    known = RegisteredCodeLocationOrigin(location)
    origin = RemoteRepositoryOrigin(known, SINGLETON_REPOSITORY_NAME).get_job_origin(job)
    create = instance.create_run_for_job
    instance.create_run_for_job = partial(create, remote_job_origin=origin)  # type: ignore[method-assign]
    try:
        yield
    finally:
        instance.create_run_for_job = create  # type: ignore[method-assign]
