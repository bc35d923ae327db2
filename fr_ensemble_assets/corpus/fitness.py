"""Whether a corpus is fit to be trained on and judged by: asked of the data, every time.

The asset asks before it keeps a corpus, every step asks before it works on one, the gate asks
before it lets anything through, and the verdict carries what was examined. What an older version
kept, what lies in the store by hand, and what was only reported as materialised is asked alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from fr_ensemble_assets.corpus.identity import Corpus, key_columns
from fr_ensemble_assets.corpus.reader import first_invalid_value
from fr_ensemble_assets.corpus.summary import (
    CorpusSummary,
    rule_likely_twins,
    rule_reference_sources,
    rule_row_count,
    rule_saturation,
    rule_sources,
    rule_unknown_encoders,
    summarise,
)
from fr_ensemble_assets.corpus.twins import Twin
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.findings import Finding
from fr_ensemble_assets.foundation.schema import MIN_ROWS_A_SOURCE

#: In the evidence, so many twins are named; all are counted.
_TWINS_NAMED = 100


@dataclass(frozen=True)
class Fitness:
    """What was examined and found.

    Attributes
    ----------
    summary
        The counts behind the findings.
    required
        By name of the check: without one of these a corpus is refused.
    warnings
        By name of the check: what a person should know.
    """

    summary: CorpusSummary
    required: Mapping[str, Finding]
    warnings: Mapping[str, Finding]

    @property
    def problems(self) -> tuple[str, ...]:
        """Why the corpus is refused, a sentence without its full stop each; empty if it is fit."""
        return tuple(
            f"corpus check '{name}': {finding.observed} (expected {finding.threshold}); "
            f"{finding.next_step}"
            for name, finding in self.required.items()
            if not finding.passed
        )

    def evidence(self) -> dict[str, Any]:
        """For the verdict: what was examined, what was found. Derived from the rows alone."""
        summary = self.summary
        fewest = min(summary.sources, key=lambda source: source.rows)
        return {
            "fit": not self.problems,
            "problems": list(self.problems),
            "warnings": [name for name, finding in self.warnings.items() if not finding.passed],
            "fewest_rows_of_a_source": fewest.rows,
            "min_rows_of_a_source": MIN_ROWS_A_SOURCE,
            "twins": _named(summary.twins.certain),
            "likely_twins": _named(summary.twins.likely),
            "likely_twins_searched": summary.twins.searched,
        }


def examine(corpus: Corpus) -> Fitness:
    """Hold a corpus against the prerequisites of training and of judging.

    The same value is examined once: nothing in it changes.
    """
    found = _examined.get(corpus)
    if found is None:
        found = _examined[corpus] = _examine(corpus)
    return found


#: By corpus, as long as somebody else has it: of many rows one takes gigabytes.
_examined: WeakKeyDictionary[Corpus, Fitness] = WeakKeyDictionary()


def _examine(corpus: Corpus) -> Fitness:
    summary = summarise(corpus)
    return Fitness(
        summary,
        {
            "row_count": rule_row_count(summary),
            "schema": _rule_schema(corpus),
            "sources": rule_sources(summary),
        },
        {
            "likely_twins": rule_likely_twins(summary),
            "reference_sources": rule_reference_sources(summary),
            "unknown_encoders": rule_unknown_encoders(summary),
            "saturation": rule_saturation(summary),
        },
    )


def require_fit(corpus: Corpus) -> Fitness:
    """:func:`examine`, and raise :class:`UnusableInput` with the reasons if it isn't fit."""
    fitness = examine(corpus)
    if fitness.problems:
        raise UnusableInput(f"{'. '.join(fitness.problems)}.")
    return fitness


def _rule_schema(corpus: Corpus) -> Finding:
    """Every value in its range, one row a key: the reader's rules, asked of what is stored."""
    problem = first_invalid_value(corpus.frame)
    repeated = int(corpus.frame.duplicated(key_columns(corpus.frame)).sum())
    found = problem.describe() if problem else "every value fits"
    if repeated:
        found = f"{repeated} rows with the key of another" if problem is None else found
    passed = problem is None and not repeated
    return Finding(
        passed,
        found,
        "contracts section 1",
        "nothing to do" if passed else "mend the row at its origin",
    )


def _named(twins: Sequence[Twin]) -> dict[str, Any]:
    return {"count": len(twins), "named": [twin.describe() for twin in twins[:_TWINS_NAMED]]}
