"""What a thousand sources take: memory, bytes in Dagster's database, the share of preparing folds.

``.venv/bin/python -m benchmarks.scale [SOURCES] [ROWS] [GROUPS]`` makes a corpus of so many sources
(1000) and rows (200000) out of the bundled one, each row moved a little, and runs the chain over it
for one epoch, in a process of its own: a dry run, whose figures mean nothing. GROUPS (21) of 0
leave out one source at a time, which takes a quarter of an hour of one core. What 200 epochs would
cost is told beside it, from ``docs/benchmark.md``.

``… --read [SOURCES] [ROWS]`` (25000, 5000000) reads such a corpus and makes a fold of it ready, no
more: what is done before training, which then takes hours. The corpus takes 4 GB while it is made.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from upath import UPath

from fr_ensemble_assets.calibration.calibrate import calibrate
from fr_ensemble_assets.calibration.document import calibration_bytes
from fr_ensemble_assets.calibration.pooling import out_of_fold
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.contract.places import Places
from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS, read_corpus
from fr_ensemble_assets.corpus.store import load_corpus
from fr_ensemble_assets.evidence.measure import rows_by_source
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.gate.verdict import judge
from fr_ensemble_assets.loso.prepared import prepare
from fr_ensemble_assets.operations.instance import open_instance
from fr_ensemble_assets.training.cost import MICROSECONDS_A_ROW_AND_EPOCH, cost_told

_ASSETS = ("corpus", "loso_results", "ensemble_verdict")


def synthetic(sources: int, rows: int) -> pd.DataFrame:
    """Real rows under other names, features and frames; no two sources are alike."""
    frame = read_corpus(BUNDLED_CORPUS).corpus.frame
    chance = np.random.default_rng(0)
    made = frame.iloc[chance.integers(len(frame), size=rows)].reset_index(drop=True)
    made["src"] = [f"source-{number * sources // rows:05}" for number in range(rows)]
    made["frame_index"] = np.arange(rows)
    for name in ("motion2", "adm2", "vif_scale0"):
        made[name] = made[name] * chance.uniform(0.95, 1.0, rows)
    return made


def run(home: Path, corpus: Path, groups: int) -> tuple[float, float]:
    """Seconds of a core, and the most memory in MB."""
    command = "from fr_ensemble_assets.cli.main import main; main()"
    told = [*("run", "--corpus", str(corpus), "--home", str(home), "--epochs", "1", "--yes")]
    folds = ["--folds", str(groups)] if groups else []
    started = subprocess.Popen(
        [sys.executable, "-c", command, *told, *folds], stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(started.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 1, "a dry run is held"
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def largest_event(home: Home, asset: str) -> int:
    """Bytes of the metadata of its newest materialisation."""
    import dagster as dg

    with open_instance(home) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(asset))
        found = event.asset_materialization if event is not None else None
        return len(repr(found.metadata).encode()) if found is not None else 0


@dataclass(frozen=True)
class Scale:
    """What the chain took over a corpus of some size, one epoch.

    Attributes
    ----------
    cpu_s, peak_mb
        Of the whole command.
    events_kb
        The largest, by asset.
    results_kb
        Of a seed.
    share
        Of preparing a fold in training it for 200 epochs.
    """

    sources: int
    rows: int
    cpu_s: float
    peak_mb: float
    events_kb: dict[str, float]
    results_kb: float
    calibrate_s: float
    calibration_kb: float
    share: float


def measured(sources: int, rows: int, groups: int) -> Scale:
    """Run the chain over a corpus of this size."""
    with tempfile.TemporaryDirectory() as folder:
        path, home = Path(folder) / "corpus.parquet", Home.at(Path(folder) / "home")
        synthetic(sources, rows).to_parquet(path)
        seconds, peak = run(home.local, path, groups)
        contract = ENSEMBLE.under(epochs=1).grouped(groups or None)
        (stored,) = home.store.iterdir()
        corpus = load_corpus(home, stored.name)
        results = Places(home, contract, corpus.sha256).results
        started = time.perf_counter()
        calibration = calibrate(
            corpus, out_of_fold(corpus, judge(results, corpus, contract).results)
        )
        return Scale(
            sources,
            rows,
            seconds,
            peak,
            {asset: largest_event(home, asset) / 1024 for asset in _ASSETS},
            (results / "loso_seed0.json").stat().st_size / 1024,
            time.perf_counter() - started,
            len(calibration_bytes(calibration)) / 1024,
            share(corpus),
        )


def scale_table(found: Scale) -> Table:
    table = Table(f"{found.sources:,} sources, {found.rows:,} rows, one epoch", "")
    table.add_row("run, seconds of a core", f"{found.cpu_s:.0f}")
    table.add_row("run, most memory, MB", f"{found.peak_mb:.0f}")
    for asset, size in found.events_kb.items():
        table.add_row(f"event of {asset}, KB", f"{size:.0f}")
    table.add_row("results of a seed, KB", f"{found.results_kb:.0f}")
    table.add_row("calibrate, s", f"{found.calibrate_s:.1f}")
    table.add_row("calibration.json, KB", f"{found.calibration_kb:.0f}")
    table.add_row("preparing a fold, share of its training", f"{found.share:.2%}")
    return table


def read_table(sources: int, rows: int) -> Table:
    """What reading takes, and making a fold ready, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "corpus.parquet"
        making = [sys.executable, "-m", "benchmarks.scale", "--make", str(sources), str(rows)]
        subprocess.run([*making, str(path)], check=True)
        reading = [sys.executable, "-m", "benchmarks.scale", "--measure-reading", str(path)]
        told = subprocess.run(reading, check=True, capture_output=True, text=True).stdout.split()
    table = Table(f"{sources:,} sources, {rows:,} rows, no training", "")
    names = ("reading, CPU s", "preparing, CPU s", "preparing a fold, CPU s", "most memory, MB")
    for name, figure in zip(names, told, strict=True):
        table.add_row(name, figure)
    return table


def measure_reading(path: Path) -> None:
    """In this process, whose memory it is: read, prepare, make a fold of 21 ready."""
    started = time.process_time()
    corpus = read_corpus(UPath(path)).corpus
    print(f"{time.process_time() - started:.1f}")
    started = time.process_time()
    data = prepare(corpus)
    print(f"{time.process_time() - started:.1f}")
    assignment = ENSEMBLE.grouped(21).plan.assign(rows_by_source(corpus))
    started = time.process_time()
    data.fold(assignment.folds[0], seed=0)
    print(f"{time.process_time() - started:.1f}")
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}")


def main() -> None:
    match sys.argv[1:]:
        case ["--make", sources, rows, path]:
            synthetic(int(sources), int(rows)).to_parquet(path)
        case ["--measure-reading", path]:
            measure_reading(Path(path))
        case ["--read", *told]:
            sources, rows = (int(n) for n in [*told, *("25000", "5000000")[len(told) :]])
            Console().print(read_table(sources, rows))
        case told:
            sources, rows, groups = (
                int(n) for n in [*told, *("1000", "200000", "21")[len(told) :]]
            )
            Console().print(scale_table(measured(sources, rows, groups)))
            print(cost_told(rows, sources, 5, ENSEMBLE.recipe.epochs))


def share(corpus: object) -> float:
    """Of 200 epochs of the same rows."""
    data = prepare(corpus)  # type: ignore[arg-type]
    taken = []
    for source in data.sources[:5]:
        started = time.process_time()
        data.fold([source], seed=0)
        taken.append(time.process_time() - started)
    epochs, rows = ENSEMBLE.recipe.epochs, len(data.target)
    return float(np.median(taken) / (MICROSECONDS_A_ROW_AND_EPOCH * 1e-6 * epochs * rows))


if __name__ == "__main__":
    main()
