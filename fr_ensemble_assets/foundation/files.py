"""JSON that is strict, digests, and the names of what is unfinished on a disk of this machine."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import secrets
import shutil
from collections.abc import Iterable
from functools import cache
from json.encoder import encode_basestring
from pathlib import Path
from typing import Any

from upath import UPath

from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.objects import missing_driver
from fr_ensemble_assets.foundation.wording import shown

# The writer's machine and process id are part of the name, so that leftovers of a killed process
# can be told from the work of a living one, here or on another machine that shares the store.
_MACHINE = re.sub(r"[^a-z0-9]", "", platform.node().lower()) or "localhost"
_TEMPORARY = re.compile(rf"^\.tmp-{_MACHINE}-(?P<pid>\d+)-[0-9a-f]{{8}}-")


#: Bytes that are read at a time of files that may be large.
_PIECE = 1 << 20


def parse_path(text: str) -> UPath:
    """A path or the address of an object store, as typed by a person.

    Raises
    ------
    UnusableInput
        If it names a kind of store for which nothing is installed.
    """
    try:
        path = UPath(text)
        path.fs  # noqa: B018 (finds out whether the store's driver is installed)
    except (ImportError, ValueError, TypeError) as error:
        raise missing_driver(text, error) from error
    return path


def is_temporary(name: str) -> bool:
    """Whether a file or folder of this name is unfinished, by a process of this machine."""
    return _TEMPORARY.match(name) is not None


def temporary_name(name: str) -> str:
    """A name for the unfinished form of ``name``; :func:`sweep_temporaries` recognises it."""
    return f".tmp-{_MACHINE}-{os.getpid()}-{secrets.token_hex(4)}-{name}"


def json_bytes(value: Any) -> bytes:
    """Strict JSON (no NaN), two spaces of indentation, a newline at the end."""
    return (_laid_out(value, "\n") + "\n").encode()


def _laid_out(value: Any, margin: str) -> str:
    """As ``json.dumps(value, indent=2)``, which leaves C for Python, and takes three times as long.

    ``margin`` is a newline and the spaces before what ``value`` belongs to.
    """
    if not isinstance(value, dict | list | tuple) or not value:
        return _encoder("").encode(value)
    inner = f"{margin}  "
    items = value.values() if isinstance(value, dict) else value
    if not any(isinstance(item, dict | list | tuple) for item in items):
        text = _encoder(inner).encode(value)
        return f"{text[0]}{inner}{text[1:-1]}{margin}{text[-1]}"
    parts = [_laid_out(item, inner) for item in items]
    if isinstance(value, dict):
        parts = [f"{_key(key)}: {part}" for key, part in zip(value, parts, strict=True)]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}{inner}{f',{inner}'.join(parts)}{margin}{closing}"


def _key(key: Any) -> str:
    if isinstance(key, str):
        return encode_basestring(key)
    return _encoder("").encode({key: 0})[1 : -len(": 0}")]


@cache
def _encoder(between: str) -> json.JSONEncoder:
    """One that puts ``between`` before each item but the first."""
    return json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(f",{between}", ": "))


def parse_json(data: bytes, where: str) -> Any:
    """Parse ``data``; ``NaN`` and ``Infinity`` become ``float`` as other writers leave them.

    Raises
    ------
    UnusableInput
        Names the line and column at which the text stops being JSON.
    """
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=unique_pairs)
    except UnicodeDecodeError as error:
        raise UnusableInput(
            f"{where}: expected UTF-8 text, found byte 0x{data[error.start]:02x} at offset "
            f"{error.start}; save the file as UTF-8."
        ) from error
    except json.JSONDecodeError as error:
        raise UnusableInput(
            f"{where} line {error.lineno} column {error.colno}: expected JSON, found "
            f"{not_json(error)}; mend or regenerate the file."
        ) from error
    except (RecursionError, ValueError) as error:
        raise UnusableInput(f"{where}: expected JSON, found '{error}'.") from error


#: What Python says of text that isn't JSON, where the text itself doesn't show it.
_NOT_JSON = {
    "Unterminated string": "a string that doesn't end",
    "Invalid control character": "a control character in a string",
    "Invalid \\": "an escape that JSON doesn't know",
}
_SHOWN_OF_IT = 24


def not_json(error: json.JSONDecodeError) -> str:
    """What stands where JSON was expected, for a person."""
    for begun, words in _NOT_JSON.items():
        if error.msg.startswith(begun):
            return words
    rest = error.doc[error.pos : error.pos + 2 * _SHOWN_OF_IT].strip()
    if not rest:
        return "nothing more: it is cut off"
    more = "more after its end: " if error.msg.startswith("Extra data") else ""
    return f"{more}'{shown(rest, _SHOWN_OF_IT)}'"


def unique_pairs(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are distinct, for ``json.loads``; else :class:`ValueError`."""
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise ValueError(f"the key '{shown(key)}' twice")
        made[key] = value
    return made


def sha256_of(data: bytes) -> str:
    """Lowercase hex SHA-256."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: UPath | Path) -> str:
    """Lowercase hex SHA-256 of the bytes at ``path``, read piece by piece."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while piece := handle.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def require_no_link(path: UPath) -> None:
    """Raise :class:`UnusableInput` if ``path`` is a symbolic link, wherever it leads."""
    if path.is_symlink():
        raise UnusableInput(
            f"{path}: expected no symbolic link inside the home, found one that leads to "
            f"'{Path(str(path)).readlink()}'; remove it (the home itself may be a link)."
        )


def is_alive(pid: int) -> bool:
    """Whether a process with this id runs on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def sweep_temporaries(root: UPath, deep: bool = True) -> int:
    """Remove unfinished files and folders that dead processes of this machine left under ``root``.

    Links are not followed, and without ``deep`` no folder is entered. Returns how many there were.
    """
    swept = 0
    for entry in list(root.iterdir()):
        match = _TEMPORARY.match(entry.name)
        if match is not None and not is_alive(int(match["pid"])):
            swept += 1
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(str(entry), ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
        elif deep and match is None and entry.is_dir() and not entry.is_symlink():
            swept += sweep_temporaries(entry)
    return swept
