"""The launcher of runs as jobs of a Ray cluster; the extra ``fr-ensemble[cluster]``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dagster_ray import RayRunLauncher

from fr_ensemble_assets.doors.dagster_internals import CheckRunHealthResult
from fr_ensemble_assets.doors.workers import health_of, was_launched

if TYPE_CHECKING:
    from dagster import DagsterRun


class ClusterRunLauncher(RayRunLauncher):
    """dagster-ray's, which answers for the runs that it launched alone.

    A run that was typed works in a process of its own, on whatever host. Asked for its job, the
    cluster knows none, and the daemon would mark the run as failed. Named in ``dagster.yaml``.
    """

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """What the cluster says of its job; of a run that was typed, what is seen from here."""
        if not was_launched(self._instance, run):
            return health_of(self._instance, run)
        told: CheckRunHealthResult = super().check_run_worker_health(run)
        return told
