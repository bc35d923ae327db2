"""The verdict on the corpus before this one: what changed?"""

from __future__ import annotations

from dataclasses import dataclass

from upath import UPath

from fr_ensemble_assets.contract.agreed import Contract
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import SHORT_SHA_LENGTH, Home
from fr_ensemble_assets.gate.verdict import read_verdict


@dataclass(frozen=True)
class Previous:
    """What an earlier verdict said; to be shown, never to be judged by."""

    corpus_sha256: str
    verdict: str
    generated_at_utc: str
    mean_plcc: float | None
    per_seed_plcc: dict[int, float | None]

    @property
    def short_sha(self) -> str:
        return self.corpus_sha256[:SHORT_SHA_LENGTH]


def previous_verdict(home: Home, corpus_sha256: str, contract: Contract) -> Previous | None:
    """The newest verdict, no dry run, on any other corpus under the same recipe."""
    others = (name for name in store.names(home.store) if name != corpus_sha256)
    found = (_read(home.store / name / contract.folder) for name in others)
    told = [previous for previous in found if previous is not None]
    return max(told, key=lambda previous: previous.generated_at_utc, default=None)


def _read(results: UPath) -> Previous | None:
    """The verdict of one folder; ``None`` where it is missing, damaged, or a dry run."""
    try:
        document = read_verdict(results)
        if document is None or document.dry_run is not False:
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
    )
