"""What a candidate carries for people and tuners: its card and thresholds, made and verified."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fr_ensemble_assets.calibration.recentring import Predicted
from fr_ensemble_assets.calibration.thresholds import thresholds, thresholds_document
from fr_ensemble_assets.candidate.champion import challenge
from fr_ensemble_assets.candidate.documents import Evidence
from fr_ensemble_assets.card.compute import facts_of
from fr_ensemble_assets.card.facts import Facts
from fr_ensemble_assets.card.render import card_files
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.foundation.files import json_bytes
from fr_ensemble_assets.members.consumers import THRESHOLDS_FILE
from fr_ensemble_assets.members.sidecars import members_of


def carried_files(
    corpus: Corpus,
    predicted: Predicted,
    evidence: Evidence,
    champion: Evidence | None,
    note: Mapping[str, Any] | None,
) -> tuple[dict[str, bytes], Facts]:
    """Card and thresholds by file name, and the facts behind the card.

    Parameters
    ----------
    predicted
        Out-of-fold predictions of the very results that were judged.
    champion
        The candidate before this one, if there is one.
    note
        What was noted of the corpus' clips, if anything.
    """
    facts = facts_of(
        corpus,
        ENSEMBLE,
        evidence.judgement,
        predicted.raw,
        evidence.calibration,
        {member.seed: member.sha256 for member in members_of(evidence.models)},
        note,
        challenge(corpus, predicted.raw, evidence, champion) if champion is not None else None,
    )
    found = thresholds_document(thresholds(predicted.recentred), corpus.sha256)
    return {**card_files(facts), THRESHOLDS_FILE: json_bytes(found)}, facts
