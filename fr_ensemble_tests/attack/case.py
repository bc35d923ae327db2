"""One odd input, what must become of it, and the judgement of what did."""

from __future__ import annotations

import io
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from rich.console import Console

from fr_ensemble_assets.foundation.errors import GateRefusal, UnusableInput
from fr_ensemble_tests.attack.material import Material

REFUSED, ACCEPTED, BROKEN = "refused", "accepted rightly", "broken"
#: A sentence is for a person; longer than this it is a dump.
SENTENCE_MAX = 2000

Must = Literal["refuse", "accept", "either"]
#: Says what is wrong with a result that was accepted; nothing, if it is harmless.
Oracle = Callable[[Any], str]


class Refused(Exception):
    """The command line refused; the text is what it printed."""


class Flawed(Exception):
    """The command line did something that no outcome allows."""


@dataclass(frozen=True)
class Case:
    """An input that lies on the disk.

    Attributes
    ----------
    target
        What is handed to the product.
    must
        ``refuse``: no other outcome is right. ``accept``: the input is good in spite of its looks.
        ``either``: refusing is right, accepting only if the oracle finds nothing.
    why
        The reason for ``must``, for whoever reads that it was broken.
    oracle
        Asked whenever the input was accepted; there is no acceptance by default.
    options
        More words for the command line, or whatever the kind wants.
    """

    target: Path
    must: Must
    why: str
    oracle: Oracle | None = None
    options: tuple[str, ...] = ()


#: Writes an input into a folder of its own, from a source of chance.
Maker = Callable[[random.Random, Path, Material], Case]


class Kind(NamedTuple):
    """A kind of input, and how the product is asked about one."""

    name: str
    makers: Sequence[tuple[str, Maker]]
    #: Calls the product in this process; the folder is for what it writes.
    attempt: Callable[[Case, Path, Material], Any]
    #: The same question as a command line, or nothing where there is none.
    command: Callable[[Case, Path, Material], list[str]] | None = None
    #: Every so many-th input goes through the command line as well.
    sample: int = 15
    #: Whether the command must end as the function did; else only in an orderly way.
    same: bool = True
    #: Exit codes with which the command accepts.
    accepting: tuple[int, ...] = (0,)


class Task(NamedTuple):
    """Which input: it is made anew from these alone."""

    kind: str
    number: int
    seed: int

    def __str__(self) -> str:
        return f"{self.kind}:{self.number}"

    def random(self) -> random.Random:
        return random.Random(f"{self.seed} {self.kind} {self.number}")


class Finding(NamedTuple):
    """What became of one input."""

    task: Task
    name: str
    outcome: str
    told: str


def judge(task: Task, name: str, case: Case, attempt: Callable[[], Any]) -> Finding:
    """Make the attempt, and say which of the three outcomes it was."""

    def found(outcome: str, told: str) -> Finding:
        return Finding(task, name, outcome, shown(told))

    try:
        result = attempt()
    except (UnusableInput, GateRefusal, Refused) as error:
        sentence = str(error) if isinstance(error, Refused) else rendered(str(error))
        flaw = flaw_of(sentence)
        if flaw:
            return found(BROKEN, f"refused with {flaw}: {sentence}")
        if case.must == "accept":
            return found(BROKEN, f"refused, though {case.why}: {sentence}")
        return found(REFUSED, sentence)
    except Exception as error:
        return found(BROKEN, f"{type(error).__name__}: {error}")
    if case.must == "refuse":
        return found(BROKEN, f"accepted, though {case.why}")
    complaint = case.oracle(result) if case.oracle else "nobody says that it is harmless"
    if complaint:
        return found(BROKEN, f"accepted, but {complaint}")
    return found(ACCEPTED, case.why)


def rendered(sentence: str) -> str:
    """A refusal as the terminal gets it."""
    from fr_ensemble_assets.cli.printing import terminal

    caught = io.StringIO()
    kept, terminal.err = (
        terminal.err,
        Console(file=caught, highlight=False, soft_wrap=True, emoji=False),
    )
    try:
        terminal.fail(sentence)
    finally:
        terminal.err = kept
    return caught.getvalue().rstrip("\n").removeprefix("error: ")


def flaw_of(text: str, lines: int = 1) -> str:
    """What makes a text unfit for a terminal; nothing, if it is fit."""
    written = text.encode("utf-8", "backslashreplace").decode()  # as Python's stderr does
    if not written.strip():
        return "no sentence"
    if "Traceback" in written:
        return "a traceback"
    if len(written) > SENTENCE_MAX:
        return f"{len(written)} characters"
    if written.count("\n") >= lines:
        return f"{written.count(chr(10)) + 1} lines"
    odd = sorted({letter for letter in written if letter != "\n" and not letter.isprintable()})
    return f"control characters {odd}" if odd else ""


def shown(text: str, longest: int = 300) -> str:
    """A text from outside, fit to be printed."""
    plain = ascii(text)[1:-1].replace("\\'", "'").replace("\\\\", "\\")
    return plain if len(plain) <= longest else f"{plain[:longest]}…"


def tree_of(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Everything under ``folder``: name, kind, size and time of change."""
    found = {}
    for at, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(at, name)  # noqa: PTH118 (names that are not UTF-8 too)
            told = os.lstat(path)
            size = 0 if name in folders else told.st_size
            when = 0 if name in folders else told.st_mtime_ns
            found[os.path.relpath(path, folder)] = (told.st_mode, size, when)
    return found
