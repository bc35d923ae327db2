"""The last PROMOTE on another corpus: what changed since?"""

from __future__ import annotations

from dataclasses import dataclass

from upath import UPath

from fr_ensemble_assets.contract.agreed import Contract
from fr_ensemble_assets.corpus.store import corpus_name
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.gate.verdict import read_verdict


@dataclass(frozen=True)
class Previous:
    """What an earlier verdict said; to be shown, never to be judged by.

    ``name`` is what a person calls its corpus.
    """

    corpus_sha256: str
    verdict: str
    generated_at_utc: str
    mean_plcc: float | None
    per_seed_plcc: dict[int, float | None]
    name: str


def previous_verdict(home: Home, corpus_sha256: str, contract: Contract) -> Previous | None:
    """The newest PROMOTE on any other corpus under the same recipe.

    What a HOLD reached is no measure: it may have been of scores that belong to other rows.
    """
    others = (name for name in store.names(home.store) if name != corpus_sha256)
    found = (_read(home, home.store / name / contract.folder) for name in others)
    told = [previous for previous in found if previous is not None]
    return max(told, key=lambda previous: previous.generated_at_utc, default=None)


def _read(home: Home, results: UPath) -> Previous | None:
    """The PROMOTE of one folder; ``None`` where there is none, or it is damaged."""
    try:
        document = read_verdict(results)
        if document is None or document.dry_run is not False or document.verdict != "PROMOTE":
            return None
        per_seed = {int(seed): plcc for seed, plcc in document.gate.per_seed_plccs.items()}
    except (UnusableInput, ValueError):
        return None
    return Previous(
        corpus_sha256=document.corpus.sha256,
        verdict=document.verdict,
        generated_at_utc=document.generated_at_utc,
        mean_plcc=document.gate.mean_plcc,
        per_seed_plcc=per_seed,
        name=corpus_name(home, document.corpus.sha256),
    )
