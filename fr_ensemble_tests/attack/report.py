"""The table of an attack, for the terminal and for docs/trust.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fr_ensemble_tests.attack.case import ACCEPTED, BROKEN, REFUSED, Finding

_HEADINGS = ("inputs", REFUSED, ACCEPTED, BROKEN)


def _rows(findings: Sequence[Finding]) -> list[tuple[str, ...]]:
    kinds = list(dict.fromkeys(finding.task.kind for finding in findings))
    rows = []
    for kind in kinds:
        counts = Counter(f.outcome for f in findings if f.task.kind == kind)
        figures = (sum(counts.values()), *(counts[name] for name in (REFUSED, ACCEPTED, BROKEN)))
        rows.append((kind, *map(str, figures)))
    return rows


def print_findings(findings: Sequence[Finding]) -> None:
    """What broke, and the table."""
    out = Console(highlight=False, soft_wrap=True, emoji=False)
    for finding in sorted(findings, key=lambda f: (f.task.kind, f.task.number)):
        if finding.outcome == BROKEN:
            out.print(f"{finding.task} ({finding.name}): {finding.told}", markup=False)
    table = Table(title_justify="left", header_style="bold")
    table.add_column("kind")
    for heading in _HEADINGS:
        table.add_column(heading, justify="right")
    for kind, *figures in _rows(findings):
        table.add_row(escape(kind), *figures)
    out.print(table)


def markdown(findings: Sequence[Finding]) -> str:
    """The table alone."""
    lines = [f"| kind | {' | '.join(_HEADINGS)} |", f"| --- {'| ---: ' * len(_HEADINGS)}|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in _rows(findings))])
