"""Stores of objects: how their drivers are set up, whether one answers, what a listing tells."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

import fsspec.config
from upath import UPath

from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.trouble import trouble_behind
from fr_ensemble_assets.foundation.wording import shown

#: The extra that brings what a cluster needs, and the drivers that it doesn't bring.
EXTRA = "fr-ensemble[cluster]"
_DRIVERS = {"gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs", "abfss": "adlfs"}
#: Listings are never remembered: another host may have written since. A store that is started anew
#: is waited for, some half a minute in all.
_ALL: dict[str, Any] = {"use_listings_cache": False}
_S3: dict[str, Any] = {
    "connect_timeout": 5,
    "read_timeout": 30,
    "retries": {"mode": "standard", "total_max_attempts": 8},
}
#: So long a store may take to answer the first question (s).
_PATIENCE_S = 5.0
#: How a file looks from outside; any change of it shows there.
Looks = tuple[int | float | str, ...]


def set_up_drivers() -> None:
    """Set what we need where the person's own settings (``~/.config/fsspec``) say nothing."""
    for protocol in ("s3", "gcs", "abfs"):
        conf = fsspec.config.conf.setdefault(protocol, {})
        for key, value in _ALL.items():
            conf.setdefault(key, value)
    s3 = fsspec.config.conf["s3"]
    s3.setdefault("config_kwargs", _S3)
    # Reading in several pieces at once would ask for the size first, and mix what is replaced.
    s3.setdefault("max_concurrency", 1)


def missing_driver(address: str, error: Exception) -> UnusableInput:
    """What to say where the driver of an address isn't installed, or there is none."""
    scheme = address.partition("://")[0]
    if isinstance(error, ImportError):
        package = _DRIVERS.get(scheme, EXTRA)
        return UnusableInput(
            f"{address}: expected the driver of '{shown(scheme)}' stores, found none; install it "
            f"with 'pip install {package}'."
        )
    return UnusableInput(
        f"{address}: expected a path, found '{error}'; use a local path or install the driver."
    )


@lru_cache(maxsize=8)
def require_reachable(root: UPath) -> None:
    """List ``root`` once, with little patience; asked once a process and address.

    Raises
    ------
    UnusableInput
        If there is no such bucket, or the credentials don't open it.
    StorageTrouble
        If nothing answers.
    """
    if not root.path.strip("/"):
        raise UnusableInput(
            f"{root}: expected a bucket and a prefix, as in {root.protocol}://bucket/prefix, found "
            "no bucket; name one."
        )
    try:
        _ask(root)
    except FileNotFoundError as error:
        if error.__cause__ is not None:  # an empty prefix is told without one
            raise _closed(root, error) from error
    except PermissionError as error:
        raise _closed(root, error) from error
    except Exception as error:  # whatever the drivers of several vendors make of it
        trouble = trouble_behind(error)
        if trouble is not None and "Credentials" not in type(error).__name__:
            raise trouble from error
        raise _closed(root, error) from error


def _ask(root: UPath) -> None:
    from fsspec.asyn import AsyncFileSystem, sync

    fs = root.fs
    if not isinstance(fs, AsyncFileSystem):
        fs.ls(root.path)
        return
    once = type(fs)(**{**fs.storage_options, **_impatient(root.protocol)}, skip_instance_cache=True)
    sync(once.loop, once._ls, root.path, timeout=_PATIENCE_S)


def _impatient(protocol: str) -> dict[str, Any]:
    if protocol not in ("s3", "s3a"):
        return {}
    return {
        "config_kwargs": {"connect_timeout": 3, "read_timeout": 5, "retries": {"max_attempts": 0}}
    }


def _closed(root: UPath, error: Exception) -> UnusableInput:
    found = shown(" ".join(str(error).split()) or type(error).__name__, 200)
    return UnusableInput(
        f"{root}: expected a store of objects that opens, found '{found}'; look at the bucket's "
        "name and at the credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL)."
    )


def look_at(path: UPath) -> tuple[int, Looks | None]:
    """Size and looks of an object; :class:`FileNotFoundError` where it isn't."""
    told = path.fs.info(path.path)
    return int(told["size"]), looks(path, told)


def looks(path: UPath, record: Mapping[str, Any]) -> Looks | None:
    """From what a store tells of an object, in a listing or when asked for it alone."""
    if path.protocol == "memory":  # each writing makes another object, and notes when
        return str(record.get("created")), int(record["size"])
    etag = record.get("ETag") or record.get("etag")
    return (str(etag),) if etag else None


def under(folder: UPath) -> dict[str, tuple[int, Looks | None]]:
    """Size and looks of all that lies in ``folder`` of a store of objects, however deep, by name.

    One paged listing, which tells the ETags too; nothing if there is none.
    """
    try:
        found = folder.fs.find(folder.path, detail=True)
    except FileNotFoundError:
        return {}
    above = folder.path.strip("/") + "/"
    return {
        name.strip("/").removeprefix(above): (int(told["size"]), looks(folder, told))
        for name, told in found.items()
        if name.strip("/").startswith(above) and told.get("type") != "directory"
    }


def listed(folder: UPath) -> dict[str, Mapping[str, Any]]:
    """What a store of objects tells of all that lies in ``folder``, by name, in one listing."""
    try:
        found = folder.fs.ls(folder.path, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    itself = folder.path.strip("/")
    told = {entry["name"].strip("/"): entry for entry in found}
    return {PurePosixPath(name).name: told[name] for name in told if name not in (itself, "")}
