"""The attack itself is alive: a little of every kind, some kills, and a judge that says "broken".

What the whole attack finds is printed by ``make attack``; here only the tool is asked.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from fr_ensemble_assets.corpus.reader import read_corpus
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_tests.attack import corpora
from fr_ensemble_tests.attack.case import ACCEPTED, BROKEN, REFUSED, Case, Task, judge
from fr_ensemble_tests.attack.material import Material
from fr_ensemble_tests.attack.pool import run_all
from fr_ensemble_tests.attack.report import markdown
from fr_ensemble_tests.attack.run import KINDS
from fr_ensemble_tests.conftest import Chain, Row


@pytest.fixture
def material(few_rows: list[Row]) -> Material:
    return Material(Path(), (), tuple(few_rows), Path())


@pytest.mark.slow
def test_some_inputs_of_every_kind_and_some_kills_are_judged(promoted_once: Chain) -> None:
    # A process of its own: the attack forks, and must not have threads.
    words = ["--home", str(promoted_once[0]), "--count", "10", "--kills", "3", "--markdown"]
    command = [sys.executable, "-m", "fr_ensemble_tests.attack", *words]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)
    assert ran.returncode in (0, 1), ran.stderr
    found = re.findall(r"^\| (\w+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", ran.stdout, re.M)
    table = {kind: tuple(map(int, figures)) for kind, *figures in found}
    assert tuple(table) == KINDS
    assert table.pop("kills") == (3, 0, 3, 0)
    for inputs, refused, accepted, broken in table.values():
        assert inputs == refused + accepted + broken == 10
        assert refused


def test_same_number_makes_the_same_input(material: Material, tmp_path: Path) -> None:
    for number, (_, maker) in enumerate(corpora.KIND.makers[:20]):
        made = []
        for name in ("a", "b"):
            folder = tmp_path / f"{number}{name}"
            folder.mkdir()
            case = maker(Task("corpora", number, 0).random(), folder, material)
            made.append(case.target.read_bytes())
        assert made[0] == made[1]


# --- the judge can say it ----------------------------------------------------------------------

TASK = Task("corpora", 0, 0)


def judged(case: Case, attempt: Any) -> tuple[str, str]:
    finding = judge(TASK, "a case", case, attempt)
    return finding.outcome, finding.told


def refuse(sentence: str) -> Any:
    raise UnusableInput(sentence)


def test_reader_that_lets_a_bad_line_pass_is_broken(material: Material, tmp_path: Path) -> None:
    def careless(case: Case, _: Path, __: Material) -> Any:
        """Drops the lines that it doesn't understand."""
        lines = case.target.read_bytes().split(b"\n")
        kept = [line for line in lines if line.startswith(b"{") and line.endswith(b"}")]
        (tmp_path / "kept.jsonl").write_bytes(b"\n".join(kept))
        return read_corpus(UPath(tmp_path / "kept.jsonl"))

    maker = dict(corpora.KIND.makers)["junk after a line"]
    outcomes = set()
    for number in range(5):
        case = maker(random.Random(number), tmp_path, material)
        outcomes.add(judged(case, lambda case=case: careless(case, tmp_path, material))[0])
    assert BROKEN in outcomes


@pytest.mark.parametrize(
    ("must", "sentence", "outcome"),
    [
        ("refuse", "x.jsonl: expected rows, found none.", REFUSED),
        ("either", "x.jsonl: expected rows, found none.", REFUSED),
        ("accept", "x.jsonl: expected rows, found none.", BROKEN),
        ("refuse", "two\nlines", BROKEN),
        ("refuse", "\x1b[31mred", BROKEN),
        ("refuse", "x" * 2001, BROKEN),
        ("refuse", "Traceback (most recent call last):", BROKEN),
    ],
)
def test_refusal_is_judged_by_its_sentence(must: Any, sentence: str, outcome: str) -> None:
    class Loud(UnusableInput):
        def __str__(self) -> str:
            return sentence

    def attempt() -> None:
        raise Loud("")

    assert judged(Case(Path("x"), must, "it is so"), attempt)[0] == outcome


def test_nothing_is_accepted_by_default() -> None:
    assert judged(Case(Path("x"), "either", "why"), lambda: 1)[0] == BROKEN
    assert judged(Case(Path("x"), "refuse", "why", lambda _: ""), lambda: 1)[0] == BROKEN
    assert judged(Case(Path("x"), "either", "why", lambda _: "other rows"), lambda: 1)[0] == BROKEN
    assert judged(Case(Path("x"), "either", "why", lambda _: ""), lambda: 1) == (ACCEPTED, "why")
    assert judged(Case(Path("x"), "either", "why"), lambda: 1 / 0)[0] == BROKEN


def test_worker_that_hangs_grows_or_crashes_is_replaced() -> None:
    def work(task: Task) -> Any:
        if task.number == 0:
            time.sleep(60)
        if task.number == 1:
            return [bytearray(1 << 20) for _ in range(2000)] and time.sleep(60)
        if task.number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return judge(task, "fine", Case(Path("x"), "either", "why", lambda _: ""), lambda: 1)

    tasks = [Task("x", number, 0) for number in range(4)]
    found = {f.task.number: f.told for f in run_all(tasks, work, 1, seconds=1, memory=1 << 30)}
    assert found[0] == "took longer than 1 s"
    assert found[1] in ("took more than 1024 MiB of memory", "took longer than 1 s")
    assert "crashed" in found[2]
    assert found[3] == "why"


def test_table_counts_every_outcome() -> None:
    findings = [
        judge(Task("corpora", 0, 0), "", Case(Path("x"), "refuse", ""), lambda: refuse("no")),
        judge(Task("corpora", 1, 0), "", Case(Path("x"), "either", ""), lambda: 1),
    ]
    assert markdown(findings).splitlines()[-1] == "| corpora | 2 | 1 | 0 | 1 |"
