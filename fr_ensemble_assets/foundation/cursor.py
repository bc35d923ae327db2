"""What a sensor remembers between two looks, as the text that its cursor is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import parse_json

Memory = TypeVar("Memory")


def cursor_text(version: int, fields: Mapping[str, Any]) -> str:
    """``fields`` as JSON, marked with the ``version`` of their form."""
    return json.dumps({"version": version, **fields}, sort_keys=True)


def read_cursor(
    text: str | None,
    version: int,
    read: Callable[[dict[str, Any]], Memory],
    nothing: Callable[[], Memory],
) -> Memory:
    """Back from :func:`cursor_text`, by ``read``.

    ``nothing()``, the memory of who never looked, where there is no text, another version's, or
    one that can't be read: a sensor looks again rather than stand still.
    """
    try:
        fields = parse_json((text or "").encode(), "the sensor's cursor")
        return read(fields) if fields["version"] == version else nothing()
    except (UnusableInput, KeyError, TypeError, ValueError, AttributeError):
        return nothing()
