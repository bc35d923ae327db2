"""What a GraphQL document would do, read by the library that Dagster executes it with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    parse,
)

#: Dagster's own page sends some hundred; a document of millions costs seconds to read.
_TOKENS_MAX = 20_000


@dataclass(frozen=True)
class Document:
    """Attributes
    ----------
    kinds
        Of its operations: ``query``, ``mutation``, ``subscription``. Which one is executed, its
        caller names; so each counts.
    mutations
        The fields that its mutations select, by their own names, through fragments too.
    """

    kinds: frozenset[str]
    mutations: frozenset[str]


def read_document(text: str) -> Document | None:
    """What ``text`` holds; ``None`` where it isn't GraphQL."""
    try:
        document = parse(text, max_tokens=_TOKENS_MAX, no_location=True)
        operations = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)]
        mutations = {
            name
            for operation in operations
            if operation.operation.value == "mutation"
            for name in _fields(operation.selection_set, _fragments(document), set())
        }
    except (GraphQLError, RecursionError):
        return None
    return Document(frozenset(o.operation.value for o in operations), frozenset(mutations))


def _fragments(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    found = (d for d in document.definitions if isinstance(d, FragmentDefinitionNode))
    return {definition.name.value: definition for definition in found}


def _fields(
    selected: SelectionSetNode, fragments: dict[str, FragmentDefinitionNode], seen: set[str]
) -> Iterator[str]:
    for selection in selected.selections:
        if isinstance(selection, FieldNode):
            yield selection.name.value
        elif isinstance(selection, InlineFragmentNode):
            yield from _fields(selection.selection_set, fragments, seen)
        elif isinstance(selection, FragmentSpreadNode):
            name = selection.name.value
            if name in fragments and name not in seen:
                seen.add(name)
                yield from _fields(fragments[name].selection_set, fragments, seen)
