"""What of a card follows from the candidate that it lies in; whoever verifies derives it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from fr_ensemble_assets.calibration.calibrate import Calibration
from fr_ensemble_assets.card.facts import Facts, FeatureRange, MemberData
from fr_ensemble_assets.contract.agreed import Contract
from fr_ensemble_assets.evidence.plans import groups_told
from fr_ensemble_assets.evidence.results import FoldScore
from fr_ensemble_assets.foundation.schema import ENCODER_VOCABULARY, UNKNOWN_ENCODER
from fr_ensemble_assets.gate.verdict import Judgement
from fr_ensemble_assets.members.names import onnx_file


def known_inside(
    contract: Contract, judgement: Judgement, calibration: Calibration, members: Mapping[int, str]
) -> dict[str, Any]:
    """Fields of :class:`~fr_ensemble_assets.card.facts.Facts`, by name.

    Parameters
    ----------
    members
        sha256 of each seed's ONNX file.
    """
    decision, agreed = judgement.decision, contract.thresholds
    seen = calibration.trained_on
    return {
        "corpus_sha256": calibration.corpus_sha256,
        "n_rows": calibration.n_frames,
        "n_encodes": calibration.n_encodes,
        "verdict": decision.verdict,
        "mean_plcc": decision.mean_plcc,
        "plcc_spread": decision.plcc_spread,
        "mean_plcc_min": agreed.mean_plcc_min,
        "plcc_spread_max": agreed.plcc_spread_max,
        "members": tuple(
            MemberData(seed, onnx_file(seed), sha256, decision.per_seed_plcc[seed] or 0.0)
            for seed, sha256 in sorted(members.items())
        ),
        "coverages": calibration.coverages,
        "features": tuple(
            FeatureRange(name, feature.low, feature.high) for name, feature in seen.features.items()
        ),
        "never_seen": tuple(
            name
            for name in ENCODER_VOCABULARY
            if name not in seen.qualities and name != UNKNOWN_ENCODER
        ),
        "recipe": {
            **{name: float(value) for name, value in asdict(contract.recipe).items()},
            **_groups(judgement),
        },
    }


def _groups(judgement: Judgement) -> dict[str, float]:
    """In how many groups sources were held out, where it wasn't one at a time."""
    groups = groups_told(judgement.scores[0].fold_plan)
    return {} if groups is None else {"folds": float(groups)}


def contradiction(facts: Facts, given: Mapping[str, Any], judgement: Judgement) -> str:
    """The first place where ``facts`` are not what the candidate gives; empty if there is none."""
    for name, value in given.items():
        if getattr(facts, name) != value:
            return f"'{name}'"
    told = {group.name: (group.plcc_seeds, group.rmse_seeds) for group in facts.sources}
    return "" if told == seed_ends(judgement) else "figures of single seeds"


def seed_ends(judgement: Judgement) -> dict[str, tuple[tuple[float, ...], tuple[float, ...]]]:
    """By source, the least and the greatest of the seeds' PLCC, and of their RMSE."""
    folds: dict[str, list[FoldScore]] = {}
    for score in judgement.scores:
        for fold in score.folds:
            folds.setdefault(fold.held_out, []).append(fold)
    return {
        source: (_ends([fold.plcc for fold in found]), _ends([fold.rmse for fold in found]))
        for source, found in folds.items()
    }


def _ends(values: Sequence[float | None]) -> tuple[float, ...]:
    defined = [value for value in values if value is not None]
    return (min(defined), max(defined)) if defined else ()
