"""The few verbs that everything kept goes through: read, put, names, publish, delete.

A path is a local one or the address of an object store (universal-pathlib); what differs between
the two is here and nowhere else. Nothing is ever half there: a file is put whole, and several files
that belong together are published, that is, read only through a manifest that is put last. Nothing
relies on renaming a folder, which an object store can't do.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from upath import UPath

from fr_ensemble_assets.foundation import objects, seen
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import (
    json_bytes,
    require_no_link,
    sha256_of,
    temporary_name,
)
from fr_ensemble_assets.foundation.trouble import trouble_behind

_LOCAL = frozenset({"", "file", "local"})
objects.set_up_drivers()
#: What S3 says where something lies already, or somebody else is just putting it.
_THERE_ALREADY = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})


Looks = objects.Looks


def is_local(path: UPath | Path) -> bool:
    """Whether ``path`` lies on a disk of this machine, where files can be renamed and locked."""
    return getattr(path, "protocol", "") in _LOCAL


def read(path: UPath, what: str) -> bytes:
    """The bytes of ``path``, or :class:`UnusableInput` that calls the file ``what``.

    On a disk a pipe or a device is no file: one never ends, of another nobody writes the end.
    """
    if is_local(path):
        return read_regular(path, what, follow=True)
    try:
        return seen.content(path)
    except FileNotFoundError as error:
        raise UnusableInput(f"{path}: expected {what}, found {missing_at(path)}.") from error
    except OSError as error:
        if trouble := trouble_behind(error):
            raise trouble from error
        raise UnusableInput(
            f"{path}: expected {what}, found it unreadable ({error.strerror or error})."
        ) from error


def read_regular(path: UPath, what: str, most: int | None = None, follow: bool = False) -> bytes:
    """:func:`read` of at most ``most`` bytes; a link is refused too, unless ``follow``.

    In a folder that somebody made for us a link meant something else.
    """
    if not is_local(path):
        return _bounded(read(path, what), path, what, most)
    try:
        # Not blocking: opening a pipe would wait for somebody to write.
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
        handle = os.open(str(path), flags)
    except FileNotFoundError as error:
        raise UnusableInput(f"{path}: expected {what}, found {missing_at(path)}.") from error
    except (OSError, ValueError) as error:
        link = isinstance(error, OSError) and error.errno == errno.ELOOP
        found = "a link" if link else f"it unreadable ({getattr(error, 'strerror', 0) or error})"
        raise UnusableInput(f"{path}: expected {what}, found {found}.") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise UnusableInput(
            f"{path}: expected {what}, found a folder, a pipe or a device; "
            "put the file itself there."
        )
    with os.fdopen(handle, "rb") as opened:
        try:
            data = opened.read() if most is None else opened.read(most + 1)
            return _bounded(data, path, what, most)
        except OSError as error:
            raise UnusableInput(
                f"{path}: expected {what}, found it unreadable ({error.strerror or error})."
            ) from error


def _bounded(data: bytes, path: UPath, what: str, most: int | None) -> bytes:
    if most is not None and len(data) > most:
        raise UnusableInput(f"{path}: expected {what} of at most {most:,} bytes, found more.")
    return data


def missing_at(path: UPath | Path, wanted: str = "file") -> str:
    """``no such`` wanted, and which part of the path is the first that isn't there."""
    told = f"no such {wanted}"
    if not is_local(path):
        return told
    for folder in reversed(Path(str(path)).absolute().parents):
        try:
            if not folder.is_dir():
                wrong = f"{folder} is a file" if folder.exists() else f"there is no folder {folder}"
                return f"{told}: {wrong}"
        except (OSError, ValueError):
            return told
    return told


def found_at(path: UPath | Path, wanted: str = "file") -> str:
    """What lies at ``path``, in words for a message: ``a file``, ``a folder``, ``no such`` wanted.

    A name that no file can have, or a folder that can't be entered, is told as the system tells it.
    """
    if not is_local(path):
        if is_folder(UPath(path)):
            return "a folder"
        return "a file" if exists(UPath(path)) else f"no such {wanted}"
    try:
        kind = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "a link that leads nowhere" if path.is_symlink() else missing_at(path, wanted)
    except (OSError, ValueError) as error:
        return f"it unreadable ({getattr(error, 'strerror', None) or error})"
    if stat.S_ISREG(kind):
        return "a file"
    return "a folder" if stat.S_ISDIR(kind) else "a pipe or a device"


def put(path: UPath, data: bytes) -> None:
    """Write ``data`` to ``path`` so that ``path`` is whole at any moment.

    On a disk, in a folder that is its owner's alone, the file is too.

    Raises
    ------
    UnusableInput
        If the folder can't be written, or a device or a pipe lies there: a rename would take its
        place, and root may do that even to ``/dev/null``.
    StorageTrouble
        If the disk is full or fails.
    """
    try:
        if is_local(path):
            if (found := found_at(path)) == "a pipe or a device":
                raise UnusableInput(
                    f"{path}: expected a file, or none yet, to write to, found {found}; "
                    "name a file."
                )
            _put_on_disk(Path(str(path)), data)
        else:
            _put_object(path, data)
    except OSError as error:
        if trouble := trouble_behind(error):
            raise trouble from error
        raise UnusableInput(
            f"{path}: expected to be able to write this file, found '{error.strerror or error}'; "
            "choose another place (--home, FR_ENSEMBLE_HOME, --out) or mend the permissions."
        ) from error


def _put_object(path: UPath, data: bytes) -> None:
    """Stores of objects show an object only once it was sent whole; one that is the same stays."""
    if not seen.holds(path, data):
        with objects.as_os_errors():
            path.fs.pipe_file(path.path, data)
        seen.was_put(path, data)


def put_new(path: UPath, data: bytes) -> bool:
    """:func:`put` where nothing lies yet; whether it was we who put it, of all who tried at once.

    Only in a store of objects (``If-None-Match: *``, or what its vendor has for it).

    Raises
    ------
    UnusableInput
        If the store can't be written.
    """
    try:
        seen.was_changed(path)
        with objects.as_os_errors():
            path.fs.pipe_file(path.path, data, mode="create")
    except OSError as error:
        told = getattr(error.__cause__, "response", None)  # S3's driver has a dictionary there
        code = told.get("Error", {}).get("Code") if isinstance(told, Mapping) else None
        refused = code in _THERE_ALREADY
        if refused or isinstance(error, FileExistsError):
            # An answer may have been lost, and the driver have asked again.
            return read(path, "what was put") == data
        if trouble := trouble_behind(error):
            raise trouble from error
        raise UnusableInput(
            f"{path}: expected to be able to write this object, found '{error}'; look at the "
            "credentials."
        ) from error
    return True


def put_unless_there(path: UPath, data: bytes) -> bool:
    """:func:`put` where nothing lies yet; whether it was put. On a disk it looks first."""
    if not is_local(path):
        return put_new(path, data)
    if path.exists():
        return False
    put(path, data)
    return True


def put_json(path: UPath, value: Any) -> None:
    """:func:`put` of :func:`~fr_ensemble_assets.foundation.files.json_bytes`."""
    put(path, json_bytes(value))


def _put_on_disk(path: Path, data: bytes) -> None:
    make_folder(path.parent)
    temporary = path.parent / temporary_name(path.name)
    try:
        with temporary.open("wb") as handle:
            if _is_private(path.parent):
                os.fchmod(handle.fileno(), 0o600)
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def make_folder(folder: Path) -> None:
    """Make a folder on a disk, and what it lies in, each as private as what it lies in."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=0o700 if _is_private(folder.parent) else 0o777, exist_ok=True)


def _is_private(folder: Path) -> bool:
    return not folder.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)


def stamp(path: UPath | Path) -> Looks | None:
    """How a file looks from outside; ``None`` where it isn't, or its store doesn't tell enough."""
    try:
        if is_local(path):
            found = Path(str(path)).stat()
            return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
        told = seen.told_of(UPath(path))
    except OSError:
        return None
    return None if told is None else objects.looks(UPath(path), told)


def is_there(path: UPath) -> bool:
    """Whether anything lies at ``path``, be it a link that leads nowhere."""
    return os.path.lexists(str(path)) if is_local(path) else seen.told_of(path) is not None


def exists(path: UPath) -> bool:
    """Whether a file or a folder can be read at ``path``; of a link, what it leads to."""
    return path.exists() if is_local(path) else seen.told_of(path) is not None


def is_folder(path: UPath) -> bool:
    """Whether ``path`` is a folder, or a link to one; in a store of objects, no empty one."""
    return path.is_dir() if is_local(path) else bool(seen.listing(path))


def entries(folder: UPath) -> dict[str, bool]:
    """All that lies in ``folder``, and whether each is a regular file; nothing if it isn't there.

    Raises
    ------
    NotADirectoryError
        If it is a file or a link; its text says which.
    OSError
        If it can't be listed.
    """
    if not is_local(folder):
        return {name: told["type"] == "file" for name, told in seen.listing(folder).items()}
    try:
        mode = os.lstat(str(folder)).st_mode
        if not stat.S_ISDIR(mode):
            raise NotADirectoryError("a link" if stat.S_ISLNK(mode) else "a file")
        with os.scandir(str(folder)) as scanned:
            return {entry.name: entry.is_file(follow_symlinks=False) for entry in scanned}
    except FileNotFoundError:
        return {}


def names(folder: UPath) -> list[str]:
    """What lies in ``folder``, sorted, without what is hidden or half-made; nothing if it isn't."""
    try:
        found = (
            [entry.name for entry in folder.iterdir()] if is_local(folder) else seen.listing(folder)
        )
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name for name in found if name and not name.startswith("."))


def folders(folder: UPath) -> list[UPath]:
    """The folders that lie in ``folder``, sorted; as :func:`names`, and no links."""
    if not is_local(folder):
        inside = seen.listing(folder)
        return [folder / name for name in sorted(inside) if inside[name]["type"] == "directory"]
    found = (folder / name for name in names(folder))
    return [path for path in found if path.is_dir() and not path.is_symlink()]


def size_of(folder: UPath) -> int:
    """Bytes of all files under ``folder``, or of a file; links are counted, not followed."""
    if is_local(folder):
        if not folder.is_dir():
            return Path(str(folder)).lstat().st_size
        walked = os.walk(str(folder))
        files = (Path(where, name) for where, _, found in walked for name in found)
        return sum(file.lstat().st_size for file in files)
    return int(folder.fs.du(folder.path))


def delete(path: UPath) -> None:
    """Remove a file, or a folder and all that is in it; nothing if it isn't there.

    A folder on a disk goes out of sight at once, whenever its removal ends. A link is removed,
    never what it leads to.
    """
    if is_local(path):
        local = Path(str(path))
        if local.is_dir() and not local.is_symlink():
            aside = local.parent / temporary_name(local.name)
            local.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)
        else:
            local.unlink(missing_ok=True)
    else:
        _delete_objects(path)


def _delete_objects(path: UPath) -> None:
    found = seen.told_of(path)
    if found is not None:
        inside = objects.under(path) if found.get("type") == "directory" else {}
        with contextlib.suppress(FileNotFoundError):
            path.fs.rm([f"{path.path}/{name}" for name in inside] or [path.path])
        seen.was_changed(path)


def publish(folder: UPath, files: Mapping[str, bytes], manifest: str) -> None:
    """Let ``folder`` hold exactly ``files``; whoever reads it looks for ``manifest`` first.

    The manifest is put last, and taken away first where other files stand already: at any moment,
    whenever the writer is killed, there is a whole publication or none.

    Parameters
    ----------
    files
        Their bytes by name; ``manifest`` is one of them, and names the digests of the others.

    Raises
    ------
    UnusableInput
        If the folder, or the one that it lies in, is a link: what is published would appear
        elsewhere.
    """
    if is_local(folder):
        for place in (folder.parent, folder):
            require_no_link(place)
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
    return (folder / manifest).is_file() if is_local(folder) else exists(folder / manifest)


def _holds(folder: UPath, files: Mapping[str, bytes]) -> bool:
    try:
        return names(folder) == sorted(files) and all(
            read(folder / name, "a file") == data for name, data in files.items()
        )
    except (OSError, UnusableInput):
        return False


def digests(folder: UPath) -> dict[str, str]:
    """The sha256 of each file that lies in ``folder`` itself, by name."""
    return {name: sha256_of(data) for name, data in files_in(folder).items()}


def files_in(folder: UPath) -> dict[str, bytes]:
    """Each file that lies in ``folder`` itself, by name, but what is hidden."""
    inside = sorted(entries(folder).items())
    shown = [name for name, is_file in inside if is_file and not name.startswith(".")]
    return {name: read(folder / name, "a file") for name in shown}
