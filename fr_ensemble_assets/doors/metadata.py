"""Plots and tables as Dagster metadata, and what all assets have in common."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from fr_ensemble_assets.foundation.figures import COARSE_DOTS, small_png
from fr_ensemble_assets.foundation.home import SHORT_SHA_LENGTH, Home
from fr_ensemble_assets.foundation.wording import shown

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure
    from upath import UPath

OWNERS = ["team:vmaf-ensemble"]

_DIGEST = re.compile(rf"([0-9a-f]{{{SHORT_SHA_LENGTH}}})[0-9a-f]{{{64 - SHORT_SHA_LENGTH}}}")
_MARKDOWN = re.compile(r"[!-/:-@\[-`{-~]")

Cell = str | int | float | bool | None

#: Pixels that a window of 1280 leaves for a value, and what a letter and a cell of a table take.
_ROOM, _LETTER, _PADDING = 385, 8.4, 17
#: The longest word that fits there: one that is longer widens the page, and all else on it is cut.
_WORD = 40
_LONG_WORD = re.compile(rf"\S{{{_WORD + 1},}}")
#: Room for a line that counts the rest.
_REST = 30
#: Figures from here on are whole.
_WHOLE_FROM = 1000
#: The UI shows shorter Markdown at once, and folds longer behind a click.
_FOLDED_FROM = 1000


def plot(figure: Figure, caption: str, coarse: bool = False) -> dg.MarkdownMetadataValue:
    """A figure as a picture inside Markdown; ``coarse`` where an event has much else to hold."""
    made = small_png(figure, COARSE_DOTS) if coarse else small_png(figure)
    encoded = base64.b64encode(made).decode()
    return dg.MetadataValue.md(f"![{escaped(caption)}](data:image/png;base64,{encoded})")


def escaped(text: str) -> str:
    """Text of foreign origin inside Markdown, as it is: a source's name may look like a link."""
    return _MARKDOWN.sub(r"\\\g<0>", " ".join(text.split()))


def table(rows: Sequence[Mapping[str, Cell]]) -> dg.MetadataValue:
    """Rows with the same keys as a table, figures to four digits; types as in the first row.

    One that is wider than its column goes behind a click, as :func:`folded` says.
    """
    if _width(rows) > _ROOM:
        return dg.MetadataValue.md(_markdown(rows).ljust(_FOLDED_FROM))
    kinds = {bool: "bool", int: "int", float: "float", str: "string"}
    first = rows[0] if rows else {}
    columns = [
        dg.TableColumn(name, kinds.get(type(value), "string")) for name, value in first.items()
    ]
    records = [
        dg.TableRecord({k: "undefined" if v is None else _read(v) for k, v in row.items()})
        for row in rows
    ]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns))


def lines(sentences: Sequence[str]) -> dg.MetadataValue:
    """A line a sentence, seen without a click; what would be too long for that is counted."""
    told = [f"- {escaped(fitting(sentence))}" for sentence in sentences]
    known = len(told)
    while len("\n".join(told)) > _FOLDED_FROM - _REST:
        told.pop()
    rest = [] if len(told) == known else [f"- and {known - len(told)} more"]
    return dg.MetadataValue.md("\n".join([*told, *rest]))


def fitting(text: str) -> str:
    """Text whose long words, such as names of sources, are shortened in the middle."""
    return _LONG_WORD.sub(lambda found: shown(found[0], _WORD), text)


def _width(rows: Sequence[Mapping[str, Cell]]) -> float:
    """About how many pixels a table takes."""
    columns = [[name, *(row[name] for row in rows)] for name in (rows[0] if rows else ())]
    letters = (max(len(str(_read(cell))) for cell in column) for column in columns)
    return sum(count * _LETTER + _PADDING for count in letters)


def in_home(home: Home, path: UPath | Path) -> str:
    """A path below the home, digests as far as a shell has to be told: ``store/61c1ee346d49*/…``.

    Whole, it is a word that can't be broken.
    """
    text = str(path)
    for root in (home.root, home.local):
        text = text.removeprefix(f"{root}/")
    return _DIGEST.sub(r"\1*", text)


def _read(value: Cell) -> Cell:
    return four_digits(value) if isinstance(value, float) else value


def four_digits(value: float) -> float:
    """As many as one reads; the reasons of a verdict have those that decide."""
    return float(f"{value:.4g}")


def folded(tables: Mapping[str, Sequence[Mapping[str, Cell]]], ending: str) -> dg.MetadataValue:
    """Tables under their names, then a line: behind one click, since the UI folds what is long.

    A wide table, or a word that can't be broken, makes the whole page wider than the window, and
    what stands above is cut.
    """
    parts = [f"**{escaped(name)}**\n\n{_markdown(rows)}" for name, rows in tables.items()]
    return dg.MetadataValue.md("\n\n".join([*parts, escaped(ending)]).ljust(_FOLDED_FROM))


def _markdown(rows: Sequence[Mapping[str, Cell]]) -> str:
    if not rows:
        return "none"
    heads = [escaped(name) for name in rows[0]]
    lines = [heads, ["---"] * len(heads), *([_cell(v) for v in row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Cell) -> str:
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= _WHOLE_FROM else f"{value:.4g}"
    return "undefined" if value is None else escaped(str(value))


def column_schema(columns: Mapping[str, tuple[str, str]]) -> dict[str, dg.TableSchema]:
    """Definition metadata that lists columns: name to (type, description)."""
    listed = [dg.TableColumn(name, kind, text) for name, (kind, text) in columns.items()]
    return {"dagster/column_schema": dg.TableSchema(listed)}
