"""The conversation of ``fr-ensemble backfill``: daemon or not, wait or not, how it ended."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from fr_ensemble_assets.cli.app import EXIT_HOLD, EXIT_INTERRUPTED, EXIT_PROMOTE
from fr_ensemble_assets.cli.folds import settled_folds
from fr_ensemble_assets.cli.printing.progress import watched
from fr_ensemble_assets.cli.printing.terminal import err, fail, note
from fr_ensemble_assets.cli.printing.training import print_backfilled
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.evidence.measure import rows_by_source
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.operations.backfill import (
    BackfillPlan,
    Ending,
    already_done,
    corpus_asked_for,
    daemon_lives,
    follow,
    launch,
    plan_on,
    run_here,
)
from fr_ensemble_assets.operations.instance import (
    OrchestrationFailure,
    close_dead_runs,
    open_instance,
)
from fr_ensemble_assets.operations.launching import web_server_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import dagster as dg


@dataclass(frozen=True)
class How:
    """What else was asked for: to be waited for, where, in how many folds, without asking."""

    wait: bool
    in_process: bool
    folds: int
    yes: bool


def ask_for_backfill(home: Home, seeds: Sequence[int], corpus: str | None, how: How) -> int:
    """Launch, follow and report; returns the exit code."""
    home.require_room()
    home.prepare()
    with open_instance(home) as instance:
        used = corpus_asked_for(instance, home, corpus)
        epochs = ENSEMBLE.recipe.epochs
        groups = settled_folds(how.folds, rows_by_source(used), len(seeds), epochs, how.yes)
        plan = plan_on(home, used, seeds, groups)
        err.print(f"home {home.root}\ncorpus {plan.corpus_sha256}", markup=False)
        done = already_done(plan, used)
        if done is not None:
            note("all of it is done already, and nothing is started; what stands:")
            return _report(plan, done)
        if how.in_process or _wants_it_here(instance, home):
            close_dead_runs(instance)
            with watched() as progress:
                return _report(plan, run_here(instance, plan, progress))
        address = web_server_of(home)
        backfill_id = launch(instance, plan, address)
        err.print(f"backfill {backfill_id}: {address}/runs/b/{backfill_id}", markup=False)
        if not how.wait:
            return EXIT_PROMOTE
        try:
            with watched() as progress:
                ending = follow(instance, plan, backfill_id, progress, _say, note)
        except KeyboardInterrupt:
            fail(f"interrupted; backfill {backfill_id} goes on. Stop it in the UI.")
            return EXIT_INTERRUPTED
        return _report(plan, ending)


def _say(what: str) -> None:
    err.print(what, markup=False)


def _wants_it_here(instance: dg.DagsterInstance, home: Home) -> bool:
    """Without a daemon nothing would ever start: say so, and offer this process where one can."""
    if daemon_lives(instance):
        return False
    told = f"no daemon serves {home.root}, so a backfill would never start"
    if sys.stdin.isatty() and err.is_terminal:
        note(told)
        if typer.confirm("Train in this process instead?", default=True, err=True):
            return True
        raise OrchestrationFailure("nothing was started")
    raise OrchestrationFailure(f"{told}; start `fr-ensemble ui`, or add --in-process")


def _report(plan: BackfillPlan, ending: Ending) -> int:
    print_backfilled(plan, ending)
    held = ending.judged and not ending.judgement.decision.promote
    return EXIT_HOLD if held else EXIT_PROMOTE
