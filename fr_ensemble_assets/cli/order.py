"""In which order, and under which headings, ``--help`` lists the commands: as a day goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

A_DAY = {
    "Every day": ("run", "ui", "status", "report"),
    "Ask a candidate": ("recommend", "predict"),
    "Make a corpus": ("generate",),
    "Hand over": ("propose", "card", "export", "compare", "sign", "verify"),
    "Look after": ("gate", "backfill", "clean"),
}


def in_order_of_a_day(app: typer.Typer) -> None:
    """Sort the commands and give each its heading; one that isn't listed comes last, without."""
    places = {name: (panel, name) for panel, names in A_DAY.items() for name in names}
    order = [*places]

    def name_of(command: typer.models.CommandInfo) -> str:
        return str(command.name or getattr(command.callback, "__name__", ""))

    for command in app.registered_commands:
        if name_of(command) in places:
            command.rich_help_panel = places[name_of(command)][0]
    app.registered_commands.sort(
        key=lambda command: order.index(name_of(command)) if name_of(command) in places else 99
    )
