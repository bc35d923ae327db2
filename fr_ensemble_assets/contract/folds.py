"""Which sources are held out together: a plan, decided by names and row counts alone.

Groups are dealt to folds as scikit-learn's ``GroupKFold`` thinks of them: no source is ever on
both sides of a split. Leave-one-source-out is the plan with one source a fold. Whatever the plan,
PLCC is computed for each source from the fold that held it out, never pooled over a fold, so that
the gate's figure means the same.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fr_ensemble_assets.foundation.errors import UnusableInput


@dataclass(frozen=True)
class FoldPlan:
    """How sources are dealt to folds.

    Attributes
    ----------
    n_folds
        How many folds there are; ``None`` for one a source, which is also what as many folds as
        sources, or more, come down to.
    """

    n_folds: int | None = None

    def assign(self, rows: Mapping[str, int]) -> Assignment:
        """Deal sources to folds; ``rows`` is the number of rows of each source.

        Grouped: ordered by the sha256 of their names, each source goes to the smallest fold (fewest
        sources, then fewest rows, then the first), so that the outcome depends on nothing that
        whoever runs it could choose.

        Raises
        ------
        UnusableInput
            If there are fewer than two folds of several sources.
        """
        if self.n_folds is None or self.n_folds >= len(rows):
            return Assignment(tuple((source,) for source in sorted(rows)))
        if self.n_folds < 2:
            raise UnusableInput(
                f"folds: expected from 2 folds to one a source ({len(rows)}), found "
                f"{self.n_folds}; name another number, or leave one source out at a time."
            )
        folds: list[list[str]] = [[] for _ in range(self.n_folds)]
        sizes = [(0, 0, number) for number in range(self.n_folds)]
        for source in sorted(rows, key=_name_digest):
            sources, size, number = min(sizes)
            folds[number].append(source)
            sizes[number] = (sources + 1, size + rows[source], number)
        return Assignment(tuple(tuple(sorted(fold)) for fold in folds))


@dataclass(frozen=True)
class Assignment:
    """Sources dealt to folds.

    Attributes
    ----------
    folds
        The sources that each fold holds out, in sorted order.
    """

    folds: tuple[tuple[str, ...], ...]

    @property
    def plan(self) -> str:
        """The name that the field gives to it."""
        alone = all(len(fold) == 1 for fold in self.folds)
        return "leave-one-source-out" if alone else "grouped"

    @cached_property
    def fold_of(self) -> Mapping[str, int]:
        """The number of the fold that holds a source out."""
        return {source: n for n, fold in enumerate(self.folds) for source in fold}

    @property
    def digest(self) -> str:
        """Lowercase hex sha256 over who is held out with whom."""
        text = json.dumps(self.folds, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """For the evidence: the plan, how many folds, and the assignment's digest."""
        return {"plan": self.plan, "n": len(self.folds), "assignment_sha256": self.digest}


def _name_digest(source: str) -> str:
    return hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class ShuffledDeal(FoldPlan):
    """Sources sorted, shuffled with a fixed seed and dealt round robin (the fork's predictors).

    With fewer sources than folds some folds are empty; whoever judges refuses those.

    Attributes
    ----------
    seed
        Of ``random.Random``. Another one than agreed on is for showing how a verdict would have
        come out elsewhere, never for choosing it.
    """

    n_folds: int = 5
    seed: int = 42

    def assign(self, rows: Mapping[str, int]) -> Assignment:
        """By names alone."""
        names = sorted(rows)
        random.Random(self.seed).shuffle(names)
        dealt = (names[start :: self.n_folds] for start in range(self.n_folds))
        return Assignment(tuple(tuple(sorted(fold)) for fold in dealt))


#: Up to so many sources the ensemble leaves out one at a time: it is a matter of hours, and who
#: chooses a number of groups could choose a verdict. Groups of fewer are a dry run.
MOST_SOURCES_ALONE = 64

#: From so many sources on, leaving out one at a time takes hours: whoever asks for it is told, and
#: finished parts are kept.
MANY_SOURCES = 200

#: Each source by itself: the ensemble's plan (contracts section 2).
LEAVE_ONE_SOURCE_OUT = FoldPlan()
