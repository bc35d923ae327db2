"""JSON as it is written: strict, and the bytes that the standard library gives."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import json_bytes, parse_json

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
KEYS = st.text() | st.integers() | st.booleans() | st.none()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(KEYS, inner),
    max_leaves=20,
)


@given(VALUES.filter(lambda value: "Infinity" not in json.dumps(value)))
def test_json_is_laid_out_as_the_standard_library_does(value: Any) -> None:
    plain = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        expected = plain.encode() + b"\n"
    except UnicodeEncodeError:  # half of a pair has no bytes
        with pytest.raises(UnicodeEncodeError):
            json_bytes(value)
    else:
        assert json_bytes(value) == expected


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "found nothing more: it is cut off;"),
        ('{"src": ', "found nothing more: it is cut off;"),
        ("hello", "found 'hello';"),
        ('{"a": 1} {"a": 2}', "column 10: expected JSON, found more after its end: '{\"a\": 2}';"),
        ('{"a": "never ends', "found a string that doesn't end;"),
        ('{"a": "\\q"}', "found an escape that JSON doesn't know;"),
    ],
)
def test_what_is_no_json_is_shown_and_not_called_by_the_parsers_words(
    text: str, found: str
) -> None:
    with pytest.raises(UnusableInput) as raised:
        parse_json(text.encode(), "x.json")
    assert found in str(raised.value)


@pytest.mark.parametrize("where", [[math.nan], {"a": {"b": math.inf}}, [{}, [-math.inf]], math.nan])
def test_what_is_no_number_is_refused_wherever_it_stands(where: Any) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_bytes(where)
