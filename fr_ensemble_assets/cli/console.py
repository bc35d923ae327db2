"""What people see on the terminal: bars while it trains, a table when it is done."""

from __future__ import annotations

import shlex
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich import filesize
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

from fr_ensemble_assets.contract.thresholds import ADR_0303
from fr_ensemble_assets.evidence.results import SeedScore
from fr_ensemble_assets.foundation.home import SHORT_SHA_LENGTH
from fr_ensemble_assets.foundation.progress import StepReport, in_parts
from fr_ensemble_assets.foundation.schema import MIN_ROWS, MIN_SOURCES
from fr_ensemble_assets.foundation.wording import listed, one_line, shown
from fr_ensemble_assets.gate.rule import Decision, seed_plcc

if TYPE_CHECKING:
    from fr_ensemble_assets.operations.backfill import BackfillPlan, Ending
    from fr_ensemble_assets.operations.clean import Store
    from fr_ensemble_assets.operations.generate import Delivery
    from fr_ensemble_assets.operations.status import Status
    from fr_ensemble_assets.prediction.recommend import Recommendations


class _Terminal(Console):
    """Prints what prints: of a text from outside, nothing speaks to the terminal itself."""

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*(_printable(one) for one in objects), **options)


def _printable(what: Any) -> Any:
    if not isinstance(what, str):
        return what
    return "\n".join(one_line(line) for line in what.split("\n"))


err = _Terminal(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def _stdout() -> _Terminal:
    # Names are names: no markup in them, and no ":name:" that becomes a picture.
    return _Terminal(file=sys.stdout, highlight=False, soft_wrap=True, emoji=False)


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
        out.print(f"ignored:   {listed(delivery.ignored)}", markup=False)
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
    out.print(_seed_table(scores, decision))
    _print_decision(out, decision)
    _print_places(out, places)


def _seed_table(scores: Sequence[SeedScore], decision: Decision) -> Table:
    table = Table(title_justify="left", header_style="bold")
    for heading in ("seed", "mean PLCC", "lowest fold", "held-out source", "mean RMSE", "train s"):
        table.add_column(heading, justify="left" if "source" in heading else "right")
    for score in scores:
        table.add_row(*_seed_row(score, decision))
    return table


def _print_decision(out: Console, decision: Decision) -> None:
    out.print(
        f"mean PLCC {_figure(decision.mean_plcc)} (>= {ADR_0303.mean_plcc_min:g})   "
        f"spread {_figure(decision.plcc_spread)} (<= {ADR_0303.plcc_spread_max:g})   "
        f"each seed >= {ADR_0303.each_plcc_min:g}"
    )
    colour = "green" if decision.promote else "red"
    dry = " (dry run)" if decision.dry_run else ""
    out.print(f"verdict: [bold {colour}]{decision.verdict}[/]{dry}")
    for reason in decision.reasons:
        out.print(f"  - {reason}", markup=False)


def _print_places(out: Console, places: Sequence[tuple[str, str]]) -> None:
    for label, place in places:
        out.print(f"{label + ':' if label else '':<11}{one_line(place)}", markup=False)


def _seed_row(score: SeedScore, decision: Decision) -> tuple[str, ...]:
    plcc = seed_plcc(score)
    judged = score.seed in decision.seeds  # others are studied: shown, not judged
    style = ("red" if score.seed in decision.failing_seeds else "green") if judged else "default"
    worst = min(score.folds, key=lambda f: -2.0 if f.plcc is None else f.plcc)
    rmses = [fold.rmse for fold in score.folds if fold.rmse is not None]
    return (
        str(score.seed),
        f"[{style}]{_figure(plcc)}[/]",
        _figure(worst.plcc),
        escape(shown(worst.held_out)),
        f"{sum(rmses) / len(rmses):.3f}" if rmses else "undefined",
        f"{score.wall_time_s:.0f}" if score.wall_time_s else "",
    )


def _figure(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.5f}"


def note(message: str) -> None:
    """Something that a person should know, and that stops nothing."""
    err.print("note:", style="bold yellow", end=" ")
    err.print(message, markup=False)


def print_backfilled(plan: BackfillPlan, ending: Ending) -> None:
    """The table that ends a backfill: the seeds asked for, and the verdict where there is one."""
    out, decision = _stdout(), ending.judgement.decision
    scores = (*ending.judgement.scores, *ending.judgement.studied)
    out.print(_seed_table([s for s in scores if s.seed in plan.seeds], decision))
    study = ending.judgement.study_fields
    if study:
        out.print(
            f"study:     {len(study['seeds'])} seeds, mean PLCC {_figure(study['mean_plcc'])}, "
            f"spread {_figure(study['plcc_spread'])}"
        )
    if ending.judged:
        _print_decision(out, decision)
    else:
        missing = ", ".join(map(str, decision.missing_seeds))
        out.print(f"verdict:   not yet, without results for seeds {missing}")
    _print_places(out, [("results", str(plan.results))])
    if ending.candidate_dir is not None:
        _print_places(out, [("candidate", str(ending.candidate_dir))])


def print_status(status: Status, to_stderr: bool) -> None:
    """What stands, top down: corpus, seeds, verdict, candidates, work."""
    out = err if to_stderr else _stdout()
    _print_places(out, [("home", str(status.home))])
    _print_places(out, [("served at", status.served_at or "nowhere (fr-ensemble ui)")])
    if status.corpus_sha256 is None:
        out.print("corpus:    none yet (fr-ensemble run, or put one into inbox/)")
    else:
        _print_corpus(out, status)
    if status.skipped:
        told = f"{status.skipped} reported materialisations of 'corpus' that no run made"
        _print_places(out, [("skipped", told)])
    for candidate in status.candidates:
        state = "; ".join(candidate.problems) or "verified"
        of = "" if candidate.current else ", of an earlier corpus"
        _print_places(out, [("candidate", f"{candidate.folder} ({state}{of})")])
    if not status.candidates:
        out.print("candidate: none")
    for work in status.work:
        _print_places(
            out, [("at work", f"{work.name}, {work.state.lower()} ({work.identity[:8]})")]
        )
    if not status.work:
        out.print("at work:   nothing")


def _print_corpus(out: Console, status: Status) -> None:
    size = ""
    if status.corpus is not None:
        size = f"{status.corpus.n_rows} rows, {len(status.corpus.sources)} sources, "
    _print_places(
        out, [("corpus", str(status.corpus_sha256)), ("", f"{size}from {status.read_from}")]
    )
    if status.damage:
        _print_places(out, [("damaged", status.damage)])
    if status.judgement is None:
        return
    decision = status.judgement.decision
    if decision.seeds:
        out.print(_seed_table(status.judgement.scores, decision))
        _print_decision(out, decision)
    else:
        out.print("seeds:     none yet (fr-ensemble backfill)")


def print_stores(stores: Sequence[Store], removed: bool, freed: int) -> None:
    """A row a corpus; what was removed, or how to."""
    out = _stdout()
    table = Table(title_justify="left", header_style="bold")
    for heading in ("corpus", "verdict", "MB", "kept for"):
        table.add_column(heading, justify="right" if heading == "MB" else "left")
    for store in stores:
        megabytes = f"{store.size_bytes / 1e6:.1f}"
        kept = store.kept_for or ("[yellow]removed[/]" if removed else "[yellow]nothing[/]")
        table.add_row(store.folder.name[:SHORT_SHA_LENGTH], store.verdict, megabytes, kept)
    out.print(table)
    unneeded = [store for store in stores if not store.kept_for]
    if removed:
        out.print(f"removed:   {len(unneeded)} of {len(stores)}, {freed / 1e6:.1f} MB")
    elif unneeded:
        out.print(f"unneeded:  {len(unneeded)} of {len(stores)}; remove with --remove")
    else:
        out.print("unneeded:  none")


def print_recommendations(found: Recommendations, to_stderr: bool) -> None:
    """The qualities of each source and encoder, the answers, and what the level means."""
    out = err if to_stderr else _stdout()
    table = Table(title_justify="left", header_style="bold")
    for heading in ("source", "encoder", "quality", "VMAF", "lower", "upper", "size"):
        left = heading in ("source", "encoder")
        table.add_column(heading, justify="left" if left else "right")
    for item in found.items:
        shown = (*item.measured, *([item.choice] if item.choice else []))
        for rung in sorted(set(shown), key=lambda rung: rung.quality):
            chosen = rung == item.choice
            table.add_row(
                escape(one_line(item.src)),
                escape(one_line(item.encoder)),
                f"{rung.quality:g}" + (" *" if rung.interpolated else ""),
                *(f"{value:.2f}" for value in (rung.mu, rung.lower, rung.upper)),
                filesize.decimal(round(rung.size)) if rung.size else "",
                style="bold green" if chosen else None,
            )
    out.print(table)
    if any(item.choice and item.choice.interpolated for item in found.items):
        out.print("* interpolated: nothing was encoded at it", markup=False)
    for item in found.items:
        out.print(f"- {one_line(item.sentence)}", markup=False)
    out.print(found.explanation, markup=False)
