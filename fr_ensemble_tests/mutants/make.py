"""A module's mutants, without those that can't matter."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff
from itertools import count
from pathlib import Path

from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import OPERATOR_PROVIDERS

from fr_ensemble_tests.mutants.operators import OURS

#: Cosmic-ray puts every operator in the place of every other; most of those raise a TypeError.
_ARITHMETIC = ("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "FloorDiv_Mul", "Mod_Mul", "Pow_Mul")
_BITS = ("BitOr_BitAnd", "BitAnd_BitOr", "LShift_RShift")
_COMPARISONS = (
    *("Eq_NotEq", "Eq_LtE", "Eq_GtE", "NotEq_Eq", "NotEq_Lt", "NotEq_Gt"),
    *("Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt", "LtE_Eq"),
    *("Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt", "GtE_Eq"),
    *("Is_IsNot", "IsNot_Is"),
)
_CORE = (
    *(f"ReplaceBinaryOperator_{pair}" for pair in (*_ARITHMETIC, *_BITS)),
    *(f"ReplaceComparisonOperator_{pair}" for pair in _COMPARISONS),
    *("ReplaceUnaryOperator_USub_UAdd", "ReplaceUnaryOperator_Delete_Not"),
    *("AddNot", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue"),
    *("ReplaceAndWithOr", "ReplaceOrWithAnd", "ReplaceBreakWithContinue"),
    *("ReplaceContinueWithBreak", "ExceptionReplacer", "NumberReplacer", "RemoveDecorator"),
    "ZeroIterationForLoop",
)
#: Assertions about our own code: nothing that our code does breaks them.
_ASSERTED = {"strict", "frozen"}


@dataclass(frozen=True)
class Mutant:
    """One module with one change.

    Attributes
    ----------
    path
        The module, from the repository's root on.
    line, within
        Where it was changed, and in which function or class; empty for the module itself.
    was, now
        The changed lines before and after, without their margins.
    source
        The whole module as changed.
    """

    path: str
    line: int
    within: str
    was: str
    now: str
    source: str

    @property
    def told(self) -> str:
        at = (
            f"{self.path}:{self.line} in {self.within}"
            if self.within
            else f"{self.path}:{self.line}"
        )
        return f"{at}\n    - {self.was}\n    + {self.now}"

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What stays the same when lines move."""
        return self.path, self.within, self.was, self.now


def mutants_of(path: str, source: str, constants_only: bool = False) -> list[Mutant]:
    """Every mutant that differs from ``source`` and from each other in what runs."""
    seen = {_essence(source)}
    lines = _constant_lines(source) if constants_only else None
    mutants = []
    for operator in _operators():
        for changed in _changed(source, operator):
            line, was, now = _difference(source, changed)
            if lines is not None and line not in lines:
                continue
            try:
                essence = _essence(changed)
            except SyntaxError:
                continue
            if essence not in seen:
                seen.add(essence)
                mutants.append(Mutant(path, line, _within(source, line), was, now, changed))
    return sorted(mutants, key=lambda mutant: mutant.line)


def module_name(path: str) -> str:
    """``fr_ensemble_assets/gate/rule.py`` as Python imports it."""
    return ".".join(Path(path).with_suffix("").parts)


def _operators() -> list[Operator]:
    core = OPERATOR_PROVIDERS["core"]
    return [*(core[name]() for name in _CORE), *(operator() for operator in OURS)]


def _changed(source: str, operator: Operator) -> Iterator[str]:
    for occurrence in count():
        try:
            changed = mutate_code(source, operator, occurrence)
        except AttributeError:
            continue  # the tool can't replace an exception that is named by its module
        if changed is None:
            return
        yield changed


def _difference(source: str, changed: str) -> tuple[int, str, str]:
    diff = list(unified_diff(source.splitlines(), changed.splitlines(), n=0, lineterm=""))[2:]
    line = int(diff[0].split()[1].lstrip("-").split(",")[0]) if diff else 0
    was = " ".join(text[1:].strip() for text in diff if text.startswith("-"))
    now = " ".join(text[1:].strip() for text in diff if text.startswith("+"))
    return line, was, now


def _constant_lines(source: str) -> set[int]:
    """The lines of the module's own constants."""
    return {
        line
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }


def _within(source: str, line: int) -> str:
    """The innermost function or class round a line, by its dotted name."""
    names, nodes = [], ast.parse(source).body
    while nodes:
        node = next((n for n in nodes if n.lineno <= line <= (n.end_lineno or n.lineno)), None)
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            break
        names.append(node.name)
        nodes = node.body
    return ".".join(names)


def _essence(source: str) -> str:
    """What runs: no annotations that only the type checker reads, no assertions."""
    return ast.dump(_Essence().visit(ast.parse(source)))


class _Essence(ast.NodeTransformer):
    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        # A document's annotations are read as it is checked; a dataclass has no base.
        if not node.bases:
            return self.generic_visit(node)
        node.body = [self.visit(n) if isinstance(n, ast.FunctionDef) else n for n in node.body]
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if "TYPE_CHECKING" in ast.dump(node.test) else self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        node.keywords = [k for k in node.keywords if k.arg not in _ASSERTED]
        return self.generic_visit(node)
