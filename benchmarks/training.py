"""``make bench``: the plain loop against the kernel, interleaved, and how cost grows.

Absolute times drift by half from hour to hour on a shared machine, so they take turns: the plain
loop on one core, the kernel on one core, the kernel on all cores, and again. What counts is the
ratio within a round. The floor is what the matrix products of a step would take at the sgemm peak,
measured on one core in the same rounds.

Writes ``docs/benchmark.md`` and ``docs/images/benchmark.png``.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from threadpoolctl import threadpool_limits
from upath import UPath

from benchmarks.job import Job, jobs, spread
from benchmarks.job import rows as job_rows
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.contract.recipe import Recipe
from fr_ensemble_assets.corpus.identity import Corpus, canonical_order, content_sha256
from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS, read_corpus
from fr_ensemble_assets.foundation.figures import PALETTE, new_figure, png_bytes, styled
from fr_ensemble_assets.foundation.machine import machine_record
from fr_ensemble_assets.foundation.progress import Silent
from fr_ensemble_assets.loso.prepared import prepare
from fr_ensemble_assets.loso.run import evaluate_seeds
from fr_ensemble_assets.training.compiled import compile_kernel, train_compiled
from fr_ensemble_assets.training.model import FitInput, layer_sizes
from fr_ensemble_assets.training.streams import steps_per_epoch
from fr_ensemble_assets.training.trainer import Trainer

DOCS = Path(__file__).parents[1] / "docs"
PLAIN_EPOCHS = 10
ROUNDS = 9
KERNEL_FOLDS = 3
GROWTH_EPOCHS = 4
ROWS = (5_880, 33_840, 113_000, 340_000)
SEEDS = (1, 5, 20)


@dataclass(frozen=True)
class Cost:
    """CPU and wall microseconds a step of one model."""

    cpu: float
    wall: float


@dataclass(frozen=True)
class Round:
    """One turn of each: the plain loop and the kernel on one core, the kernel on all, the floor."""

    plain: Cost
    kernel: Cost
    all_cores: Cost
    floor: float


@dataclass(frozen=True)
class Growth:
    """What a job of some size took, in a process of its own."""

    rows: int
    seeds: int
    cpu: float
    peak_mb: float


def flops_a_step(recipe: Recipe) -> float:
    """Multiplications and additions of the matrix products of one full batch.

    Three forward; backward one for each weight, and one for each delta that is handed down.
    """
    sizes = layer_sizes(recipe)
    products = [inputs * outputs for inputs, outputs in sizes]
    return 2.0 * recipe.batch_size * (2 * sum(products) + sum(products[1:]))


def measured(work: Callable[[], object], steps: int) -> Cost:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Cost(
        (time.process_time() - cpu) / steps * 1e6, (time.perf_counter() - wall) / steps * 1e6
    )


def sgemm_flops_a_second() -> float:
    """The best of some large products on one core: CPU time, not wall."""
    a = np.random.default_rng(0).standard_normal((1024, 1024)).astype(np.float32)
    out = np.empty_like(a)
    with threadpool_limits(1):
        taken = []
        for _ in range(8):
            started = time.process_time()
            np.matmul(a, a, out=out)
            taken.append(time.process_time() - started)
    return 2 * 1024**3 / min(taken)


def rounds(corpus: Corpus) -> Iterator[Round]:
    import torch

    from benchmarks.plain_loop import train_plain

    torch.set_num_threads(1)
    trainer = Trainer("cpu")
    data = prepare(corpus)
    fold = data.fold(corpus.sources[:1], seed=0).fit
    per_epoch = steps_per_epoch(len(fold.target), ENSEMBLE.recipe.batch_size)
    few_epochs = Recipe(epochs=PLAIN_EPOCHS)
    compile_kernel()
    train_plain(fold, Recipe(epochs=1))  # what PyTorch does only once
    for number in track(range(ROUNDS), "plain, kernel, plain, kernel …"):
        # As in the job: several folds of one seed, which visit their rows in the same orders.
        one = FitInput(number, fold.inputs, fold.target)
        folds = [
            data.fold([held_out], seed=number).fit for held_out in corpus.sources[:KERNEL_FOLDS]
        ]
        fits = folds * trainer.parallel

        def train_all(fits: Sequence[FitInput] = fits) -> None:
            trainer.train(fits, ENSEMBLE.recipe)

        def train_one(one: FitInput = one) -> None:
            train_plain(one, few_epochs)

        def train_one_by_one(fits: Sequence[FitInput] = folds) -> None:
            for fit in fits:
                train_compiled(fit, ENSEMBLE.recipe)

        a_model = ENSEMBLE.recipe.epochs * per_epoch
        plain = measured(train_one, PLAIN_EPOCHS * per_epoch)
        kernel = measured(train_one_by_one, a_model * len(folds))
        all_cores = measured(train_all, a_model * len(fits))
        floor = flops_a_step(ENSEMBLE.recipe) / sgemm_flops_a_second() * 1e6
        yield Round(plain, kernel, all_cores, floor)


def grown(corpus: Corpus, rows: int) -> Corpus:
    """A corpus of ``rows`` rows: the bundled one, its frames repeated under new numbers."""
    import pandas as pd

    copies = -(-rows // corpus.n_rows)
    frames = [
        corpus.frame.assign(frame_index=corpus.frame["frame_index"] + 40 * copy)
        for copy in range(copies)
    ]
    frame = canonical_order(pd.concat(frames).iloc[:rows])
    return Corpus(content_sha256(frame), frame)


def one_growth(rows: int, seeds: int, epochs: int) -> Growth:
    """Train in this process; its peak memory is the job's."""
    bundled = read_corpus(BUNDLED_CORPUS).corpus
    corpus = grown(bundled, rows)
    trainer = Trainer("cpu")
    with tempfile.TemporaryDirectory() as folder:
        # Imports and compilation are paid once a process, whatever its size.
        list(
            evaluate_seeds(
                UPath(folder) / "warm", bundled, [0], ENSEMBLE.under(epochs=1), trainer, Silent()
            )
        )
        started = time.process_time()
        contract = ENSEMBLE.under(epochs=epochs)
        list(evaluate_seeds(UPath(folder), corpus, range(seeds), contract, trainer, Silent()))
        cpu = time.process_time() - started
    return Growth(rows, seeds, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def growth_in_a_process(rows: int, seeds: int, epochs: int) -> Growth:
    command = [sys.executable, "-m", "benchmarks.training", "--one", f"{rows},{seeds},{epochs}"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return Growth(rows, seeds, float(told[0]), float(told[1]))


def cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


@styled
def figure_of(turns: Sequence[Round], by_rows: Sequence[Growth], by_seeds: Sequence[Growth]):  # type: ignore[no-untyped-def]
    from matplotlib.ticker import NullFormatter

    figure, (bars, rows, seeds) = new_figure(width=12.0, height=3.6, columns=3)
    named = {
        "plain loop": statistics.median(turn.plain.cpu for turn in turns),
        "kernel": statistics.median(turn.kernel.cpu for turn in turns),
        "sgemm floor": statistics.median(turn.floor for turn in turns),
    }
    drawn = bars.barh(list(named)[::-1], list(named.values())[::-1], color=PALETTE[0])
    bars.bar_label(drawn, fmt=" %.0f µs")
    bars.set_xscale("log")
    bars.xaxis.set_major_formatter("{x:,g}")
    bars.set_xlim(right=max(named.values()) * 4)
    bars.set_title("CPU time a step of one model")
    for axis, growth, label, sizes in (
        (rows, by_rows, "rows", [point.rows for point in by_rows]),
        (seeds, by_seeds, "seeds", [point.seeds for point in by_seeds]),
    ):
        axis.loglog(sizes, [point.cpu for point in growth], "o-", color=PALETTE[0])
        linear = [growth[0].cpu * size / sizes[0] for size in sizes]
        axis.loglog(sizes, linear, "--", color=PALETTE[7], label="linear")
        axis.set_title(f"CPU seconds, by {label} ({GROWTH_EPOCHS} epochs)")
        axis.set_xlabel(label)
        axis.legend()
        for scale in (axis.xaxis, axis.yaxis):
            scale.set_major_formatter("{x:,g}")
            scale.set_minor_formatter(NullFormatter())
    return figure


#: Each pins what code is compiled for or which BLAS core multiplies, to less than there is perhaps.
OVERRIDES = ("OPENBLAS_CORETYPE", "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES")


def machine_sentence() -> str:
    """What the figures were measured on, and which override holds them back."""
    record = machine_record()
    told = (
        f"The kernel is compiled for {record['processor']} ({record['vectors']}-bit vectors); "
        f"products by {', '.join(record['blas'])}."
    )
    set_here = [f"`{name}={os.environ[name]}`" for name in OVERRIDES if os.environ.get(name)]
    if set_here:
        told += f" **{', '.join(set_here)} was set: without it this machine may be faster.**"
    return told


def report(
    turns: Sequence[Round],
    by_rows: Sequence[Growth],
    by_seeds: Sequence[Growth],
    parts: Mapping[str, float],
    whole: Sequence[Job],
) -> str:
    """The page in docs/, Markdown."""
    from benchmarks.step import WHOLE

    cpu = [turn.plain.cpu / turn.kernel.cpu for turn in turns]
    wall = [turn.plain.wall / turn.all_cores.wall for turn in turns]
    both = [turn.plain.cpu / turn.all_cores.cpu for turn in turns]
    over = [turn.kernel.cpu / turn.floor for turn in turns]
    cores = Trainer("cpu").parallel
    lines = [
        "# What training costs",
        "",
        "For whoever wants to know how long a retrain takes.",
        "",
        f"`make bench`, {datetime.date.today().isoformat()}, {cores} cores of {cpu_name()}, "
        f"{len(turns)} rounds of the plain loop and the kernel in turn; medians, and the range "
        "over the rounds in brackets. One model of the bundled corpus: 5,600 rows, batches of 32.",
        "",
        machine_sentence(),
        "",
        "![CPU time a step, growth with rows and seeds](images/benchmark.png)",
        "",
        "| | |",
        "| --- | --- |",
        f"| plain loop, CPU µs a step | {spread([t.plain.cpu for t in turns], 0)} |",
        f"| kernel, CPU µs a step | {spread([t.kernel.cpu for t in turns], 1)} |",
        f"| **less CPU, one core each** | **{spread(cpu, 0)} times** |",
        f"| less CPU, all {cores} cores at work against one | {spread(both, 0)} times |",
        f"| **less wall time, {cores} workers against one** | **{spread(wall, 0)} times** |",
        f"| matrix products alone at the sgemm peak, CPU µs a step "
        f"| {spread([t.floor for t in turns], 1)} |",
        f"| kernel above that floor | {spread(over, 2)} times |",
        f"| kernel's share of the sgemm peak | {spread([100 / o for o in over], 0)} % |",
        "",
        f"The whole job, {len(whole)} times (`python -m benchmarks.job`):",
        "",
        "| | |",
        "| --- | --- |",
        *(f"| {name} | {value} |" for name, value in job_rows(whole)),
        "",
        f"Growth, {GROWTH_EPOCHS} epochs of all 21 folds, each in a process of its own:",
        "",
        "| rows, one seed | CPU s | µs a training row and epoch | peak MB |",
        "| ---: | ---: | ---: | ---: |",
        *(
            f"| {g.rows:,} | {g.cpu:.1f} | {g.cpu / g.rows / GROWTH_EPOCHS / 20 * 1e6:.2f} "
            f"| {g.peak_mb:.0f} |"
            for g in by_rows
        ),
        "",
        f"| seeds, {ROWS[0]:,} rows | CPU s | CPU s a seed | peak MB |",
        "| ---: | ---: | ---: | ---: |",
        *(
            f"| {g.seeds} | {g.cpu:.1f} | {g.cpu / g.seeds:.2f} | {g.peak_mb:.0f} |"
            for g in by_seeds
        ),
        "",
        "The corrections of folds are in it, which are fitted once whatever the number of epochs: "
        "of 4 epochs they are half and more, of 200 little.",
        "",
        "Where a step's time goes (`python -m benchmarks.step`: each part by itself; medians):",
        "",
        "| part | CPU µs | of a step |",
        "| --- | ---: | ---: |",
        *(f"| {name} | {cost:.2f} | {cost / parts[WHOLE]:.0%} |" for name, cost in parts.items()),
        "",
        "The rest are passes over rows, and the cache that all arrays of a step share. The "
        "products run at the peak already, and Adam passes over more than the first-level cache "
        "holds. Cheaper, inexact roots and divisions, or sums in another order, would change the "
        "bytes of every member.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        growth = one_growth(*(int(part) for part in arguments.one.split(",")))
        print(growth.cpu, growth.peak_mb)
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from benchmarks.step import time_parts

    turns = list(rounds(read_corpus(BUNDLED_CORPUS).corpus))
    by_rows = [
        growth_in_a_process(rows, 1, GROWTH_EPOCHS) for rows in track(ROWS, "growth with rows")
    ]
    by_seeds = [
        growth_in_a_process(ROWS[0], seeds, GROWTH_EPOCHS)
        for seeds in track(SEEDS, "growth with seeds")
    ]
    page = report(turns, by_rows, by_seeds, time_parts(), jobs())
    (DOCS / "benchmark.md").write_text(page)
    (DOCS / "images" / "benchmark.png").write_bytes(png_bytes(figure_of(turns, by_rows, by_seeds)))
    table = Table("", "", show_header=False)
    for line in page.splitlines():
        cells = [cell.strip(" *") for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 2 and cells[0] and "---" not in cells[0]:
            table.add_row(*cells)
    Console().print(table)
    print(machine_sentence().replace("*", "").replace("`", ""))
    print(f"written: {DOCS / 'benchmark.md'}")


if __name__ == "__main__":
    main()
