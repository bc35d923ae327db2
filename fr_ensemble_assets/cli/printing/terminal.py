"""The terminal, and the sentences that every command may say."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from fr_ensemble_assets.foundation.wording import one_line

#: Columns below which a table would be all ellipses.
_NARROW = 60


class Terminal(Console):
    """Prints what prints: of a text from outside, nothing speaks to the terminal itself."""

    def print(self, *objects: Any, **options: Any) -> None:
        for one in objects:
            if isinstance(one, Table) and self.width < _NARROW:
                for line in _row_by_row(one):
                    super().print(line)
                return
        super().print(*(_printable(one) for one in objects), **options)


def _row_by_row(table: Table) -> Iterator[str]:
    """A table for a window too narrow for one: a line a row, which may be wrapped."""
    names = [str(column.header) for column in table.columns]
    for cells in zip(*(column.cells for column in table.columns), strict=True):
        yield ", ".join(f"{name} {cell}" for name, cell in zip(names, cells, strict=True) if cell)


def _printable(what: Any) -> Any:
    if not isinstance(what, str):
        return what
    return "\n".join(one_line(line) for line in what.split("\n"))


err = Terminal(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def stdout() -> Terminal:
    """Where results go: whatever stdout is now."""
    # Names are names: no markup in them, and no ":name:" that becomes a picture.
    return Terminal(file=sys.stdout, highlight=False, soft_wrap=True, emoji=False)


def fail(message: str) -> None:
    """One sentence on stderr."""
    err.print("error:", style="bold red", end=" ")
    err.print(message, markup=False)


def note(message: str) -> None:
    """Something that a person should know, and that stops nothing."""
    err.print("note:", style="bold yellow", end=" ")
    err.print(message, markup=False)


def print_places(out: Terminal, places: Sequence[tuple[str, str]]) -> None:
    """A line a place: label and where it is; labels stand in a column."""
    for label, place in places:
        out.print(f"{label + ':' if label else '':<11}{one_line(place)}", markup=False)
