"""Every input of every kind, each in a worker with limits."""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fr_ensemble_tests.attack import candidates, clips, corpora, frames, kills, registries, results
from fr_ensemble_tests.attack.case import (
    ACCEPTED,
    BROKEN,
    Case,
    Finding,
    Flawed,
    Kind,
    Task,
    judge,
    tree_of,
)
from fr_ensemble_tests.attack.material import Material
from fr_ensemble_tests.attack.pool import run_all
from fr_ensemble_tests.attack.product import typed_outside

_MODULES = (corpora, frames, results, candidates, registries, clips)
_INPUTS = {module.KIND.name: module.KIND for module in _MODULES}
KINDS = (*_INPUTS, kills.KIND)

#: Of work; three times as many by the clock.
_SECONDS = 20.0
#: With the command line beside it, which starts a process of its own.
_SECONDS_OUTSIDE = 100.0
#: Two runs of the whole chain.
_SECONDS_KILL = 100.0
_MEMORY = 3 << 30


def attack(
    material: Material,
    scratch: Path,
    kinds: Sequence[str],
    count: int,
    killed: int,
    seed: int,
    only: str,
    workers: int,
    watched: bool = True,
) -> list[Finding]:
    """What became of ``count`` inputs of each kind, and of ``killed`` runs."""
    found: list[Finding] = []
    for name in kinds:
        if name == kills.KIND:
            if only.partition(":")[0] in ("", name):
                found += _of_kills(killed, seed, only, material, scratch, workers, watched)
            continue
        tasks = [Task(name, number, seed) for number in range(count)]
        found += _of_inputs(_INPUTS[name], tasks, only, material, scratch, workers, watched)
    return found


def _of_kills(
    count: int,
    seed: int,
    only: str,
    material: Material,
    scratch: Path,
    workers: int,
    watched: bool,
) -> list[Finding]:
    kills.import_all()
    folder = scratch / "kills"
    folder.mkdir()
    calm = kills.undisturbed(material, folder)
    places = kills.points(calm.kinds, count) if not only else [int(only.partition(":")[2])]
    tasks = [Task(kills.KIND, place, seed) for place in places]

    def work(task: Task) -> Finding:
        return kills.kill_once(task, folder, calm)

    found: list[Finding] = []
    for finding in run_all(tasks, work, workers, _SECONDS_KILL, _MEMORY):
        found.append(finding)
        _tell(kills.KIND, len(found), len(tasks), watched)
    return found


def _tell(kind: str, done: int, wanted: int, watched: bool) -> None:
    if watched and done % 50 == 0:
        sys.stderr.write(f"{kind}: {done} of {wanted}\n")


def _of_inputs(
    kind: Kind,
    tasks: Sequence[Task],
    only: str,
    material: Material,
    scratch: Path,
    workers: int,
    watched: bool,
) -> list[Finding]:
    wanted = [task for task in tasks if only in ("", str(task))]
    if only and only.startswith(f"{kind.name}:"):
        wanted = [Task(kind.name, int(only.partition(":")[2]), tasks[0].seed)]
    quick = [task for task in wanted if not _outside(kind, task)]
    slow = [task for task in wanted if _outside(kind, task)]

    def work(task: Task) -> Finding:
        return attempt(kind, task, material, scratch)

    found: list[Finding] = []
    for some, seconds in ((quick, _SECONDS), (slow, _SECONDS_OUTSIDE)):
        for finding in run_all(some, work, workers, seconds, _MEMORY):
            name = finding.name or _name(kind, finding.task)
            found.append(finding._replace(name=name))
            _tell(kind.name, len(found), len(wanted), watched)
    return found


def _name(kind: Kind, task: Task) -> str:
    return kind.makers[task.number % len(kind.makers)][0]


def _outside(kind: Kind, task: Task) -> bool:
    return kind.command is not None and task.number % kind.sample == 0


def attempt(kind: Kind, task: Task, material: Material, scratch: Path) -> Finding:
    """Make one input, hand it over, and judge; nothing of it stays."""
    folder = scratch / f"{kind.name}-{task.number}"
    shutil.rmtree(folder, ignore_errors=True)
    given, out = folder / "in", folder / "out"
    given.mkdir(parents=True)
    out.mkdir()
    try:
        name, maker = kind.makers[task.number % len(kind.makers)]
        case = maker(task.random(), given, material)
        before = tree_of(given)
        with contextlib.redirect_stderr(io.StringIO()):
            finding = judge(task, name, case, lambda: kind.attempt(case, out, material))
        if finding.outcome != BROKEN and _outside(kind, task):
            finding = _also_outside(kind, case, finding, out, material)
        return _nothing_left(finding, before, given, out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _also_outside(
    kind: Kind, case: Case, finding: Finding, out: Path, material: Material
) -> Finding:
    """The installed command must end in the same way."""
    assert kind.command is not None
    words = kind.command(case, out, material)

    def ask() -> Any:
        return typed_outside(*words, cwd=out, allowed=kind.accepting)

    told = judge(finding.task, finding.name, Case(case.target, "either", case.why, _fine), ask)
    if told.outcome == BROKEN:
        return told._replace(told=f"the command: {told.told}")
    if told.outcome == finding.outcome or not kind.same:
        return finding
    reason = f"the function says {finding.outcome}, the command {told.outcome}: {told.told}"
    return finding._replace(outcome=BROKEN, told=reason)


def _fine(_: Any) -> str:
    return ""


def _nothing_left(
    finding: Finding, before: dict[str, tuple[int, int, int]], given: Path, out: Path
) -> Finding:
    """The input is as it was, and no unfinished file is anywhere."""
    after = tree_of(given)
    if after != before:
        changed = sorted({k for k in {*before, *after} if before.get(k) != after.get(k)})
        return finding._replace(outcome=BROKEN, told=f"the input was changed: {changed[:3]}")
    left = [name for name in tree_of(out) if ".tmp-" in name]
    if left:
        return finding._replace(outcome=BROKEN, told=f"left behind: {left[:3]}")
    return finding


__all__ = ["ACCEPTED", "KINDS", "Flawed", "attack", "attempt"]
