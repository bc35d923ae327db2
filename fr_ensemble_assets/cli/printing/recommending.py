"""What ``recommend`` answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import filesize
from rich.markup import escape
from rich.table import Table

from fr_ensemble_assets.cli.printing.terminal import err, stdout
from fr_ensemble_assets.foundation.wording import one_line

if TYPE_CHECKING:
    from fr_ensemble_assets.prediction.recommendation import Recommendations


def print_recommendations(recommended: Recommendations, to_stderr: bool) -> None:
    """The qualities of each source and encoder, the answers, and what the level means."""
    out = err if to_stderr else stdout()
    scored = any(rung.vmaf is not None for item in recommended.items for rung in item.measured)
    mean = ("measured", "predicted") if scored else ("VMAF",)
    table = Table(title_justify="left", header_style="bold")
    for heading in ("source", "encoder", "quality", *mean, "lower", "upper", "size"):
        left = heading in ("source", "encoder")
        table.add_column(heading, justify="left" if left else "right")
    for item in recommended.items:
        shown = (*item.measured, *([item.choice] if item.choice else []))
        for rung in sorted(set(shown), key=lambda rung: rung.quality):
            chosen = rung == item.choice
            table.add_row(
                escape(one_line(item.src)),
                escape(one_line(item.encoder)),
                f"{rung.quality:g}" + (" *" if rung.interpolated else ""),
                *(([f"{rung.vmaf:.2f}"] if rung.vmaf is not None else [""]) if scored else []),
                *(f"{value:.2f}" for value in (rung.mu, rung.lower, rung.upper)),
                filesize.decimal(round(rung.size)) if rung.size else "",
                style="bold green" if chosen else None,
            )
    out.print(table)
    if any(item.choice and item.choice.interpolated for item in recommended.items):
        out.print("* interpolated: no encode was made at this quality", markup=False)
    for item in recommended.items:
        out.print(f"- {one_line(item.sentence)}", markup=False)
    out.print(recommended.explanation, markup=False)
