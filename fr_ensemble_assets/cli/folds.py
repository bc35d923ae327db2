"""In how many folds: what was asked for, what it costs, and whether that is meant."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated

import typer

from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.training.executors import EXECUTOR_VARIABLE

FoldsOption = Annotated[
    int,
    typer.Option(
        help="Hold sources out in so many groups instead of one at a time: a variant of its own, "
        "which may promote from 65 sources on.",
        show_default=False,
    ),
]
YesOption = Annotated[
    bool, typer.Option("--yes", help="Don't ask what leaving out 200 sources or more may cost.")
]
ExecutorOption = Annotated[
    str,
    typer.Option(
        envvar=EXECUTOR_VARIABLE,
        help="threads, ray://HOST:10001, or ray for the cluster that this machine is a node of "
        "(extra fr-ensemble[cluster]).",
    ),
]


def settled_folds(
    folds: int, rows: Mapping[str, int], seeds: int, epochs: int, yes: bool
) -> int | None:
    """The number of groups, ``None`` for one source at a time; asks where that is a matter of days.

    Parameters
    ----------
    rows
        How many each source has.
    seeds, epochs
        Of what is asked for.

    Raises
    ------
    UnusableInput
        If there is nobody to ask, or the answer is no.
    """
    from fr_ensemble_assets.cli.printing.terminal import err, note
    from fr_ensemble_assets.contract.folds import MANY_SOURCES
    from fr_ensemble_assets.training.cost import cost_told

    if folds == 1 or folds < 0:
        raise UnusableInput(f"--folds: expected 2 groups or more, found {folds}.")
    if folds and folds < len(rows):
        return folds
    if folds:
        note(f"--folds {folds}: {len(rows)} sources, so each is left out alone.")
    if len(rows) < MANY_SOURCES:
        return None
    told = cost_told(sum(rows.values()), len(rows), seeds, epochs)
    if yes:
        note(told)
        return None
    if not (sys.stdin.isatty() and err.is_terminal):
        raise UnusableInput(f"{told}: type it again with --yes, or with --folds 21.")
    note(told)
    if not typer.confirm("Leave out one source at a time?", default=False, err=True):
        raise UnusableInput("nothing was begun; type it again with --folds 21, or another number.")
    return None
