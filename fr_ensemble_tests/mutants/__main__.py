"""``python -m fr_ensemble_tests.mutants``: try the mutants, list those that survive."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import grimp
import typer
import yaml
from grimp import ImportGraph

from fr_ensemble_tests.mutants.make import Mutant, module_name, mutants_of
from fr_ensemble_tests.mutants.targets import PACKAGE, Target, chosen
from fr_ensemble_tests.mutants.trial import (
    KILLED,
    LATE,
    SURVIVED,
    pass_unchanged,
    try_all,
    warm_up,
    warm_up_beside,
)

_EQUIVALENT = Path(__file__).with_name("equivalent.yaml")


def main(
    names: Annotated[
        list[str] | None, typer.Argument(help="Rooms or modules, as gate/rule.py")
    ] = None,
    workers: Annotated[int, typer.Option(min=1)] = os.cpu_count() or 1,
    only_list: Annotated[bool, typer.Option("--list", help="Show them, try none.")] = False,
) -> None:
    """Change the code, one place at a time; exit 1 if no test noticed."""
    targets = chosen(names or [])
    if not targets:
        raise typer.BadParameter(f"no module of 'targets.py' starts with {names}")
    warm_up()
    package = grimp.build_graph(PACKAGE, cache_dir=None)
    known = _known()
    sound = True
    with tempfile.TemporaryDirectory(prefix="mutants-") as kept:
        for target in targets:
            mutants = mutants_of(
                target.module, Path(target.module).read_text(), target.constants_only
            )
            if only_list:
                typer.echo("\n".join(mutant.told for mutant in mutants))
                continue
            # A process a module: what one loads beside its mutants, another may have to mutate.
            sys.stdout.flush()
            if (pid := os.fork()) == 0:
                fine = False
                try:
                    fine = _try(target, mutants, known, workers, Path(kept), package)
                finally:
                    sys.stdout.flush()
                    os._exit(not fine)
            sound &= os.waitpid(pid, 0)[1] == 0
    raise typer.Exit(not sound)


def _try(
    target: Target,
    mutants: list[Mutant],
    known: dict[tuple[str, str, str, str], str],
    workers: int,
    kept: Path,
    package: ImportGraph,
) -> bool:
    began = time.monotonic()
    tests = target.arguments
    loaded = pass_unchanged(tests, kept)
    if loaded is None:
        typer.echo(f"{target.module}: its tests fail on the code as it is")
        return False
    warm_up_beside(module_name(target.module), loaded, package)
    again = time.monotonic()
    if pass_unchanged(tests, kept) is None:
        typer.echo(f"{target.module}: its tests pass once, and then fail")
        return False
    seconds = time.monotonic() - again
    own = {key: why for key, why in known.items() if key[0] == target.module}
    keys = {mutant.key for mutant in mutants}
    stale = [key for key in own if key not in keys]
    survivors, count = [], Counter({SURVIVED: 0, KILLED: 0, LATE: 0})
    tried = [m for m in mutants if m.key not in own]
    typer.echo(f"{target.module}: {len(tried)} mutants, {', '.join(target.tests)}", err=True)
    for verdict in try_all(tried, tests, seconds, workers, kept):
        count[verdict.outcome] += 1
        if verdict.outcome == SURVIVED:
            survivors.append(verdict.mutant)
            typer.echo(f"  survived: {verdict.mutant.told}", err=True)
    took = time.monotonic() - began
    typer.echo(
        f"{target.module}: {len(mutants)} mutants, {count[KILLED]} killed, {count[LATE]} never "
        f"ended, {len(mutants) - len(tried)} known to be equivalent, {count[SURVIVED]} survived; "
        f"{took:.0f} s"
    )
    for mutant in sorted(survivors, key=lambda mutant: mutant.line):
        typer.echo(f"  {mutant.told}")
    for *_, was, now in stale:
        typer.echo(f"  {_EQUIVALENT.name} tells of a mutant that is none now: {was} -> {now}")
    sys.stdout.flush()
    return not (survivors or stale)


def _known() -> dict[tuple[str, str, str, str], str]:
    """Mutants that no test can tell from the code, with the reason."""
    listed = yaml.safe_load(_EQUIVALENT.read_text()) or {}
    return {
        (path, entry["in"], entry["was"], entry["now"]): entry["because"]
        for path, entries in listed.items()
        for entry in entries
    }


if __name__ == "__main__":
    typer.run(main)
