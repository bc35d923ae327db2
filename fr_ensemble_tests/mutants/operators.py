"""Mutations that cosmic-ray lacks: a figure that moves a little, and the other of two builtins."""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Iterator
from typing import Any

import parso
from cosmic_ray.ast import is_number
from cosmic_ray.operators.operator import Example, Operator

_FACTORS = (1.02, 0.98)
_OTHER = {"min": "max", "max": "min", "any": "all", "all": "any", "floor": "ceil", "ceil": "floor"}


class NumberNudger(Operator):
    """A float two parts in a hundred up and down: thresholds are passed by less than 1."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        if is_number(node) and isinstance(_value(node), float):
            for _ in _FACTORS:
                yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        nudged = f" {_value(node) * _FACTORS[index]!r}"
        return parso.python.tree.Number(nudged, node.start_pos)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example("x = 0.5", "x = 0.51"), Example("x = 0.5", "x = 0.49", occurrence=1))


class BuiltinSwapper(Operator):
    """``max`` for ``min``, ``any`` for ``all``, and back."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        if node.type == "name" and node.value in _OTHER:
            following = node.get_next_leaf()
            if following is not None and following.value == "(":
                yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:  # noqa: ARG002
        return parso.python.tree.Name(_OTHER[node.value], node.start_pos, node.prefix)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example("x = min(y)", "x = max(y)"), Example("x = any(y)", "x = all(y)"))


class MembershipSwapper(Operator):
    """``not in`` for ``in``, and back."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        if node.parent is not None and node.parent.type == "comparison" and _membership(node):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:  # noqa: ARG002
        other = "in" if _membership(node) == "not in" else "not in"
        return parso.python.tree.Keyword(other, node.start_pos, " ")

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example("x in y", "x not in y"), Example("x not in y", "x in y"))


class FilterNegater(Operator):
    """The condition of a comprehension turned round."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        if node.type == "comp_if":
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:  # noqa: ARG002
        condition = node.children[1]
        negated = f" not ({condition.get_code().strip()})"
        node.children[1] = parso.python.tree.Name(negated, condition.start_pos)
        return node

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example("[x for x in y if x]", "[x for x in y if not (x)]"),)


OURS = (NumberNudger, BuiltinSwapper, MembershipSwapper, FilterNegater)


def _membership(node: Any) -> str:
    words = " ".join(node.get_code().split()) if node.type in ("keyword", "comp_op") else ""
    return words if words in ("in", "not in") else ""


def _value(node: Any) -> Any:
    return literal_eval(node.value)
