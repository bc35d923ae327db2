"""An independent reader of JSON Lines: what a table of rows says, or why it says nothing.

Shares no code with the product: Python's own json, line by line, and the contract by hand.
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

FEATURES = ("adm2", "vif_scale0", "vif_scale1", "vif_scale2", "vif_scale3", "motion2")
KEY = ("src", "encoder", "cq", "frame_index")
TEXT = frozenset({"src", "encoder", "preset"})
WHOLE = frozenset({"frame_index", "enc_bytes"})
OPTIONAL = ("enc_bytes", "enc_time_ms", "preset")
_LARGEST = 2**53

Row = Mapping[str, Any]


class Invalid(Exception):
    """Why a table must be refused."""


class Flavour(NamedTuple):
    """What kind of table: a corpus has the target, frames need not."""

    name: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    least_rows: int
    least_sources: int
    #: Whether sources must be different clips whose target varies.
    fit: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.required, *self.optional)


CORPUS = Flavour("corpora", (*KEY, "vmaf", *FEATURES), OPTIONAL, 100, 2, fit=True)
FRAMES = Flavour("frames", (*KEY, *FEATURES), ("preset",), 1, 1)


def read(data: bytes, flavour: Flavour) -> list[Row]:
    """The distinct valid rows of a file, or :class:`Invalid`."""
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (EOFError, zlib.error, OSError) as error:
            raise Invalid(f"its gzip is damaged ({error})") from error
    rows = []
    for number, line in enumerate(data.split(b"\n"), start=1):
        try:
            text = line.decode("utf-8").removeprefix("\ufeff")
            if not text.strip(" \t\r\v\f"):
                continue
            row = json.loads(text, object_pairs_hook=_distinct)
        except (ValueError, RecursionError) as error:
            raise Invalid(f"line {number} is no JSON in UTF-8 ({error})") from error
        if not isinstance(row, dict):
            raise Invalid(f"line {number} is no object")
        rows.append(row)
    return valid(rows, flavour)


def valid(rows: Iterable[Row], flavour: Flavour) -> list[Row]:
    """Rows with the contract's columns alone, each once, or :class:`Invalid`."""
    kept: dict[tuple[Any, ...], Row] = {}
    for number, row in enumerate(rows, start=1):
        made = {name: _value(row.get(name), name, number, flavour) for name in flavour.columns}
        kept[tuple(made.values())] = made
    distinct = list(kept.values())
    keys = {tuple(row.get(name) for name in (*KEY, "preset")) for row in distinct}
    if len(keys) < len(distinct):
        raise Invalid("a key has two values")
    if len(distinct) < flavour.least_rows:
        raise Invalid(f"{len(distinct)} rows are too few")
    if len({row["src"] for row in distinct}) < flavour.least_sources:
        raise Invalid("one source can't be left out")
    if flavour.fit and (reason := unfit(distinct)):
        raise Invalid(reason)
    return distinct


def unfit(rows: Sequence[Row]) -> str:
    """Why a corpus must not be judged: a constant target, or one clip under two names."""
    by_source: dict[str, list[Row]] = {}
    for row in rows:
        by_source.setdefault(row["src"], []).append(row)
    contents: dict[frozenset[Any], str] = {}
    for source, own in by_source.items():
        if len({row["vmaf"] for row in own}) == 1:
            return f"the target of {source!r} never varies"
        names = ("encoder", "cq", "frame_index", "vmaf", *FEATURES)
        content = frozenset(tuple(row[name] for name in names) for row in own)
        if contents.setdefault(content, source) != source:
            return f"{source!r} is {contents[content]!r} under another name"
    return ""


def difference(found: Iterable[Row], wanted: Sequence[Row], flavour: Flavour) -> str:
    """How rows that were read differ from those that are there; nothing, if they don't."""

    def told(rows: Iterable[Row]) -> set[tuple[Any, ...]]:
        return {tuple(_plain(row.get(name)) for name in flavour.columns) for row in rows}

    read_rows = list(found)
    one, other = told(read_rows), told(wanted)
    if one != other:
        return f"{len(one - other)} rows were read that aren't there, {len(other - one)} are lost"
    return ""


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    number = float(value) if value == value else None  # NaN and NA: not recorded
    return None if number is None or math.isnan(number) else number


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def _value(value: Any, name: str, number: int, flavour: Flavour) -> Any:
    if value is None and name not in flavour.required:
        return None
    if name in TEXT:
        fits = isinstance(value, str) and value != "" and _encodable(value)
    else:
        fits = (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and _in_range(value, name)
        )
    if not fits:
        raise Invalid(f"{name} of row {number} can't be {str(value)[:40]!a}")
    return value if name in TEXT else float(value)


def _encodable(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _in_range(value: float, name: str) -> bool:
    try:
        number = float(value)
    except OverflowError:
        return False
    if not math.isfinite(number):
        return False
    if name == "vmaf":
        return 0 <= number <= 100
    return name not in WHOLE or (0 <= number <= _LARGEST and number == int(number))
