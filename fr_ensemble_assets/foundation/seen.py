"""What was seen of a store of objects: one listing a folder and look, each content read once.

A listing tells the ETag of every object. Where it tells the MD5 of the content too (in S3 the ETag
is that, of what was put in one piece), bytes that were read before need no reading again: the
listing proves that they are what lies there. A look ends after some seconds, or when told
(:func:`look_again`), and whatever this process writes ends it for the folders concerned.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from upath import UPath

from fr_ensemble_assets.foundation import objects

#: So long a listing is believed (s): a step that works for minutes sees what others wrote.
_BELIEVED_S = 5.0
#: So many bytes of contents are kept; those that were used longest ago go first.
_KEPT_BYTES = 128 << 20

_lock = threading.Lock()
_listings: dict[str, tuple[float, Mapping[str, Mapping[str, Any]]]] = {}
_changed = 0
_contents: OrderedDict[tuple[str, str], bytes] = OrderedDict()


def look_again() -> None:
    """Believe no listing that was made before."""
    with _lock:
        _listings.clear()


def forget_contents() -> None:
    """Keep no content that was read before."""
    with _lock:
        _contents.clear()


def listing(folder: UPath) -> Mapping[str, Mapping[str, Any]]:
    """What lies in ``folder``, by name, as the store tells it; asked once a look."""
    key = str(folder).rstrip("/")
    with _lock:
        found, known = _listings.get(key), _changed
    if found is not None and time.monotonic() - found[0] < _BELIEVED_S:
        return found[1]
    began, told = time.monotonic(), objects.listed(folder)
    with _lock:
        if _changed == known:  # else another thread wrote while we asked
            _listings[key] = began, told
    return told


def told_of(path: UPath) -> Mapping[str, Any] | None:
    """What the listing of its folder tells of ``path``; ``None`` where it isn't."""
    return listing(path.parent).get(path.name)


def content(path: UPath) -> bytes:
    """The bytes of ``path``; :class:`FileNotFoundError` where it isn't."""
    told = told_of(path)
    if told is None or told.get("type") == "directory":
        raise FileNotFoundError(str(path))
    md5 = objects.md5_told(told)
    with _lock:
        kept = _contents.get((str(path), md5)) if md5 else None
        if kept is not None:
            _contents.move_to_end((str(path), md5))
            return kept
    with objects.as_os_errors():
        data = bytes(path.fs.cat_file(path.path))  # one request; opening would ask for the size
    if md5 and _md5(data) == md5:
        _keep(path, md5, data)
    return data


def holds(path: UPath, data: bytes) -> bool:
    """Whether ``path`` holds ``data`` already: by the listing's MD5, else by reading it."""
    told = told_of(path)
    if told is None or int(told["size"]) != len(data):
        return False
    if md5 := objects.md5_told(told):
        return md5 == _md5(data)
    try:
        return content(path) == data
    except FileNotFoundError:
        return False  # removed since


def was_put(path: UPath, data: bytes) -> None:
    """Note that this process put ``data``: what was seen of its folders holds no more."""
    was_changed(path)
    _keep(path, _md5(data), data)


def was_changed(path: UPath) -> None:
    """Note that this process wrote or removed something at ``path``, or under it."""
    global _changed
    changed = str(path).rstrip("/")
    with _lock:
        _changed += 1
        for folder in list(_listings):
            if f"{changed}/".startswith(f"{folder}/") or f"{folder}/".startswith(f"{changed}/"):
                del _listings[folder]


def _keep(path: UPath, md5: str, data: bytes) -> None:
    with _lock:
        _contents[str(path), md5] = data
        _contents.move_to_end((str(path), md5))
        while sum(map(len, _contents.values())) > _KEPT_BYTES:
            _contents.popitem(last=False)


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
