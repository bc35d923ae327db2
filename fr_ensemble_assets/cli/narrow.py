"""``--help`` in a narrow window: an option above what it does, since side by side both are cut."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand

if TYPE_CHECKING:
    import typer

#: Fewer columns leave no room for option, type and text beside each other.
_NARROW = 60
_MARKS = re.compile(r"\*\*|`")


class NarrowCommand(TyperCommand):
    """A command whose help suits the window."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The usual help, or one below the other where there is no room beside."""
        columns = shutil.get_terminal_size().columns
        if columns >= _NARROW:
            super().format_help(ctx, formatter)
            return
        formatter.width = columns
        self.format_usage(ctx, formatter)
        for paragraph in (self.help or "").split("\n\n"):
            formatter.write_paragraph()
            formatter.write_text(_MARKS.sub("", paragraph))
        for parameter in self.get_params(ctx):
            told = parameter.get_help_record(ctx)
            if told is not None:
                formatter.write_paragraph()
                formatter.write_text(told[0])
                with formatter.indentation():
                    formatter.write_text(_MARKS.sub("", told[1]))


def suit_the_window(app: typer.Typer) -> None:
    """Give every command such help."""
    for command in app.registered_commands:
        command.cls = NarrowCommand
