"""What sensors remember: text and back, and nothing rather than rubbish."""

from __future__ import annotations

from typing import Any

import pytest

from fr_ensemble_assets.foundation.cursor import cursor_text, read_cursor


def remembered(text: str | None, version: int = 3) -> int:
    def read(fields: dict[str, Any]) -> int:
        return int(fields["looks"]["inbox"])

    return read_cursor(text, version, read, lambda: -1)


def test_memory_comes_back_from_its_text() -> None:
    assert remembered(cursor_text(3, {"looks": {"inbox": 7}})) == 7


@pytest.mark.parametrize(
    "text",
    [
        *(None, "", "rubbish", "[]", "7", '{"looks": {"inbox": 7}}'),
        cursor_text(2, {"looks": {"inbox": 7}}),
        cursor_text(3, {}),
        cursor_text(3, {"looks": []}),
        cursor_text(3, {"looks": {"inbox": "many"}}),
    ],
)
def test_nothing_is_known_where_a_cursor_can_not_be_read(text: str | None) -> None:
    assert remembered(text) == -1
