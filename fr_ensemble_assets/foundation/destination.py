"""Where a person wants a file: found out before any work whether it can be written there."""

from __future__ import annotations

from pathlib import Path

from upath import UPath

from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import temporary_name
from fr_ensemble_assets.foundation.trouble import trouble_behind


def require_folder_of(path: UPath, option: str) -> None:
    """The folder that ``path`` is to lie in is there: none is made for a mistyped name.

    Raises
    ------
    UnusableInput
        If it isn't; the message says which part of the path is wrong, and names ``option``.
    """
    if store.is_local(path) and not Path(str(path)).absolute().parent.is_dir():
        found = store.missing_at(path).removeprefix("no such file: ")
        raise UnusableInput(
            f"{option} {path}: expected a place in a folder that is there, found that {found}; "
            "make the folder, or choose another."
        )


def require_writable(path: UPath, option: str) -> None:
    """A file can be written at ``path``; in a store of objects that is seen only later.

    Raises
    ------
    UnusableInput
        If its folder isn't there or can't be written, or a folder lies in the file's place.
    StorageTrouble
        If the disk is full or fails.
    """
    if not store.is_local(path):
        return
    require_folder_of(path, option)
    local = Path(str(path))
    if local.is_dir():
        raise UnusableInput(
            f"{option} {path}: expected a file to write, found a folder; name a file in it."
        )
    trial = local.parent / temporary_name(local.name)
    try:
        local.name.encode("utf-8")
        trial.touch()
        trial.unlink()
    except (OSError, UnicodeEncodeError) as error:
        if trouble := trouble_behind(error, str(path)):
            raise trouble from error
        found = getattr(error, "strerror", None) or "a name that is not UTF-8"
        raise UnusableInput(
            f"{option} {str(path)!r}: expected to be able to write this file, found '{found}'; "
            f"choose another with {option}."
        ) from error
