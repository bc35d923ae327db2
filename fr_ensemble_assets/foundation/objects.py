"""Stores of objects: how their drivers are set up, whether one answers, what a listing tells."""

from __future__ import annotations

import base64
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

import fsspec.config
from upath import UPath

from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.trouble import StorageTrouble, trouble_behind
from fr_ensemble_assets.foundation.wording import shown

#: The extra that brings what a cluster needs; not the drivers of Google's and Azure's stores.
EXTRA = "fr-ensemble[cluster]"


@dataclass(frozen=True)
class _Driver:
    """What we must know of a vendor's driver, where drivers differ.

    Attributes
    ----------
    name
        By which fsspec's settings know it.
    package
        What installs it.
    opened_by
        The variables by which it takes endpoint and credentials.
    settings
        Ours, where the person's own settings say nothing.
    impatient
        What to add for the first question, where it can be told to give up at once.
    hides_buckets
        Whether a bucket that isn't there looks as an empty prefix does; else it is told by a cause.
    logs
        Where it logs what it raises too.
    """

    name: str = ""
    package: str = EXTRA
    opened_by: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    impatient: Mapping[str, Any] = field(default_factory=dict)
    hides_buckets: bool = False
    logs: str = ""


#: Listings are never remembered: another host may have written since.
_ALL: Mapping[str, Any] = {"use_listings_cache": False}
#: A store that is started anew is waited for, some half a minute in all.
_S3_PATIENT: Mapping[str, Any] = {
    "connect_timeout": 5,
    "read_timeout": 30,
    "retries": {"mode": "standard", "total_max_attempts": 8},
}
_S3_AT_ONCE = {"connect_timeout": 3, "read_timeout": 5, "retries": {"max_attempts": 0}}
_S3 = _Driver(
    name="s3",
    opened_by=("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"),
    # Reading in several pieces at once would ask for the size first, and mix what is replaced.
    settings={**_ALL, "config_kwargs": _S3_PATIENT, "max_concurrency": 1},
    impatient={"config_kwargs": _S3_AT_ONCE},
)
_GOOGLE = _Driver(
    name="gcs",
    package="gcsfs",
    opened_by=("GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST"),
    settings=_ALL,
    hides_buckets=True,
    logs="gcsfs",
)
_AZURE = _Driver(
    name="abfs",
    package="adlfs",
    opened_by=(
        "AZURE_STORAGE_CONNECTION_STRING",
        "AZURE_STORAGE_ACCOUNT_NAME",
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
    ),
    settings=_ALL,
    hides_buckets=True,
    logs="azure",
)
_DRIVERS = {
    **dict.fromkeys(("s3", "s3a"), _S3),
    **dict.fromkeys(("gs", "gcs"), _GOOGLE),
    **dict.fromkeys(("az", "abfs", "abfss"), _AZURE),
}
#: Google's driver asks before each request, by another protocol, whether the bucket is one of two
#: kinds that we make no use of, and complains where that can't be answered.
_KINDS_OF_BUCKETS = "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"
#: So long a store may take to answer the first question (s).
_PATIENCE_S = 5.0
_MD5_DIGITS = 32
#: How a file looks from outside; any change of it shows there.
Looks = tuple[int | float | str, ...]


def set_up_drivers() -> None:
    """Set what we need where the person's own settings (``~/.config/fsspec``) say nothing."""
    for driver in (_S3, _GOOGLE, _AZURE):
        conf = fsspec.config.conf.setdefault(driver.name, {})
        for key, value in driver.settings.items():
            conf.setdefault(key, value)
        if driver.logs:  # what is raised is told by us, once
            logging.getLogger(driver.logs).addHandler(logging.NullHandler())
    os.environ.setdefault(_KINDS_OF_BUCKETS, "false")


def missing_driver(address: str, error: Exception) -> UnusableInput:
    """What to say where the driver of an address isn't installed, or there is none."""
    scheme = address.partition("://")[0]
    if isinstance(error, ImportError):
        package = _DRIVERS.get(scheme, _Driver()).package
        return UnusableInput(
            f"{address}: expected the driver of '{shown(scheme)}' stores, found none; install it "
            f"with 'pip install {package}'."
        )
    if scheme in _DRIVERS:  # it opens nothing without credentials that look like some
        return _closed(address, scheme, error)
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
    except (FileNotFoundError, PermissionError) as error:
        raise _closed(str(root), root.protocol, error) from error
    except Exception as error:  # whatever the drivers of several vendors make of it
        trouble = trouble_behind(error)
        if trouble is not None and "Credentials" not in type(error).__name__:
            raise trouble from error
        raise _closed(str(root), root.protocol, error) from error


def _ask(root: UPath) -> None:
    """List ``root``; :class:`FileNotFoundError` if there is no such bucket."""
    from fsspec.asyn import AsyncFileSystem, FSTimeoutError, sync

    fs, driver = root.fs, _DRIVERS.get(root.protocol, _Driver())
    if driver.impatient:
        fs = type(fs)(**{**fs.storage_options, **driver.impatient}, skip_instance_cache=True)

    def ask(path: str) -> None:
        if not isinstance(fs, AsyncFileSystem):
            fs.ls(path)
            return
        try:
            sync(fs.loop, fs._ls, path, timeout=_PATIENCE_S)
        except FSTimeoutError as error:
            if driver.impatient:
                raise
            # Its driver asks on: where nothing answers, and where the answer is no.
            raise StorageTrouble(
                f"{root}: expected a store of objects that opens, found none in {_PATIENCE_S:.0f} "
                f"s: look whether it runs, and at its address and the credentials"
                f"{_variables(driver)}, then type the same command."
            ) from error

    try:
        ask(root.path)
    except FileNotFoundError as error:
        if not driver.hides_buckets:
            if error.__cause__ is not None:
                raise
            return
        bucket = root.path.strip("/").partition("/")[0]
        try:
            with as_os_errors():
                ask(bucket)
        except FileNotFoundError:
            raise FileNotFoundError(f"no such bucket or container: {bucket}") from error
        except OSError:
            return  # the prefix was answered: these credentials may open it and no more


def _closed(address: str, protocol: str, error: Exception) -> UnusableInput:
    driver = _DRIVERS.get(protocol, _Driver())
    return UnusableInput(
        f"{address}: expected a store of objects that opens, found '{_first_line(error)}'; look at "
        f"the bucket's name and at the credentials{_variables(driver)}."
    )


def _variables(driver: _Driver) -> str:
    return f" ({', '.join(driver.opened_by)})" if driver.opened_by else ""


def _first_line(error: Exception) -> str:
    """Azure's driver goes on with the answer's XML."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return shown(lines[0], 200)


@contextmanager
def as_os_errors() -> Iterator[None]:
    """A store's refusal in this block is an :class:`OSError`, whatever its driver makes of it."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        if trouble_behind(error) is not None:
            raise
        raise OSError(_first_line(error)) from error


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


def md5_told(record: Mapping[str, Any]) -> str:
    """The MD5 of a content as its store found it: S3's ETag if it is one, Google's ``md5Hash``.

    Empty where none is told, as of what was put in several pieces. Azure's is its writer's word: a
    block list or a property may name any, and it isn't asked.
    """
    tag = str(record.get("ETag") or "").strip('"')
    if len(tag) == _MD5_DIGITS:
        return tag
    return base64.b64decode(record.get("md5Hash") or "").hex()


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
