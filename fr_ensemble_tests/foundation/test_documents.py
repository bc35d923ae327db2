"""Documents as types: what departs from one is told in one sentence that names the place."""

from __future__ import annotations

import json
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Le

from fr_ensemble_assets.foundation.documents import Document, parse_document
from fr_ensemble_assets.foundation.errors import UnusableInput


class Leaf(Document):
    plcc: Annotated[float, Ge(-1), Le(1)] | None


class Tree(Document):
    version: Literal[1]
    name: str
    leaves: tuple[Leaf, ...]
    count: int = 0


WHOLE = {"version": 1, "name": "oak", "leaves": [{"plcc": 0.5}, {"plcc": None}], "other": "kept"}


def test_a_whole_document_becomes_a_frozen_value() -> None:
    tree = parse_document(Tree, json.dumps(WHOLE).encode(), "tree.json")
    assert [leaf.plcc for leaf in tree.leaves] == [0.5, None]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"version": 2}, "expected 'version' to be 1, found 2."),
        ({"name": 7}, "expected 'name' to be text, found 7."),
        ({"leaves": {}}, "expected 'leaves' to be a list, found an object."),
        ({"leaves": [{"plcc": "0.5"}]}, "expected 'leaves[0].plcc' to be a number, found the text"),
        ({"leaves": [{"plcc": 1.5}]}, "expected 'leaves[0].plcc' to be at most 1, found 1.5."),
        ({"leaves": [{}]}, "expected 'leaves[0].plcc', found no such field."),
        ({"count": 1.5}, "expected 'count' to be a whole number, found 1.5."),
        ({"count": True}, "expected 'count' to be a whole number, found True."),
    ],
)
def test_a_departure_is_told_with_its_place(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(UnusableInput) as refused:
        parse_document(Tree, json.dumps(WHOLE | change).encode(), "tree.json")
    assert str(refused.value).startswith(f"tree.json: {sentence}")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[1]", "expected a JSON object, found a list of 1"),
        ('{"name": "a", "name": "b"}', "the key 'name' twice"),
        ("{", "expected JSON"),
    ],
)
def test_what_is_no_object_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(UnusableInput, match=sentence):
        parse_document(Tree, text.encode(), "tree.json")
