"""Files that are whole or absent, and JSON that is strict.

Everything is written under a temporary name in the folder where it belongs and renamed as the
last step, so that a reader never meets half a file, whenever the writer is killed.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from upath import UPath

from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.trouble import trouble_behind
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
        raise UnusableInput(
            f"{text}: expected a path, found '{error}'; use a local path or install the driver."
        ) from error
    return path


def temporary_name(name: str) -> str:
    """A name for the unfinished form of ``name``; :func:`sweep_temporaries` recognises it."""
    return f".tmp-{_MACHINE}-{os.getpid()}-{secrets.token_hex(4)}-{name}"


def make_folder(folder: UPath) -> None:
    """Make ``folder`` and what it lies in, each as private as what it lies in."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=0o700 if _is_private(folder.parent) else 0o777, exist_ok=True)


def _is_private(folder: UPath) -> bool:
    return not folder.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)


def write_bytes(path: UPath, data: bytes) -> None:
    """Write ``data`` to ``path`` so that ``path`` is whole at any moment.

    In a folder that is its owner's alone the file is too.

    Raises
    ------
    UnusableInput
        If the folder can't be written.
    StorageTrouble
        If the disk is full or fails.
    """
    try:
        make_folder(path.parent)
        temporary = path.parent / temporary_name(path.name)
        try:
            with temporary.open("wb") as handle:
                if _is_private(path.parent):
                    os.fchmod(handle.fileno(), 0o600)
                handle.write(data)
                handle.flush()
                os.fsync(handle.fileno())
            temporary.rename(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        if trouble := trouble_behind(error):
            raise trouble from error
        raise UnusableInput(
            f"{path}: expected to be able to write this file, found '{error.strerror or error}'; "
            "choose another place (--home, FR_ENSEMBLE_HOME, --out) or mend the permissions."
        ) from error


def json_bytes(value: Any) -> bytes:
    """Strict JSON (no NaN), two spaces of indentation, a newline at the end."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def write_json(path: UPath, value: Any) -> None:
    """:func:`write_bytes` of :func:`json_bytes`."""
    write_bytes(path, json_bytes(value))


def read_bytes(path: UPath, what: str) -> bytes:
    """The bytes of ``path``, or :class:`UnusableInput` that calls the file ``what``."""
    try:
        return bytes(path.read_bytes())
    except FileNotFoundError as error:
        raise UnusableInput(f"{path}: expected {what}, found no such file.") from error
    except OSError as error:
        raise UnusableInput(
            f"{path}: expected {what}, found it unreadable ({error.strerror or error})."
        ) from error


def read_bounded(path: UPath, what: str, most: int) -> bytes:
    """:func:`read_bytes` of a regular file of at most ``most`` bytes: never a pipe or a device."""
    try:
        regular = path.is_file()
        size = path.stat().st_size if regular else 0
    except (OSError, ValueError) as error:
        raise UnusableInput(
            f"{path}: expected {what}, found it unreadable "
            f"({getattr(error, 'strerror', None) or error})."
        ) from error
    if not regular and path.exists():
        raise UnusableInput(
            f"{path}: expected {what}, found a folder, a pipe or a device; "
            "put the file itself there."
        )
    if size > most:
        raise UnusableInput(
            f"{path}: expected {what} of at most {most >> 20} MiB, found {size >> 20} MiB."
        )
    return read_bytes(path, what)


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
            f"'{error.msg}'; mend or regenerate the file."
        ) from error
    except (RecursionError, ValueError) as error:
        raise UnusableInput(f"{where}: expected JSON, found '{error}'.") from error


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


@contextmanager
def folder_in_the_making(final: UPath) -> Iterator[UPath]:
    """Yield an empty temporary folder that becomes ``final`` when the block ends without error.

    A folder that stands at ``final`` with the same files is left as it is. Another one is
    replaced: it is set aside under a temporary name, the new one renamed into place, and only then
    is the old one removed. Neither it nor the folder that it lies in may be a link.
    """
    for place in (final.parent, final):
        require_no_link(place)
    make_folder(final.parent)
    making = final.parent / temporary_name(final.name)
    make_folder(making)
    try:
        yield making
        if final.exists() and folder_digests(final) == folder_digests(making):
            remove_tree(making)
        elif final.exists():
            aside = final.parent / temporary_name(final.name)
            final.rename(aside)
            making.rename(final)
            remove_tree(aside)
        else:
            making.rename(final)
    except BaseException:
        remove_tree(making)
        raise


def folder_digests(folder: UPath) -> dict[str, str]:
    """The sha256 of each file that lies in ``folder`` itself, by name."""
    return {entry.name: sha256_of_file(entry) for entry in folder.iterdir() if entry.is_file()}


def remove_tree(folder: UPath) -> None:
    """Remove a local folder and what is in it, if it is there."""
    shutil.rmtree(str(folder), ignore_errors=True)


def is_alive(pid: int) -> bool:
    """Whether a process with this id runs on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def sweep_temporaries(root: UPath) -> int:
    """Remove unfinished files and folders that dead processes of this machine left under ``root``.

    Links are not followed. Returns how many there were.
    """
    swept = 0
    for entry in list(root.iterdir()):
        match = _TEMPORARY.match(entry.name)
        if match is not None and not is_alive(int(match["pid"])):
            swept += 1
            if entry.is_dir() and not entry.is_symlink():
                remove_tree(entry)
            else:
                entry.unlink(missing_ok=True)
        elif match is None and entry.is_dir() and not entry.is_symlink():
            swept += sweep_temporaries(entry)
    return swept
