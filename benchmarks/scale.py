"""What a thousand sources take: memory, bytes in Dagster's database, the share of preparing folds.

``.venv/bin/python -m benchmarks.scale [SOURCES] [ROWS] [GROUPS]`` makes a corpus of so many sources
(1000) and rows (200000) out of the bundled one, each row moved a little, and runs the chain over it
for one epoch, in a process of its own: a dry run, whose figures mean nothing. GROUPS (21) of 0
leave out one source at a time, which takes a quarter of an hour of one core. What 200 epochs would
cost is told beside it, from ``docs/benchmark.md``.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from fr_ensemble_assets.calibration.calibrate import calibrate
from fr_ensemble_assets.calibration.document import calibration_bytes
from fr_ensemble_assets.calibration.pooling import out_of_fold
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.contract.places import Places
from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS, read_corpus
from fr_ensemble_assets.corpus.store import load_corpus
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
    done = subprocess.run([sys.executable, "-c", command, *told, *folds], check=False)
    assert done.returncode == 1, "a dry run is held"
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def largest_event(home: Home, asset: str) -> int:
    """Bytes of the metadata of its newest materialisation."""
    import dagster as dg

    with open_instance(home) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(asset))
        found = event.asset_materialization if event is not None else None
        return len(repr(found.metadata).encode()) if found is not None else 0


def main() -> None:
    sources, rows, groups = (
        int(text) for text in [*sys.argv[1:], *("1000", "200000", "21")[len(sys.argv) - 1 :]]
    )
    with tempfile.TemporaryDirectory() as folder:
        path, home = Path(folder) / "corpus.parquet", Home.at(Path(folder) / "home")
        synthetic(sources, rows).to_parquet(path)
        seconds, peak = run(home.local, path, groups)
        contract = ENSEMBLE.under(epochs=1).grouped(groups or None)
        (stored,) = home.store.iterdir()
        corpus = load_corpus(home, stored.name)
        results = Places(home, contract, corpus.sha256).results
        table = Table(f"{sources:,} sources, {rows:,} rows, one epoch", "", show_header=True)
        table.add_row("run, seconds of a core", f"{seconds:.0f}")
        table.add_row("run, most memory, MB", f"{peak:.0f}")
        for asset in _ASSETS:
            table.add_row(f"event of {asset}, KB", f"{largest_event(home, asset) / 1024:.0f}")
        size = (results / "loso_seed0.json").stat().st_size
        table.add_row("results of a seed, KB", f"{size / 1024:.0f}")
        started = time.perf_counter()
        calibration = calibrate(
            corpus, out_of_fold(corpus, judge(results, corpus, contract).results)
        )
        table.add_row("calibrate, s", f"{time.perf_counter() - started:.1f}")
        table.add_row("calibration.json, KB", f"{len(calibration_bytes(calibration)) / 1024:.0f}")
        table.add_row("preparing a fold, share of its training", f"{share(corpus):.2%}")
        Console().print(table)
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
