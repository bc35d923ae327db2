"""The facts of a candidate's card, which lie in the candidate."""

from __future__ import annotations

from upath import UPath

from fr_ensemble_assets.candidate.verify import verified
from fr_ensemble_assets.card.facts import FACTS_FILE, Facts, parse_facts
from fr_ensemble_assets.foundation.errors import UnusableInput


def facts_for(candidate: UPath) -> Facts:
    """What the card of ``candidate`` says.

    Raises
    ------
    UnusableInput
        If the candidate doesn't verify, or holds no card.
    """
    carried = verified(candidate).carried
    if FACTS_FILE not in carried:
        raise UnusableInput(
            f"{candidate}: expected a candidate with a model card, found no {FACTS_FILE}; "
            "make it again with 'fr-ensemble run'."
        )
    return parse_facts(carried[FACTS_FILE], f"{candidate}/{FACTS_FILE}")
