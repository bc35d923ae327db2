"""``python -m benchmarks.job``: what ``fr-ensemble run`` takes beyond training, and ``status``.

Each run has an empty home. Training is what the three steps take that train: leave-one-source-out,
the codecs' predictors, the members that ship. Everything else is start-up, plots, checks, the
candidate, Dagster's records, the end of the process.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import track

from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.operations.instance import open_instance

RUNS, STATUSES = 3, 5
TRAINING = ("loso_results", "predictor_results", "ensemble_members")


@dataclass(frozen=True)
class Job:
    """One run in an empty home, and the median ``status`` after it; seconds, and MB at the peak."""

    wall: float
    training: float
    cpu: float
    status_cpu: float
    peak_mb: float

    @property
    def beyond(self) -> float:
        return self.wall - self.training


def timed(command: str, home: Path) -> tuple[float, float, float]:
    """Wall and CPU seconds of ``fr-ensemble command`` in this home, and MB at its peak."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env["FR_ENSEMBLE_HOME"] = str(home)
    started = time.perf_counter()
    process = subprocess.Popen(
        [Path(sys.executable).with_name("fr-ensemble"), command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=env,
    )
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    assert os.waitstatus_to_exitcode(status) == 0, f"fr-ensemble {command} failed"
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def seconds_trained(home: Path) -> float:
    """How long the steps took that train, by Dagster's own records."""
    with open_instance(Home.at(str(home))) as instance:
        steps = [
            step
            for run in instance.get_runs()
            for step in instance.get_run_step_stats(run.run_id, list(TRAINING))
        ]
    assert {step.step_key for step in steps} == {*TRAINING}, "a step that trains is missing"
    return sum((step.end_time or 0.0) - (step.start_time or 0.0) for step in steps)


def one_job() -> Job:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        wall, cpu, peak = timed("run", home)
        status_cpu = statistics.median(timed("status", home)[1] for _ in range(STATUSES))
        return Job(wall, seconds_trained(home), cpu, status_cpu, peak)


def jobs(runs: int = RUNS) -> list[Job]:
    """After one that compiles what isn't yet, and isn't counted."""
    one_job()
    return [one_job() for _ in track(range(runs), "the whole job")]


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Median, and the range in brackets."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def rows(taken: Sequence[Job]) -> list[tuple[str, str]]:
    """What a page tells of them."""
    return [
        ("`fr-ensemble run` in an empty home, wall s", spread([j.wall for j in taken])),
        ("of which the steps that train", spread([j.training for j in taken])),
        ("**beyond training**", f"**{spread([j.beyond for j in taken])}**"),
        ("CPU s in all", spread([j.cpu for j in taken])),
        ("peak MB", spread([j.peak_mb for j in taken], 0)),
        ("`fr-ensemble status` afterwards, CPU s", spread([j.status_cpu for j in taken], 2)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    for name, value in rows(jobs(parser.parse_args().runs)):
        print(f"{name.replace('*', '').replace('`', '')}: {value.replace('*', '')}")


if __name__ == "__main__":
    main()
