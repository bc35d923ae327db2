"""Under which fold plan results say they were made, held against what their sources give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fr_ensemble_assets.contract.agreed import Contract
from fr_ensemble_assets.contract.folds import FoldPlan
from fr_ensemble_assets.evidence.results import SeedScore

_GROUPED = "grouped"


def variant_of(scores: Sequence[SeedScore], contract: Contract) -> Contract:
    """The variant of ``contract`` that the results name: with their number of groups.

    Results that name several are judged by ``contract``, which some of them then contradict.
    """
    told = {groups_told(score.fold_plan) for score in scores}
    return contract.grouped(told.pop()) if len(told) == 1 else contract


def groups_told(plan: Mapping[str, Any] | None) -> int | None:
    """How many groups a recorded plan names; ``None`` for one source at a time."""
    if plan is None or plan.get("plan") != _GROUPED:
        return None
    n = plan.get("n")
    return n if isinstance(n, int) and n >= 2 else None


def dealt_as_agreed(score: SeedScore, contract: Contract) -> bool:
    """Whether the plan that results record is the one that the contract gives for their sources.

    Files that hold out one source at a time may leave the plan out, as the fork's do.
    """
    alone = groups_of(score, contract) is None
    if alone and score.fold_plan is None:
        return True
    rows = {fold.held_out: fold.n_val or 0 for fold in score.folds}
    plan = FoldPlan() if alone else contract.plan
    return score.fold_plan == plan.assign(rows).to_json()


def groups_of(score: SeedScore, contract: Contract) -> int | None:
    """In how many groups the contract holds out the sources of these results, if in groups."""
    n = contract.plan.n_folds
    return n if n is not None and n < len(score.folds) else None
