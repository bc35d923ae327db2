"""Our JSON documents as types: frozen, strict, and refused in one sentence.

A model says what a document must hold, and is what others read as a JSON Schema
(``docs/schemas/``). Keys beyond the model's are let through, since our files may be read by older
versions of us, and the fork's files say more than we read. Models lie in their room's
``schema.py``, which is imported only where a document is read: pydantic takes its time.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import parse_json
from fr_ensemble_assets.foundation.wording import shown

_FOUND_MAX = 40
_ATTRIBUTES = "\nAttributes\n----------\n"
_DEPARTURE = "departure"
#: A correlation is computed in float64 and may leave -1..1 by its rounding.
_ROUNDING = 1e-9


def _describe(schema: dict[str, Any], kind: type[BaseModel]) -> None:
    """Take what a model's docstring says of its attributes into the JSON Schema."""
    text = inspect.cleandoc(kind.__doc__ or "").replace("``", "`")
    about, _, attributes = text.partition(_ATTRIBUTES)
    schema["description"] = " ".join(about.split())
    properties = schema.get("properties", {})
    for shape in properties.values():
        shape.pop("title", None)  # the key once more
    names: list[str] = []
    for line in attributes.splitlines():
        if line.startswith(" "):
            for shape in (properties[name] for name in names):
                shape["description"] = f"{shape.get('description', '')} {line.strip()}".strip()
        else:
            names = [name for name in line.split(", ") if name]


class Document(BaseModel):
    """What every document of ours has in common; ``advice`` is what to do about a bad one."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="ignore",
        ser_json_inf_nan="null",
        populate_by_name=True,
        json_schema_extra=_describe,
    )
    advice: ClassVar[str] = ""


def departure(expected: str, found: object) -> PydanticCustomError:
    """What a validator of ours raises: what was expected, and what was found instead."""
    return PydanticCustomError(
        _DEPARTURE, "expected {expected}", {"expected": expected, "found": found}
    )


def _in_range(value: float | None) -> float | None:
    if value is not None and abs(value) > 1 + _ROUNDING:  # which NaN is not
        raise departure("between -1 and 1", value)
    return value


#: What the fork's files may hold as NaN is ``null`` in ours.
Correlation = Annotated[float | None, AfterValidator(_in_range)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

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
        raise UnusableInput(sentence_of(error, where, kind.advice)) from error


def read_object(data: bytes, where: str) -> dict[str, Any]:
    """The JSON object in ``data``; every key once."""
    value = parse_json(data, where)
    if not isinstance(value, dict):
        raise UnusableInput(f"{where}: expected a JSON object, found {_kind_of(value)}.")
    return value


def sentence_of(error: ValidationError, where: str, advice: str = "") -> str:
    """The first departure of ``error`` as a sentence of ours, with what to do about it."""
    first = error.errors(include_url=False)[0]
    place, end = shown(name_place(first["loc"])), f"; {advice}." if advice else "."
    at = f"{where}: expected '{place}'" if place else f"{where}: expected it"
    if first["type"] == "missing":
        return f"{at}, found no such field{end}"
    found = first["ctx"]["found"] if first["type"] == _DEPARTURE else first["input"]
    return f"{at} to be {_expected(first)}, found {_kind_of(found)}{end}"


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
    if kind in ("literal_error", _DEPARTURE):
        return str(context["expected"])
    if kind == "string_pattern_mismatch":
        return f"text like {context['pattern']}"
    if kind in ("too_short", "too_long"):
        least, most = context.get("min_length"), context.get("max_length")
        return f"a list of {least} or more" if most is None else f"a list of {most} or fewer"
    if kind in ("greater_than_equal", "less_than_equal", "greater_than", "less_than"):
        words = {"ge": "at least", "le": "at most", "gt": "more than", "lt": "less than"}
        return ", ".join(f"{words[name]} {value:g}" for name, value in context.items())
    message = str(error["msg"])
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
