"""``make bench-cluster``: what a cluster adds to a part, what nodes save, what more rows cost.

Ray runs on hosts that are network namespaces of this machine (root and iproute2 are needed), the
S3 server is the one of the tests. All nodes share this machine's cores, so that three of them can't
be three times as fast here: what is told is how much of the cores' work is left for training. Some
ten minutes on two cores; ``--only NAME`` takes one of overhead, nodes, requests, growth.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from upath import UPath

from benchmarks.scale import measured, read_table, synthetic
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.corpus.identity import Corpus, canonical_order, content_sha256
from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS, read_corpus
from fr_ensemble_assets.foundation import seen
from fr_ensemble_assets.foundation.cores import cores
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.foundation.progress import Silent, StepReport, report_nothing
from fr_ensemble_assets.loso.prepared import prepare
from fr_ensemble_assets.loso.run import evaluate_seeds
from fr_ensemble_assets.operations.run import Plan, run_ensemble
from fr_ensemble_assets.training.compiled import compile_kernel
from fr_ensemble_assets.training.cost import cost_of
from fr_ensemble_assets.training.executors import Executor
from fr_ensemble_assets.training.trainer import Trainer
from fr_ensemble_tests.cluster.services import BUCKET, S3, counted_requests
from fr_ensemble_tests.training.lab import FIRST_WORKER, lab

CONSOLE = Console()
EMPTY_PARTS = 2_000
LARGE = (1_000, 200_000)
NODES = (1, 2, 3)
#: Of 200: enough that training, some ten seconds of a core, outweighs the start of a run.
EPOCHS = 40
GROWTH = ((100, 20_000), (300, 60_000), LARGE)
GROUPS = 21


@dataclass(frozen=True)
class Empty:
    """A part that asks for its data and does nothing with it."""

    number: int
    data: str

    def work(self, data: Any, report: StepReport) -> int:  # noqa: ARG002
        return self.number


@dataclass(frozen=True)
class Overhead:
    """Seconds: of an empty part, of handing over the large corpus once, of a part that has it."""

    empty: float
    offer: float
    with_corpus: float


# --- at the desk, inside the cluster's network ----------------------------------------------------


def overhead(address: str) -> Overhead:
    from fr_ensemble_assets.training.cluster import RayCluster

    frame = canonical_order(synthetic(*LARGE))
    data = prepare(Corpus(content_sha256(frame), frame))
    with RayCluster(address) as cluster:
        cluster.offer("nothing", None)
        _seconds_a_part(cluster, "nothing", 50)  # the nodes' processes start
        empty = _seconds_a_part(cluster, "nothing", EMPTY_PARTS)
        started = time.perf_counter()
        cluster.offer("corpus", data)
        offer = time.perf_counter() - started
        _seconds_a_part(cluster, "corpus", 50)
        return Overhead(empty, offer, _seconds_a_part(cluster, "corpus", EMPTY_PARTS))


def _seconds_a_part(executor: Executor, digest: str, count: int) -> float:
    started = time.perf_counter()
    parts = [executor.submit(Empty(number, digest), report_nothing) for number in range(count)]
    assert [part.result() for part in parts] == list(range(count))
    return (time.perf_counter() - started) / count


def on_nodes(address: str) -> float:
    """Seconds of all folds and seeds of the bundled corpus, once every node is warm."""
    from fr_ensemble_assets.training.cluster import RayCluster

    with RayCluster(address) as cluster:
        _seconds_of(1, executor=cluster)
        return _seconds_of(EPOCHS, executor=cluster)


def _seconds_of(epochs: int, workers: int = 0, executor: Executor | None = None) -> float:
    corpus, contract = read_corpus(BUNDLED_CORPUS).corpus, ENSEMBLE.under(epochs=epochs)
    trainer = Trainer("cpu", workers)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        into = UPath(folder)
        seeds = contract.units
        list(evaluate_seeds(into, corpus, seeds, contract, trainer, Silent(), executor=executor))
        return time.perf_counter() - started


AT_THE_DESK: dict[str, Callable[[str], object]] = {"overhead": overhead, "nodes": on_nodes}


def _asked(what: str, nodes: int) -> Any:
    """What the desk of a cluster of so many nodes finds."""
    with lab(range(FIRST_WORKER, FIRST_WORKER + nodes)) as cluster:
        told = cluster.at_the_desk(
            [sys.executable, "-m", "benchmarks.cluster", "--desk", what, cluster.address]
        )
    return json.loads(told.splitlines()[-1])


# --- what is told ---------------------------------------------------------------------------------


def tell_overhead() -> None:
    found = Overhead(**_asked("overhead", 2))
    table = Table(f"a part on 2 nodes ({EMPTY_PARTS:,} parts)", "")
    table.add_row("empty, ms", f"{found.empty * 1e3:.1f}")
    table.add_row(f"that asks for {LARGE[1]:,} rows, ms", f"{found.with_corpus * 1e3:.1f}")
    table.add_row("handing over these rows, once a run, s", f"{found.offer:.2f}")
    CONSOLE.print(table)


def tell_nodes() -> None:
    compile_kernel()
    alone = {workers: _seconds_of(EPOCHS, workers) for workers in range(1, cores() + 1)}
    table = Table("where", "seconds", "times one thread", "of the cores' work")
    for workers, seconds in alone.items():
        _add_row(table, f"{workers} threads", seconds, alone[1], workers)
    for nodes in NODES:
        _add_row(table, f"Ray, {nodes} nodes", _asked("nodes", nodes), alone[1], nodes)
    CONSOLE.print(table)
    CONSOLE.print(
        f"105 parts of {EPOCHS} epochs, {cores()} cores in all: what more nodes than cores share "
        "can't be faster, and Ray's own processes run on the same cores."
    )


def _add_row(table: Table, where: str, seconds: float, one: float, at_once: int) -> None:
    share = one / seconds / min(at_once, cores())
    table.add_row(where, f"{seconds:.1f}", f"{one / seconds:.2f}", f"{share:.0%}")


def tell_requests() -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = S3(Path(folder) / "s3")
        server.start()
        try:
            os.environ.update(server.environment)
            server.make_bucket()
            home = Home.at(f"s3://{BUCKET}/home", Path(folder) / "local")
            plan = Plan(home, "", ENSEMBLE.units, ENSEMBLE.recipe.epochs, force=False)
            table = Table("run of the bundled corpus over S3", "requests")
            for name in ("all is trained", "all is done"):
                seen.look_again()
                seen.forget_contents()
                with counted_requests(server) as counted:
                    run_ensemble(plan, Silent())
                table.add_row(name, f"{sum(counted.values())}")
        finally:
            server.kill()
    CONSOLE.print(table)


def tell_growth() -> None:
    table = Table("sources", "rows", "CPU s", "peak MB", "calibration.json KB", "fold, of training")
    for sources, rows in GROWTH:
        found = measured(sources, rows, GROUPS)
        told = (f"{found.cpu_s:.0f}", f"{found.peak_mb:.0f}", f"{found.calibration_kb:.0f}")
        table.add_row(f"{sources:,}", f"{rows:,}", *told, f"{found.share:.2%}")
    CONSOLE.print(table)
    CONSOLE.print(f"`run`, {GROUPS} groups, five seeds, one epoch: mostly the folds' corrections.")
    CONSOLE.print(read_table(25_000, 5_000_000))
    table = Table("rows", "sources", "folds", "parts", "core hours", "sending parts, hours")
    overhead_s = Overhead(**_asked("overhead", 2)).with_corpus
    for rows, sources in ((200_000, 1_000), (5_000_000, 25_000)):
        for folds in (sources, GROUPS, 10):
            cost = cost_of(rows, folds, len(ENSEMBLE.units), ENSEMBLE.recipe.epochs)
            told = (f"{cost.models:,}", f"{cost.cpu_hours:,.1f}")
            sent = f"{cost.models * overhead_s / 3600:.3f}"
            table.add_row(f"{rows:,}", f"{sources:,}", f"{folds:,}", *told, sent)
    CONSOLE.print(table)
    CONSOLE.print(
        "Extrapolated: 0.7 µs a row and epoch whatever the size, which is measured up to 340,000 "
        "rows; parts are sent one by one at the overhead measured here; nodes have a core a part, "
        "of this kind. Wall time is core hours by cores while there are more parts than cores."
    )


TELL = {
    "overhead": tell_overhead,
    "nodes": tell_nodes,
    "requests": tell_requests,
    "growth": tell_growth,
}


def main() -> None:
    asked = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    asked.add_argument("--only", choices=TELL, action="append", help="may be repeated [all]")
    asked.add_argument("--desk", nargs=2, help=argparse.SUPPRESS)
    told = asked.parse_args()
    if told.desk:
        what, address = told.desk
        found: Any = AT_THE_DESK[what](address)
        plain = dataclasses.asdict(found) if dataclasses.is_dataclass(found) else found
        print(json.dumps(plain))
        return
    for name in told.only or TELL:
        TELL[name]()


if __name__ == "__main__":
    main()
