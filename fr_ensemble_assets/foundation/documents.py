"""Our JSON documents as types: frozen, strict, and refused in one sentence.

A model says what a document must hold, and is what others read as a JSON Schema
(``docs/schemas/``). Keys beyond the model's are let through, since our files may be read by older
versions of us, and the fork's files say more than we read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import parse_json

_FOUND_MAX = 40


class Document(BaseModel):
    """What every document of ours has in common."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="ignore", ser_json_inf_nan="null", populate_by_name=True
    )


AnyDocument = TypeVar("AnyDocument", bound=Document)


def parse_document(kind: type[AnyDocument], data: bytes, where: str) -> AnyDocument:
    """The document in ``data``, which was read from ``where``.

    Raises
    ------
    UnusableInput
        If it is no strict JSON object, has a key twice, or departs from ``kind``: names the first
        place where it does.
    """
    read_object(data, where)
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        raise UnusableInput(told(error, where)) from error


def read_object(data: bytes, where: str) -> dict[str, Any]:
    """The JSON object in ``data``; every key once."""
    value = parse_json(data, where)
    if not isinstance(value, dict):
        raise UnusableInput(f"{where}: expected a JSON object, found {_kind_of(value)}.")
    return value


def told(error: ValidationError, where: str) -> str:
    """The first departure of ``error`` as a sentence of ours."""
    first = error.errors(include_url=False)[0]
    place, found = name_place(first["loc"]), first["input"]
    at = f"{where}: expected '{place}'" if place else f"{where}: expected it"
    if first["type"] == "missing":
        return f"{at}, found no such field."
    return f"{at} to be {_expected(first)}, found {_kind_of(found)}."


def name_place(parts: Sequence[int | str]) -> str:
    """Where in a document, as one would write it: ``folds[3].plcc``."""
    name = ""
    for part in parts:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else str(part)
    return name


_KINDS = {
    "float_type": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "finite_number": "a finite number",
}


def _expected(error: Mapping[str, Any]) -> str:
    """What pydantic wanted, in our words; its own where we have none."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in _KINDS:
        return _KINDS[kind]
    if kind == "literal_error":
        return str(context["expected"])
    if kind in ("greater_than_equal", "less_than_equal", "greater_than", "less_than"):
        words = {"ge": "at least", "le": "at most", "gt": "more than", "lt": "less than"}
        return ", ".join(f"{words[name]} {value:g}" for name, value in context.items())
    message = str(error["msg"])
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _kind_of(value: object) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, str):
        return f"the text {value[:_FOUND_MAX]!a}"
    if value is None:
        return "null"
    return repr(value)[:_FOUND_MAX]
