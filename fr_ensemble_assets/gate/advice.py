"""What a person does next, from a decision and the results behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fr_ensemble_assets.evidence.results import SeedScore
from fr_ensemble_assets.foundation.wording import listed
from fr_ensemble_assets.gate.rule import Decision

#: Below this no feature says anything of its score. A corpus that is merely hard reaches far more.
_NO_RELATION = 0.2
#: K sources carry a promise of K/(K+1) on an unseen one (hierarchical conformal prediction).
_SOURCES_FOR_90, _SOURCES_FOR_95 = 9, 19
_HARDEST_NAMED = 3


def next_step(decision: Decision, scores: Sequence[SeedScore]) -> str:
    """One or two sentences, without a full stop."""
    if decision.promote:
        return "fr-ensemble propose --tree CHECKOUT makes the patch that hands the candidate over"
    few = few_sources(scores)
    return f"{advice(decision, _hardest(scores))}{f'. {few}' if few else ''}"


def advice(decision: Decision, hardest: Sequence[str] = ()) -> str:
    """What mends a HOLD."""
    if decision.dry_run:
        return "Run the whole ensemble with the contract's recipe"
    if decision.objections and not decision.shortfalls:
        return "The figures pass: mend what the reasons name, and run fr-ensemble run again"
    if decision.mean_plcc is not None and abs(decision.mean_plcc) < _NO_RELATION:
        return (
            "The scores don't belong to these features: see that VMAF and features of a row come "
            "from the same frame (order of files, of frames), and make the corpus again"
        )
    named = f" ({listed(hardest, _HARDEST_NAMED)})" if hardest else ""
    return (
        f"Look at the worst folds of loso_results{named}: add sources like them, or widen the "
        "qualities, and train again"
    )


def _hardest(scores: Sequence[SeedScore]) -> list[str]:
    """The sources of the lowest folds, each once."""
    folds = sorted(
        (fold for score in scores for fold in score.folds),
        key=lambda fold: -math.inf if fold.plcc is None else fold.plcc,
    )
    return list(dict.fromkeys(fold.held_out for fold in folds))[:_HARDEST_NAMED]


def few_sources(scores: Sequence[SeedScore]) -> str:
    """How many sources a promise takes, where there are fewer; else empty."""
    sources = [len(score.folds) for score in scores]
    if not any(sources) or max(sources) >= _SOURCES_FOR_90:
        return ""
    return (
        f"{max(sources)} sources are few: intervals at 90 % over unseen sources take "
        f"{_SOURCES_FOR_90} of them, at 95 % {_SOURCES_FOR_95}"
    )
