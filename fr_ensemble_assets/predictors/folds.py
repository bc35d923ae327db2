"""Five grouped folds: whole sources are held out together, by a fixed rule."""

from __future__ import annotations

from collections.abc import Sequence

from fr_ensemble_assets.contract.folds import ShuffledDeal
from fr_ensemble_assets.foundation.files import json_bytes, sha256_of

#: The sources of each fold, sorted.
Folds = tuple[tuple[str, ...], ...]
#: The dealing agreed on, whatever the codec.
AGREED_DEAL = ShuffledDeal()
FOLD_SEED = AGREED_DEAL.seed


def grouped_folds(sources: Sequence[str], seed: int = FOLD_SEED) -> Folds:
    """Sources dealt into five folds; with fewer than five some are empty."""
    return ShuffledDeal(seed=seed).assign(dict.fromkeys(sources, 1)).folds


def folds_digest(folds: Folds) -> str:
    """Lowercase hex SHA-256 over the folds as strict JSON."""
    return sha256_of(json_bytes([list(fold) for fold in folds]))
