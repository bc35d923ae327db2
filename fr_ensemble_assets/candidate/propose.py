"""The diff that puts our rows into somebody else's registry and leaves every other byte alone."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from upath import UPath

from fr_ensemble_assets.candidate.verify import verified
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import unique_pairs

#: Where a row of theirs has them, they are theirs.
_SETTLED = ("license_url", "sigstore_bundle")
_SPACE = re.compile(r"[ \t\r\n]*")
_decoder = json.JSONDecoder()
#: Far above any registry: 64 MiB.
_MAX_BYTES = 1 << 26


@dataclass(frozen=True)
class _Span:
    """A value in the text: what it is and where it starts and ends (characters)."""

    value: Any
    start: int
    end: int


@dataclass(frozen=True)
class Proposal:
    """A registry's text with our rows in it, and what became of each row."""

    text: str
    replaced: tuple[str, ...]
    added: tuple[str, ...]
    #: Rows of theirs that keep a signature which can't fit the new digest.
    stale_signatures: tuple[str, ...]


def propose_candidate(candidate: UPath, registry: UPath) -> tuple[str, Proposal]:
    """Verify ``candidate``, then the diff of ``registry`` with its rows; nothing is written.

    Raises
    ------
    UnusableInput
        If the candidate doesn't verify, or the registry can't be read.
    """
    rows = verified(candidate).rows
    data = store.read_regular(registry, "a registry", _MAX_BYTES, follow=True)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnusableInput(
            f"{registry}: expected UTF-8 text, found the byte 0x{data[error.start]:02x} at "
            f"offset {error.start}."
        ) from error
    proposal = propose(text, rows, str(registry))
    return unified_diff(text, proposal.text, path_in_tree(registry)), proposal


def propose(registry: str, rows: Sequence[Mapping[str, Any]], where: str) -> Proposal:
    """Replace or add ``rows`` in the text of a registry.

    In a row that is there, the values of ours that differ (digest, smoke flag, notes) are replaced
    in place; keys that only they have stay, and so do licence address and name of the signature,
    which they settled. A row that isn't there is added before the first row
    with a greater id, in the layout of its neighbours.

    Raises
    ------
    UnusableInput
        If ``registry`` is not JSON with a list of rows in ``models``, or holds an id twice.
    """
    replaced, added, stale = [], [], []
    for row in sorted(rows, key=lambda row: str(row["id"])):
        listed = _rows(registry, where)
        theirs = [span for span in listed if span.value["id"] == row["id"]]
        if len(theirs) > 1:
            raise UnusableInput(
                f"{where}: expected '{row['id']}' once, found it {len(theirs)} times."
            )
        if not theirs:
            registry = _add(registry, listed, row)
            added.append(row["id"])
            continue
        settled = {key for key in _SETTLED if key in theirs[0].value}
        ours = {key: value for key, value in row.items() if key not in settled}
        changed = _replace(registry, theirs[0], ours)
        if changed != registry:
            replaced.append(row["id"])
            if "sigstore_bundle" in theirs[0].value:
                stale.append(row["id"])
        registry = changed
    return Proposal(registry, tuple(replaced), tuple(added), tuple(stale))


def unified_diff(before: str, after: str, name: str) -> str:
    """A diff for ``git apply``, ``name`` being the path from the top of their tree."""
    old, new = (_quoted(f"{side}/{name}") for side in "ab")
    lines = difflib.unified_diff(_lines(before), _lines(after), old, new, lineterm="\n")
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _quoted(path: str) -> str:
    """A path as git writes it in a diff: quoted as in C where it has to be, closed where it ends.

    Without the tab a reader might take what stands behind a space for a date.
    """
    if path.isprintable() and not {'"', "\\"} & set(path):
        return f"{path}\t" if " " in path else path
    spelt = "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte not in b'"\\' else f"\\{byte:03o}"
        for byte in os.fsencode(path)
    )
    return f'"{spelt}"'


def path_in_tree(path: UPath) -> str:
    """``path`` from the top of the git tree that holds it, else its bare name."""
    resolved = path.resolve()
    for folder in resolved.parents:
        if (folder / ".git").exists():
            return str(resolved.relative_to(folder).as_posix())
    return str(path.name)


def _lines(text: str) -> list[str]:
    # Only \n ends a line for git; str.splitlines would also cut at form feeds and the like.
    return re.findall(r"[^\n]*\n|[^\n]+", text)


# --- where things are in the text --------------------------------------------------------------


def _rows(text: str, where: str) -> list[_Span]:
    """The rows of ``models``, each with its place in the text."""
    try:
        document = json.loads(text, object_pairs_hook=unique_pairs)
    except (ValueError, RecursionError) as error:
        raise UnusableInput(f"{where}: expected a registry in JSON, found '{error}'.") from error
    models = document.get("models") if isinstance(document, dict) else None
    if not isinstance(models, list) or not all(
        isinstance(row, dict) and isinstance(row.get("id"), str) for row in models
    ):
        raise UnusableInput(
            f"{where}: expected an object with a list 'models' of rows that have an 'id', found "
            "something else; is this the registry?"
        )
    return _elements(text, _members(text, _skip(text, 0))["models"].start)


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _value(text: str, at: int) -> _Span:
    value, end = _decoder.raw_decode(text, at)
    return _Span(value, at, end)


def _members(text: str, start: int) -> dict[str, _Span]:
    """The values of the object that opens at ``start``; ``text`` is known to be JSON."""
    members: dict[str, _Span] = {}
    at = _skip(text, start + 1)
    while text[at] != "}":
        key = _value(text, at)
        span = _value(text, _skip(text, _skip(text, key.end) + 1))
        members[key.value] = span
        at = _skip(text, span.end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return members


def _elements(text: str, start: int) -> list[_Span]:
    """The elements of the list that opens at ``start``; ``text`` is known to be JSON."""
    elements: list[_Span] = []
    at = _skip(text, start + 1)
    while text[at] != "]":
        span = _value(text, at)
        elements.append(span)
        at = _skip(text, span.end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return elements


# --- what is written into it -------------------------------------------------------------------


def _dump(value: Any, ascii_only: bool) -> str:
    return json.dumps(value, ensure_ascii=ascii_only)


def _replace(text: str, theirs: _Span, row: Mapping[str, Any]) -> str:
    """Put our values into their row, from its end to its start so that places stay true."""
    ascii_only = text.isascii()
    places = _members(text, theirs.start)
    missing = {key: row[key] for key in row if key not in places}
    if missing:
        last = max(places.values(), key=lambda span: span.end)
        key_start = text.rfind(f'"{list(places)[-1]}"', theirs.start, last.start)
        before = text[_gap_start(text, key_start) : key_start]
        addition = "".join(
            f",{before}{_dump(key, ascii_only)}: {_dump(value, ascii_only)}"
            for key, value in missing.items()
        )
        text = text[: last.end] + addition + text[last.end :]
    for key, span in sorted(places.items(), key=lambda place: place[1].start, reverse=True):
        # As text: to Python 0 is False, and 17.0 is 17.
        if key in row and _dump(span.value, True) != _dump(row[key], True):
            text = text[: span.start] + _dump(row[key], ascii_only) + text[span.end :]
    return text


def _gap_start(text: str, at: int) -> int:
    while at > 0 and text[at - 1] in " \t\r\n":
        at -= 1
    return at


def _add(text: str, listed: Sequence[_Span], row: Mapping[str, Any]) -> str:
    newline = "\r\n" if "\r\n" in text else "\n"
    if not listed:
        models = _members(text, _skip(text, 0))["models"]
        indent = _indent_of(text, models.start)
        body = _render(row, newline, f"{indent}  ", "  ", text.isascii())
        made = f"[{newline}{indent}  {body}{newline}{indent}]"
        return text[: models.start] + made + text[models.end :]
    following = next((span for span in listed if span.value["id"] > row["id"]), None)
    neighbour = following or listed[-1]
    gap = text[_gap_start(text, neighbour.start) : neighbour.start]
    inner = _gap_after_brace(text, neighbour)
    if newline in inner:
        outer = gap.rsplit(newline, 1)[-1] if newline in gap else ""
        step = inner.rsplit(newline, 1)[-1].removeprefix(outer) or "  "
        body = _render(row, newline, outer, step, text.isascii())
    else:
        body = _dump(row, text.isascii())
    if following is not None:
        return f"{text[: following.start]}{body},{gap or ' '}{text[following.start :]}"
    return f"{text[: neighbour.end]},{gap or ' '}{body}{text[neighbour.end :]}"


def _gap_after_brace(text: str, span: _Span) -> str:
    return text[span.start + 1 : _skip(text, span.start + 1)]


def _indent_of(text: str, at: int) -> str:
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip())]


def _render(row: Mapping[str, Any], newline: str, outer: str, step: str, ascii_only: bool) -> str:
    body = json.dumps(row, indent=step, ensure_ascii=ascii_only)
    return body.replace("\n", f"{newline}{outer}")
