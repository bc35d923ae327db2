"""``python -m fr_ensemble_tests.attack``: make the inputs, hand them over, print the table."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from fr_ensemble_tests.attack.case import BROKEN
from fr_ensemble_tests.attack.material import material_at
from fr_ensemble_tests.attack.report import markdown, print_findings
from fr_ensemble_tests.attack.run import KINDS, attack


def main(
    kind: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(KINDS)}.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Inputs a kind.")] = 300,
    kills: Annotated[int, typer.Option(min=0, help="Runs that are killed.")] = 200,
    seed: Annotated[int, typer.Option(help="Another one makes other inputs.")] = 0,
    only: Annotated[str, typer.Option(help="One input again, such as corpora:217.")] = "",
    workers: Annotated[int, typer.Option(min=1)] = os.cpu_count() or 1,
    work: Annotated[str, typer.Option(help="Keep what inputs start from in this folder.")] = "",
    home: Annotated[str, typer.Option(help="A home with this corpus' candidate, to copy.")] = "",
    markdown_too: Annotated[bool, typer.Option("--markdown", help="And as Markdown.")] = False,
) -> None:
    """Attack the product with odd inputs and kills; exit 1 if anything broke."""
    # What a killed process leaves doesn't depend on the disk; waiting for one takes most time.
    in_memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="attack-", dir=in_memory) as scratch:
        material = material_at(Path(work or scratch).absolute() / "material", home)
        findings = attack(
            material, Path(scratch), kind or list(KINDS), count, kills, seed, only, workers
        )
        print_findings(findings)
    if markdown_too:
        typer.echo(markdown(findings))
    raise typer.Exit(any(finding.outcome == BROKEN for finding in findings))


if __name__ == "__main__":
    typer.run(main)
