"""The few verbs that everything kept goes through: read, put, names, publish, delete.

A path is a local one or the address of an object store (universal-pathlib); what differs between
the two is here and nowhere else. Nothing is ever half there: a file is put whole, and several files
that belong together are published, that is, read only through a manifest that is put last. Nothing
relies on renaming a folder, which an object store can't do.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from upath import UPath

from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import temporary_name

_LOCAL = frozenset({"", "file", "local"})


def is_local(path: UPath) -> bool:
    """Whether ``path`` lies on a disk of this machine, where files can be renamed and locked."""
    return path.protocol in _LOCAL


def read(path: UPath, what: str) -> bytes:
    """The bytes of ``path``, or :class:`UnusableInput` that calls the file ``what``."""
    try:
        return bytes(path.read_bytes())
    except FileNotFoundError as error:
        raise UnusableInput(f"{path}: expected {what}, found no such file.") from error
    except OSError as error:
        raise UnusableInput(
            f"{path}: expected {what}, found it unreadable ({error.strerror or error})."
        ) from error


def put(path: UPath, data: bytes) -> None:
    """Write ``data`` to ``path`` so that ``path`` is whole at any moment.

    Raises
    ------
    UnusableInput
        If the folder can't be written.
    """
    try:
        if is_local(path):
            _put_on_disk(Path(str(path)), data)
        else:
            # Stores of objects show an object only once it was sent whole.
            path.write_bytes(data)
    except OSError as error:
        raise UnusableInput(
            f"{path}: expected to be able to write this file, found '{error.strerror or error}'; "
            "choose another place (--home, FR_ENSEMBLE_HOME, --out) or mend the permissions."
        ) from error


def _put_on_disk(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / temporary_name(path.name)
    try:
        with temporary.open("wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def names(folder: UPath) -> list[str]:
    """What lies in ``folder``, sorted, without what is hidden or half-made; nothing if it isn't."""
    try:
        found = [entry.name for entry in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name for name in found if name and not name.startswith("."))


def delete(path: UPath) -> None:
    """Remove a file, or a folder and all that is in it; nothing if it isn't there.

    A link is removed, never what it leads to.
    """
    if is_local(path):
        local = Path(str(path))
        if local.is_dir() and not local.is_symlink():
            shutil.rmtree(local, ignore_errors=True)
        else:
            local.unlink(missing_ok=True)
    elif path.exists():
        path.fs.rm(path.path, recursive=True)


def publish(folder: UPath, files: Mapping[str, bytes], manifest: str) -> None:
    """Let ``folder`` hold exactly ``files``; whoever reads it looks for ``manifest`` first.

    The manifest is put last, and taken away first where other files stand already: at any moment,
    whenever the writer is killed, there is a whole publication or none.

    Parameters
    ----------
    files
        Their bytes by name; ``manifest`` is one of them, and names the digests of the others.
    """
    if _holds(folder, files):
        return
    delete(folder / manifest)
    for name in names(folder):
        if name not in files:
            delete(folder / name)
    for name, data in files.items():
        if name != manifest:
            put(folder / name, data)
    put(folder / manifest, files[manifest])


def is_published(folder: UPath, manifest: str) -> bool:
    """Whether a publication stands in ``folder``."""
    return (folder / manifest).is_file()


def _holds(folder: UPath, files: Mapping[str, bytes]) -> bool:
    try:
        return names(folder) == sorted(files) and all(
            (folder / name).read_bytes() == data for name, data in files.items()
        )
    except OSError:
        return False
