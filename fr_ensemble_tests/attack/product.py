"""How the product is asked: the functions behind the commands, and the commands themselves.

The one place that knows the product's names; an oracle never does.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from upath import UPath

from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.corpus.fitness import require_fit
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.corpus.reader import Reading, read_corpus
from fr_ensemble_assets.corpus.store import load_corpus, save_corpus
from fr_ensemble_assets.foundation.errors import GateRefusal, UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.gate.rule import Decision
from fr_ensemble_assets.gate.verdict import judge as judge_results
from fr_ensemble_assets.prediction.candidate import Candidate, load_candidate
from fr_ensemble_tests.attack.case import Flawed, Refused, flaw_of

COMMAND = str(Path(sys.executable).with_name("fr-ensemble"))
#: A diff is of bytes that are theirs, and goes to git.
_PRINTS_DATA = ("propose",)


def taken_corpus(path: Path, out: Path) -> Reading:
    """Read a corpus, ask whether it may be judged, and keep it in a home of its own."""
    reading = read_corpus(UPath(path))
    require_fit(reading.corpus)
    home = Home.at(out / "home")
    save_corpus(home, reading, "an attack")
    if load_corpus(home, reading.corpus.sha256).n_rows != reading.corpus.n_rows:
        raise Flawed("the stored corpus has other rows")
    return reading


@cache
def candidate_at(folder: Path) -> Candidate:
    """Verified and read once in a process."""
    return load_candidate(UPath(folder))


@cache
def stored_corpus(home: Path, sha256: str) -> Corpus:
    return load_corpus(Home.at(home), sha256)


def judged_results(folder: Path, home: Path, sha256: str) -> Decision:
    """The gate over results of our own, its figures recomputed; a HOLD is a refusal."""
    decision = judge_results(UPath(folder), stored_corpus(home, sha256), ENSEMBLE).decision
    if not decision.promote:
        raise GateRefusal(f"HOLD: {'; '.join(decision.reasons)}")
    return decision


def typed(*words: str, allowed: Sequence[int] = (0,)) -> Any:
    """The command line in this process; its result, if the exit code is one of ``allowed``.

    Raises
    ------
    Refused
        On exit code 1 or 2, with what it printed on stderr, or on stdout where that is empty.
    Flawed
        If it printed what no terminal should get, or ended in another way.
    """
    from typer.testing import CliRunner

    from fr_ensemble_assets.cli.main import app

    result = CliRunner().invoke(app, list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    stdout = "" if words[0] in _PRINTS_DATA else result.stdout
    return _sorted_out(result.exit_code, stdout, result.stderr, result, allowed)


def typed_outside(
    *words: str, cwd: Path, allowed: Sequence[int] = (0,), seconds: float = 280
) -> Any:
    """The installed command in a process of its own; as :func:`typed`."""
    environment = {k: v for k, v in os.environ.items() if k != "FR_ENSEMBLE_HOME"}
    ran = subprocess.run(
        [COMMAND, *words],
        cwd=cwd,
        env=environment,
        capture_output=True,
        check=False,
        timeout=seconds,
        stdin=subprocess.DEVNULL,
    )
    stdout, stderr = (s.decode("utf-8", "backslashreplace") for s in (ran.stdout, ran.stderr))
    shown = "" if words[0] in _PRINTS_DATA else stdout
    return _sorted_out(ran.returncode, shown, stderr, stdout, allowed)


def _sorted_out(code: int, stdout: str, stderr: str, result: Any, allowed: Sequence[int]) -> Any:
    for name, text in (("stdout", stdout), ("stderr", stderr)):
        if text.strip() and (flaw := flaw_of(text[:2000], lines=10**6)):
            raise Flawed(f"{name} has {flaw}")
    if code in allowed:
        return result
    if code not in (1, 2):
        raise Flawed(f"exit code {code}: {stderr[-300:]}")
    errors = [line for line in stderr.splitlines() if line.startswith("error: ")]
    if code == 2 and len(errors) != 1:
        raise Flawed(f"exit code 2 with {len(errors)} errors: {stderr[-300:]}")
    raise Refused(errors[0].removeprefix("error: ") if errors else _last_line(stdout or stderr))


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1].strip()


__all__ = ["GateRefusal", "UnusableInput"]
