"""Runs that are killed at the n-th write, and what the next run makes of what they left.

The chain is real, from the corpus through Dagster to the candidate. So that a kill costs seconds,
the children train few epochs and their gate has no thresholds: what is asked here is whether files
are whole, not whether members are good.
"""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing as mp
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from fr_ensemble_tests.attack.case import ACCEPTED, BROKEN, Finding, Task, shown
from fr_ensemble_tests.attack.killer import Killer
from fr_ensemble_tests.attack.material import Material, write_rows

KIND = "kills"
_FORK = mp.get_context("fork")
_EPOCHS = 1
_HEX = re.compile(rb"\b[0-9a-f]{64}\b")
_TIMES = re.compile(rb'"(wall_time_s|generated_at_utc)": [^\n]*')


def import_all() -> None:
    """Everything that a run needs, so that forks have it; starts no thread."""
    import matplotlib.backends.backend_agg
    import onnx
    import onnxruntime
    import torch

    import fr_ensemble_assets.definitions
    import fr_ensemble_assets.operations.run
    import fr_ensemble_assets.prediction.candidate

    modules = (matplotlib, onnx, onnxruntime, torch, fr_ensemble_assets)
    assert all(modules)


class Undisturbed:
    """What a run leaves that nobody kills: its exit code, its files, and its writes by kind."""

    def __init__(self, code: int, files: dict[str, bytes], kinds: Sequence[str]) -> None:
        self.code, self.files, self.kinds = code, files, kinds


def undisturbed(material: Material, folder: Path) -> Undisturbed:
    """Run once without a fault, counting."""
    corpus = write_rows(folder / "corpus.jsonl", material.few)
    home, told = folder / "undisturbed", folder / "kinds.json"

    def run() -> int:
        killer = Killer(str(home))
        killer.install()
        code = _run(home, corpus)
        told.write_text(json.dumps(killer.kinds))
        return code

    code, _ = _in_child(run)
    if not told.exists():
        raise SystemExit(f"the undisturbed run ended with {code}")
    return Undisturbed(code, _content(home), json.loads(told.read_text()))


def points(kinds: Sequence[str], count: int) -> list[int]:
    """Where to kill: at every write, or evenly spread; a third at Dagster's commits."""
    commits = [n for n, kind in enumerate(kinds, start=1) if kind == "commit"]
    ours = [n for n, kind in enumerate(kinds, start=1) if kind != "commit"]
    return sorted({*_spread(ours, count - count // 3), *_spread(commits, count // 3)})


def _spread(places: Sequence[int], count: int) -> list[int]:
    if count >= len(places):
        return list(places)
    return [places[round(n * (len(places) - 1) / max(1, count - 1))] for n in range(count)]


@cache
def _warm(corpus: Path, _: int) -> None:
    """Run once in this process, so that its forks have everything loaded and compiled."""
    import torch

    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        kept = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(kept)})
    home = corpus.parent / f"warm-{os.getpid()}"
    with contextlib.redirect_stderr(io.StringIO()):
        _run(home, corpus)
    shutil.rmtree(home)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, kept)


def kill_once(task: Task, folder: Path, calm: Undisturbed) -> Finding:
    """Kill a run at the write with this number, look at what is there, and run again."""
    at = task.number
    name = f"{calm.kinds[at - 1]}, {at} of {len(calm.kinds)}"
    here = folder / f"kill-{at}"
    here.mkdir()
    home, corpus = here / "home", folder / "corpus.jsonl"
    _warm(corpus, os.getpid())
    try:
        code, _ = _in_child(lambda: _run_until(home, corpus, at))
        if code != -signal.SIGKILL:
            return Finding(task, name, BROKEN, f"the kill did not hit: exit code {code}")
        code, told = _in_child(lambda: _run_again(home, corpus, calm))
        if code or told:
            return Finding(task, name, BROKEN, shown(told or f"exit code {code}"))
        return Finding(task, name, ACCEPTED, "the next run ended with the same bytes")
    finally:
        shutil.rmtree(here, ignore_errors=True)


def _in_child(run: Callable[[], Any]) -> tuple[int, str]:
    """Exit code and words of a fork; the words of one that is killed are none."""
    ours, theirs = _FORK.Pipe(duplex=False)

    def main() -> None:
        with open(os.devnull, "w") as nothing:  # noqa: PTH123
            os.dup2(nothing.fileno(), 1)
            os.dup2(nothing.fileno(), 2)
        if hasattr(os, "sched_setaffinity"):
            at_hand = sorted(os.sched_getaffinity(0))
            # One core, so that one seed trains after the other; not the same one for all children.
            os.sched_setaffinity(0, {at_hand[os.getppid() % len(at_hand)]})
        told, code = "", 3
        try:
            result = run()
            told, code = (result, 0) if isinstance(result, str) else ("", result)
        except BaseException as error:
            told = f"{type(error).__name__}: {error}"
        theirs.send(told)
        os._exit(code)

    child = _FORK.Process(target=main)
    child.start()
    theirs.close()
    try:
        told = ours.recv()
    except EOFError:
        told = ""
    child.join()
    return child.exitcode or 0, told


# --- in the child ------------------------------------------------------------------------------


def _without_thresholds() -> None:
    """A few epochs are the contract, and any figure passes: in this process alone."""
    from fr_ensemble_assets.contract.agreed import ENSEMBLE
    from fr_ensemble_assets.members import build

    # The contract is frozen, and everybody holds this very one.
    object.__setattr__(ENSEMBLE, "recipe", replace(ENSEMBLE.recipe, epochs=_EPOCHS))
    for name, loose in (("mean_plcc_min", -1e9), ("plcc_spread_max", 1e9), ("each_plcc_min", -1e9)):
        assert hasattr(ENSEMBLE.thresholds, name)
        object.__setattr__(ENSEMBLE.thresholds, name, loose)
    for name in ("FIT_RMSE_RATIO_MAX", "FIT_BIAS_RATIO_MAX"):
        assert hasattr(build, name)
        setattr(build, name, 1e9)


def _without_pictures() -> None:
    """Plots are half of a short run, and are kept in Dagster's database, not in files of ours."""
    import dagster as dg

    for module in [m for n, m in sys.modules.items() if n.startswith("fr_ensemble_assets")]:
        for name, value in list(vars(module).items()):
            if getattr(getattr(value, "__code__", None), "co_name", "") == "draw_in_style":
                setattr(module, name, lambda *_, **__: None)
            elif name == "plot" and callable(value):
                setattr(module, name, lambda _, caption, *__: dg.MetadataValue.md(caption))


def _run(home: Path, corpus: Path) -> int:
    from upath import UPath

    from fr_ensemble_tests.conftest import run_chain

    _without_thresholds()
    _without_pictures()
    outcome = run_chain(home, UPath(corpus), epochs=_EPOCHS)
    return 0 if outcome.candidate_dir is not None else 1


def _run_until(home: Path, corpus: Path, at: int) -> int:
    Killer(str(home), at).install()
    return _run(home, corpus)


def _run_again(home: Path, corpus: Path, calm: Undisturbed) -> str:
    """What is wrong after a kill, or after the next run; nothing, if all is well."""
    _without_thresholds()
    for path in _files(home):
        if reason := _half(path):
            return f"after the kill {path.relative_to(home)} is not whole: {reason}"
    if reason := _candidates(home):
        return f"after the kill {reason}"
    code = _run(home, corpus)
    if code != calm.code:
        return f"the next run ends with {code} instead of {calm.code}"
    left = [str(path.relative_to(home)) for path in home.rglob(".tmp-*")]
    if left:
        return f"the next run leaves {left[:3]}"
    found = _content(home)
    other = sorted(n for n in {*found, *calm.files} if found.get(n) != calm.files.get(n))
    if other:
        return f"the next run has other bytes in {', '.join(other[:3])}"
    return _candidates(home)


def _candidates(home: Path) -> str:
    """What is wrong with a candidate; one without the manifest, put last, is unfinished: none."""
    from upath import UPath

    from fr_ensemble_assets.candidate.places import is_published
    from fr_ensemble_assets.candidate.verify import verify_candidate

    if not (home / "candidates").is_dir():
        return ""
    for folder in (home / "candidates").iterdir():
        if is_published(UPath(folder)) and (problems := verify_candidate(UPath(folder)).problems):
            return f"a candidate stands that doesn't verify: {problems[0]}"
    return ""


def _files(home: Path) -> list[Path]:
    """What is published: everything but unfinished files."""
    return [
        path
        for top in ("store", "candidates")
        for path in sorted((home / top).rglob("*"))
        if path.is_file() and not any(part.startswith(".tmp-") for part in path.parts)
    ]


def _half(path: Path) -> str:
    """Why a file is not whole; nothing, if it is."""
    import numpy as np
    import onnx
    import pyarrow.parquet

    readers: dict[str, Callable[[Path], Any]] = {
        ".json": lambda p: json.loads(p.read_text()),
        ".parquet": pyarrow.parquet.read_table,
        ".onnx": lambda p: onnx.checker.check_model(onnx.load(p)),
        ".npz": lambda p: {name: array.sum() for name, array in np.load(p).items()},
    }
    try:
        readers.get(path.suffix, Path.read_bytes)(path)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "" if path.stat().st_size else "empty"


def _content(home: Path) -> dict[str, bytes]:
    """Published files by name, without times; digests of files with times are told by name."""
    from hashlib import sha256

    files = {str(path.relative_to(home)): path.read_bytes() for path in _files(home)}
    names = {sha256(data).hexdigest().encode(): Path(n).name.encode() for n, data in files.items()}
    return {
        name: _HEX.sub(lambda match: names.get(match[0], match[0]), _TIMES.sub(b"", data))
        if name.endswith(".json")
        else data
        for name, data in files.items()
    }


__all__ = ["KIND", "import_all", "kill_once", "points", "undisturbed"]
