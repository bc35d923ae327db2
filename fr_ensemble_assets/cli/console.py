"""What people see on the terminal: bars while it trains, a table when it is done."""

from __future__ import annotations

import shlex
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from fr_ensemble_assets.foundation.progress import StepReport, in_parts
from fr_ensemble_assets.foundation.schema import MIN_ROWS, MIN_SOURCES
from fr_ensemble_assets.gate.rule import (
    MEAN_PLCC_MIN,
    PER_SEED_PLCC_MIN,
    PLCC_SPREAD_MAX,
    Decision,
)
from fr_ensemble_assets.loso.results import SeedScore

if TYPE_CHECKING:
    from fr_ensemble_assets.cli.generate import Delivery

err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def _stdout() -> Console:
    # Names are names: no markup in them, and no ":name:" that becomes a picture.
    return Console(file=sys.stdout, highlight=False, soft_wrap=True, emoji=False)


def fail(message: str) -> None:
    """One sentence on stderr."""
    err.print("error:", style="bold red", end=" ")
    err.print(message, markup=False)


class _Bars:
    """A bar for each piece of work."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars

    def report(self, name: str) -> StepReport:
        task = self._bars.add_task(name, total=None)

        def advance(done: int, total: int) -> None:
            self._bars.update(task, completed=done, total=total)

        return advance


class _Lines:
    """A line for each quarter of a piece of work, where nobody watches a terminal."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def report(self, name: str) -> StepReport:
        def tell(done: int, total: int) -> None:
            with self._lock:
                err.print(f"{name}: {done / total:.0%}")

        return in_parts(4, tell)


@contextmanager
def watched() -> Iterator[_Bars | _Lines]:
    """Show progress on stderr while the block runs."""
    if not err.is_terminal:
        yield _Lines()
        return
    columns = (
        TextColumn("{task.description:>10}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err) as bars:
        yield _Bars(bars)


def print_generated(delivery: Delivery) -> None:
    """What ends ``generate``: what failed and why, what was written, what to type next."""
    out = _stdout()
    for sentence in delivery.problems:
        fail(sentence)
    if delivery.ignored:
        out.print(f"ignored:   {', '.join(delivery.ignored)}", markup=False)
    out.print(
        f"encodes:   {delivery.cells} of {delivery.cells_wanted} ({delivery.reused} done before)"
    )
    if delivery.written is None:
        out.print("written:   nothing; mend what failed and type the same command, or --keep-going")
        return
    out.print(f"written:   {delivery.written} ({delivery.rows} rows)", markup=False)
    out.print(f"made from: {delivery.provenance}", markup=False)
    if delivery.trainable:
        told = f"next:      fr-ensemble run --corpus {shlex.quote(delivery.written)}"
    else:
        told = f"next:      more clips: training wants {MIN_ROWS} rows of {MIN_SOURCES} sources"
    out.print(told, markup=False)


def print_verdict(
    decision: Decision,
    scores: Sequence[SeedScore],
    places: Sequence[tuple[str, str]],
    to_stderr: bool,
) -> None:
    """The table that ends a run: a row a seed, the verdict, what failed by how much, places."""
    out = err if to_stderr else _stdout()
    table = Table(title_justify="left", header_style="bold")
    for heading in ("seed", "mean PLCC", "lowest fold", "held-out source", "mean RMSE", "train s"):
        table.add_column(heading, justify="left" if "source" in heading else "right")
    for score in scores:
        table.add_row(*_seed_row(score, decision))
    out.print(table)
    out.print(
        f"mean PLCC {_figure(decision.mean_plcc)} (>= {MEAN_PLCC_MIN:g})   "
        f"spread {_figure(decision.plcc_spread)} (<= {PLCC_SPREAD_MAX:g})   "
        f"each seed >= {PER_SEED_PLCC_MIN:g}"
    )
    colour = "green" if decision.promote else "red"
    dry = " (dry run)" if decision.dry_run else ""
    out.print(f"verdict: [bold {colour}]{decision.verdict}[/]{dry}")
    for reason in decision.reasons:
        out.print(f"  - {reason}", markup=False)
    for label, place in places:
        out.print(f"{label + ':':<11}{place}", markup=False)


def _seed_row(score: SeedScore, decision: Decision) -> tuple[str, ...]:
    plcc = decision.per_seed_plcc.get(score.seed)
    style = "red" if score.seed in decision.failing_seeds else "green"
    worst = min(score.folds, key=lambda f: -2.0 if f.plcc is None else f.plcc)
    rmses = [fold.rmse for fold in score.folds if fold.rmse is not None]
    return (
        str(score.seed),
        f"[{style}]{_figure(plcc)}[/]",
        _figure(worst.plcc),
        escape(worst.held_out.encode("utf-8", "replace").decode()),
        f"{sum(rmses) / len(rmses):.3f}" if rmses else "undefined",
        f"{score.wall_time_s:.0f}" if score.wall_time_s else "",
    )


def _figure(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.5f}"
