"""What we use of Dagster that has no public name: here, each with its reason, and nowhere else.

A release of Dagster may move any of it, which is why ``pyproject.toml`` pins the minor version. A
test sees to it that no other module imports from a private one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg

# The marker of "this parameter is a resource", for classes whose fields no run's config may set:
# the public bases for resources make every field configurable.
from dagster._core.definitions.resource_annotation import TreatAsResourceParam

# What a launcher of runs says of a worker's health; the launcher itself is public.
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus

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
    "CheckRunHealthResult",
    "LaunchRunContext",
    "PartitionBackfill",
    "SensorInstigatorData",
    "TreatAsResourceParam",
    "UnresolvedAssetJobDefinition",
    "WorkerStatus",
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
