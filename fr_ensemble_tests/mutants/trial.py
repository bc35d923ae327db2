"""A mutant's trial: a forked process that loads it in its module's place and runs the tests."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.metadata import entry_points
from importlib.util import spec_from_loader
from pathlib import Path
from types import CodeType

import pytest
from grimp import ImportGraph

from fr_ensemble_tests.mutants import chains
from fr_ensemble_tests.mutants.make import Mutant, module_name

#: What the tests import from elsewhere, loaded once: half a second a mutant is left, not five.
_HEAVY = (
    *("crepes", "dagster", "hypothesis", "jsonschema", "matplotlib.figure", "numba", "onnx"),
    "onnxruntime",
    *("pandas", "pandera.pandas", "pyarrow.parquet", "pydantic", "rich", "scipy.stats", "torch"),
    *("typer", "universal_pathlib", "upath", "yaml"),
)
_SECONDS_MIN = 60.0
_LOADED = "loaded"
SURVIVED, KILLED, LATE = "survived", "killed", "late"


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: killed by a test, late (it never ended), or survived."""

    mutant: Mutant
    outcome: str


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002
        return compile(self._source, self.path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._name, self._mutant = module_name(mutant.path), mutant

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        if name != self._name:
            return None
        path = str(Path(self._mutant.path).absolute())
        loader = _Loader(name, path, self._mutant.source)
        return spec_from_loader(name, loader, origin=path)


def warm_up() -> None:
    """Load what all trials need, none of it ours."""
    for name in _HEAVY:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for plugin in entry_points(group="pytest11"):
        plugin.load()
    ours = [name for name in sys.modules if name.startswith("fr_ensemble_assets")]
    assert not ours, f"a mutant of these would never be loaded: {ours}"


def pass_unchanged(tests: Sequence[str], kept: Path) -> list[str] | None:
    """What of ours the tests load, on the code as it is; ``None`` where they don't pass.

    Homes that their fixtures make are kept, and copied for the mutants.
    """
    scratch = _scratch()
    log = scratch / "log"
    pid = _fork(tests, scratch, chains.recording(kept), None, log)
    _, status = os.waitpid(pid, 0)
    if status:
        print(log.read_text()[-4000:], file=sys.stderr)
    loaded = [] if status else (scratch / _LOADED).read_text().split()
    shutil.rmtree(scratch, ignore_errors=True)
    return None if status else loaded


def warm_up_beside(module: str, loaded: Sequence[str], package: ImportGraph) -> None:
    """Load what the tests load and ``module`` has no part in: a mutant of it changes none of it."""
    touched = {module, *package.find_downstream_modules(module)}
    for name in loaded:
        if name in package.modules and name not in touched:
            importlib.import_module(name)
    assert module not in sys.modules, f"{module} is loaded: its mutants never would be"


def try_all(
    mutants: Sequence[Mutant], tests: Sequence[str], seconds: float, workers: int, kept: Path
) -> Iterator[Verdict]:
    """Try each, ``workers`` at once; a trial may take ten times ``seconds``."""
    waiting = list(reversed(mutants))
    running: dict[int, tuple[Mutant, float, Path]] = {}
    limit = max(_SECONDS_MIN, 10 * seconds)
    while waiting or running:
        while waiting and len(running) < workers:
            mutant, scratch = waiting.pop(), _scratch()
            pid = _fork(tests, scratch, chains.replaying(kept), mutant, scratch / "log")
            running[pid] = mutant, time.monotonic() + limit, scratch
        for pid, (mutant, until, scratch) in list(running.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended and time.monotonic() < until:
                continue
            if not ended:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            del running[pid]
            shutil.rmtree(scratch, ignore_errors=True)
            yield Verdict(mutant, (KILLED if status else SURVIVED) if ended else LATE)
        time.sleep(0.01)


def _scratch() -> Path:
    in_memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    return Path(tempfile.mkdtemp(prefix="mutant-", dir=in_memory))


def _fork(
    tests: Sequence[str],
    scratch: Path,
    homes: chains.Homes,
    mutant: Mutant | None,
    log: Path,
) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.setsid()
        out = os.open(log, os.O_WRONLY | os.O_CREAT)
        os.dup2(out, 1)
        os.dup2(out, 2)
        if mutant is not None:
            sys.meta_path.insert(0, _Finder(mutant))
        homes.install()
        options = [
            "-x",
            "-m",
            "not slow",
            "-p",
            "no:cacheprovider",
            f"--basetemp={scratch / 'tests'}",
        ]
        status = int(pytest.main([*options, *tests]))
        if mutant is None:
            ours = [name for name in sys.modules if name.startswith("fr_ensemble_assets")]
            (scratch / _LOADED).write_text("\n".join(ours))
    except BaseException as error:  # an import that fails kills a mutant too
        os.write(2, repr(error).encode())
    finally:
        os._exit(status)
