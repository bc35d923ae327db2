"""How a comparison is told on a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from fr_ensemble_assets.card.challenge import MOVED, Pair
from fr_ensemble_assets.handover.compare import Comparison

_FURTHEST = 5


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """The comparison as one object."""
    return {"same": comparison.same, **asdict(comparison)}


def comparison_lines(comparison: Comparison) -> Iterator[str]:
    """The comparison in lines."""
    a, b = comparison.corpora
    yield f"corpus: {a or 'not recorded'}" if a == b else f"corpora differ: A {a}, B {b}"
    yield f"verdict: A {comparison.verdicts[0]}, B {comparison.verdicts[1]}"
    if comparison.same:
        yield "the same: predictions, figures and files"
    for name, same in (
        ("out-of-fold predictions", comparison.same_predictions),
        ("files", comparison.same_files),
    ):
        other = [str(key) for key, is_same in same.items() if not is_same]
        if same:
            yield f"{name}: {'the same' if not other else 'differ: ' + ', '.join(other)}"
    if not comparison.same:
        yield from _pairs("PLCC by seed", comparison.seeds, 6, len(comparison.seeds))
        yield from _pairs("PLCC by source, furthest apart", comparison.plcc, 6, _FURTHEST)
        yield from _pairs("RMSE by source, furthest apart", comparison.rmse, 3, _FURTHEST)
        yield from _pairs("covered, rule source", comparison.coverage, 4, len(comparison.coverage))
        yield from _pairs("mean width, rule source", comparison.width, 3, len(comparison.width))
    for side, only in (("A", comparison.only_a), ("B", comparison.only_b)):
        if only:
            more = f" and {len(only) - 10} more" if len(only) > 10 else ""
            yield f"sources of {side} alone: {', '.join(only[:10])}{more}"
    if comparison.moved is not None:
        moved = comparison.moved
        yield (
            f"{moved.moved} of {moved.rows} rows move by more than {MOVED:g} VMAF, the furthest by "
            f"{moved.furthest:.2f}"
        )
        for source, rows, count in sorted(moved.by_source, key=lambda told: -told[2])[:_FURTHEST]:
            yield f"  {source}: {count} of {rows}"


def _pairs(title: str, pairs: Sequence[Pair], digits: int, most: int) -> Iterator[str]:
    differing = [pair for pair in pairs if pair.a != pair.b]
    if not pairs:
        return
    if not differing:
        yield f"{title.split(',')[0]}: the same"
        return
    yield f"{title} (A, B, B less A):"
    differing.sort(key=lambda pair: -abs(pair.difference or float("inf")))
    for pair in differing[:most]:
        figures = [
            "undefined" if value is None else f"{value:{sign}.{digits}f}"
            for value, sign in ((pair.a, ""), (pair.b, ""), (pair.difference, "+"))
        ]
        yield f"  {pair.name}: {', '.join(figures)}"
