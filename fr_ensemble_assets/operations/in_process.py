"""Dagster's jobs in this process: no daemon, no server, everything in the UI afterwards."""

from __future__ import annotations

import contextlib
import importlib
import os
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fr_ensemble_assets.doors.workers import HOST_TAG, PROCESS_TAG, this_host
from fr_ensemble_assets.foundation.home import Home

if TYPE_CHECKING:
    import dagster as dg

    from fr_ensemble_assets.foundation.progress import Progress, StepReport
    from fr_ensemble_assets.training.executors import ExecutorChoice


def execute(
    instance: dg.DagsterInstance,
    home: Home,
    job: str,
    seeds: Sequence[int | str],
    progress: Progress,
    *,
    ops: Mapping[str, Any] | None = None,
    epochs: int | None = None,
    folds: int | None = None,
    executor: ExecutorChoice | None = None,
    assets: Sequence[str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> dg.ExecuteInProcessResult:
    """Run ``job`` over the range of ``seeds``, which is without gaps, and show its progress.

    A job that is partitioned otherwise gets the names of its partitions instead.

    Parameters
    ----------
    ops
        Configuration by the name of the asset.
    folds
        In how many groups sources are held out; ``None`` for one at a time.
    executor
        Where parts are trained; where the environment says, else threads of this process.
    assets
        Only these assets of the job.
    tags
        Besides those that every run of the command line has.
    """
    import dagster as dg

    from fr_ensemble_assets.definitions import build_definitions
    from fr_ensemble_assets.doors.dagster_internals import shown_as_of
    from fr_ensemble_assets.doors.home import HomeResource
    from fr_ensemble_assets.operations.serving.services import MODULE
    from fr_ensemble_assets.training.resources import ExecutorResource, RecipeResource

    recipe = {"folds": folds or 0} | ({} if epochs is None else {"epochs": epochs})
    definitions = build_definitions(
        home=HomeResource(str(home.root), str(home.local)),
        recipe=RecipeResource(**recipe),
        executor=None if executor is None else ExecutorResource.of(executor),
        watch=lambda _log: _ImportingAhead(progress),
    )
    quiet = {"console": {"config": {"log_level": "CRITICAL"}}}
    with shown_as_of(instance, MODULE, job):
        return definitions.resolve_job_def(job).execute_in_process(
            instance=instance,
            run_config={"ops": dict(ops or {}), "loggers": quiet},
            tags={
                "dagster/asset_partition_range_start": str(seeds[0]),
                "dagster/asset_partition_range_end": str(seeds[-1]),
                PROCESS_TAG: str(os.getpid()),
                HOST_TAG: this_host(),
                # The daemon must not take up a killed run: its command is simply typed again.
                "dagster/max_retries": "0",
                **(tags or {}),
            },
            asset_selection=None if assets is None else [dg.AssetKey(name) for name in assets],
            raise_on_error=False,
        )


def consecutive(seeds: Sequence[int]) -> list[list[int]]:
    """Cut seeds into ranges without gaps, as Dagster's partition ranges want them."""
    ranges: list[list[int]] = []
    for seed in sorted(set(seeds)):
        if ranges and ranges[-1][-1] == seed - 1:
            ranges[-1].append(seed)
        else:
            ranges.append([seed])
    return ranges


def name_seeds(seeds: Sequence[int]) -> str:
    """As one would type them: ``0-4,7``."""
    parts = consecutive(seeds)
    return ",".join(str(p[0]) if len(p) == 1 else f"{p[0]}-{p[-1]}" for p in parts)


class _ImportingAhead:
    """Progress that uses the time: imports what is slow to import and needed after training.

    Only once the first model is under way: then the kernel runs, and leaves Python's lock alone.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._idle = threading.Semaphore()  # taken once, by the first to report

    def report(self, name: str) -> StepReport:
        told = self._progress.report(name)

        def tell(done: int, total: int) -> None:
            if self._idle.acquire(blocking=False):
                threading.Thread(target=_import_ahead, daemon=True).start()
            told(done, total)

        return tell


#: Slow to import, and needed after training: for plots, intervals, members and their checks.
_NEEDED_LATER = (
    "matplotlib.backends.backend_agg",
    "scipy.interpolate",
    "scipy.special",
    "onnxruntime",
    "onnx.helper",
    "jsonschema",
    "pydantic",
)


def _import_ahead() -> None:
    for module in _NEEDED_LATER:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
