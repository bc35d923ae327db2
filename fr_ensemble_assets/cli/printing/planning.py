"""What ``recommend --clip`` answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import filesize
from rich.markup import escape
from rich.table import Table

from fr_ensemble_assets.cli.printing.terminal import err, stdout
from fr_ensemble_assets.predictors.plan import quality_name

if TYPE_CHECKING:
    from fr_ensemble_assets.predictors.plan import Planned


def print_planned(planned: Sequence[Planned], kept_at: str, to_stderr: bool) -> None:
    """The encoders by bytes, a sentence each, and the command that makes the smallest."""
    out = err if to_stderr else stdout()
    if not any(one.expected for one in planned):
        table = Table(title_justify="left", header_style="bold")
        for heading in ("encoder", "quality", "VMAF", "size", "encodes", "tried"):
            left = heading in ("encoder", "tried")
            table.add_column(heading, justify="left" if left else "right")
        for place, one in enumerate(planned):
            measured = one.whole or one.chosen
            table.add_row(
                escape(one.encoder.name),
                f"{quality_name(one.encoder)} {one.chosen.quality:g}" if one.chosen else "none",
                f"{measured.vmaf:.2f}" if measured else "",
                ("~" if one.sampled and not one.whole else "") + filesize.decimal(round(one.size))
                if one.size
                else "",
                str(len(one.made)),
                ", ".join(f"{m.quality:g}: {m.vmaf:.2f}" for m in one.made),
                style="bold green" if one.keeps and place == 0 else None,
            )
        out.print(table)
    for one in planned:
        out.print(f"- {one.sentence}", markup=False)
    if kept_at:
        out.print(f"kept:      {kept_at}", markup=False)
    best = planned[0]
    if best.line and (best.keeps or best.expected):
        out.print(best.line, markup=False)
