"""What ``status`` and ``clean`` list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from fr_ensemble_assets.cli.printing.terminal import Terminal, err, print_places, stdout
from fr_ensemble_assets.cli.printing.verdicts import print_decision, seed_table
from fr_ensemble_assets.foundation.home import SHORT_SHA_LENGTH
from fr_ensemble_assets.foundation.store import missing_at
from fr_ensemble_assets.gate.advice import next_step

if TYPE_CHECKING:
    from upath import UPath

    from fr_ensemble_assets.operations.clean import Store
    from fr_ensemble_assets.operations.status import Status


def print_status(status: Status, to_stderr: bool) -> None:
    """What stands, top down: corpus, seeds, verdict, candidates, work."""
    out = err if to_stderr else stdout()
    print_places(out, [("home", str(status.home))])
    print_places(out, [("served at", status.served_at or "nowhere (fr-ensemble ui)")])
    if not status.exists:
        print_places(out, [("", f"no such home yet{_wrong_part(status.home)}")])
    if status.untold:
        told = f"{status.untold} (the home can only be read here)"
        print_places(out, [("not told", told)])
    if status.corpus_sha256 is None and not status.untold:
        out.print("corpus:    none yet: type fr-ensemble run, or put one into inbox/")
    elif status.corpus_sha256 is not None:
        _print_corpus(out, status)
    _print_codecs(out, status)
    if status.skipped:
        told = f"{status.skipped} materialisations of 'corpus' were reported, not made by a run"
        print_places(out, [("skipped", told)])
    for candidate in status.candidates:
        state = "; ".join(candidate.problems) or "verified"
        of = "" if candidate.current else ", of an earlier corpus"
        print_places(out, [("candidate", f"{candidate.folder} ({state}{of})")])
    if not status.candidates:
        out.print("candidate: none")
    for work in status.work:
        print_places(out, [("at work", f"{work.name}, {work.state.lower()} ({work.identity[:8]})")])
    if not status.work and not status.untold:
        out.print("at work:   nothing")


def _wrong_part(home: UPath) -> str:
    return missing_at(home, "home").removeprefix("no such home")


def _print_corpus(out: Terminal, status: Status) -> None:
    size = ""
    if status.corpus is not None:
        size = f"{status.corpus.n_rows} rows, {len(status.corpus.sources)} sources, "
    print_places(
        out, [("corpus", str(status.corpus_sha256)), ("", f"{size}from {status.read_from}")]
    )
    if status.damage:
        print_places(out, [("damaged", status.damage)])
    if status.judgement is None:
        return
    decision = status.judgement.decision
    if decision.seeds and decision.missing_seeds:
        out.print(seed_table(status.judgement.scores, decision))
        of = len(decision.seeds) + len(decision.missing_seeds)
        out.print(f"verdict:   not judged yet: {len(decision.seeds)} of {of} seeds")
        for reason in decision.reasons:
            out.print(f"  - {reason}", markup=False)
    elif decision.seeds:
        out.print(seed_table(status.judgement.scores, decision))
        print_decision(out, decision)
        print_places(out, [("next", next_step(decision, status.judgement.scores))])
    else:
        out.print("seeds:     none yet: type fr-ensemble backfill")


def _print_codecs(out: Terminal, status: Status) -> None:
    """A line: which codecs' predictors pass, which are held."""
    codecs = status.codecs
    if codecs.problem:
        print_places(out, [("predictor", codecs.problem)])
    elif codecs.cells_sha256 is not None:
        passed = [one.encoder for one in codecs.verdicts if one.scored.passed]
        held = [one.encoder for one in codecs.verdicts if not one.scored.passed]
        told = f"PASS {', '.join(passed) or 'none'}; HOLD {', '.join(held) or 'none'}"
        cells = f"cells {codecs.cells_sha256[:SHORT_SHA_LENGTH]}"
        print_places(out, [("predictor", f"{told} ({cells})")])


def print_stores(stores: Sequence[Store], removed: bool, freed: int) -> None:
    """A row a corpus, and a row for cells; what was removed, or how to."""
    out = stdout()
    table = Table(title_justify="left", header_style="bold")
    for heading in ("of", "name", "verdict", "MB", "kept for"):
        table.add_column(heading, justify="right" if heading == "MB" else "left")
    for store in stores:
        megabytes = f"{store.size_bytes / 1e6:.1f}"
        kept = store.kept_for or ("[yellow]removed[/]" if removed else "[yellow]nothing[/]")
        table.add_row(
            store.kind, store.folder.name[:SHORT_SHA_LENGTH], store.verdict, megabytes, kept
        )
    out.print(table)
    unneeded = [store for store in stores if not store.kept_for]
    if removed:
        out.print(f"removed:   {len(unneeded)} of {len(stores)}, {freed / 1e6:.1f} MB")
    elif unneeded:
        out.print(f"unneeded:  {len(unneeded)} of {len(stores)}; --remove removes them")
    else:
        out.print("unneeded:  none")
