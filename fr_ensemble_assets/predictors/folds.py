"""Five grouped folds: whole sources are held out together, by a fixed rule."""

from __future__ import annotations

import random
from collections.abc import Sequence

from fr_ensemble_assets.foundation.files import json_bytes, sha256_of
from fr_ensemble_assets.predictors.scope import FOLD_COUNT, FOLD_SEED

#: The sources of each fold, sorted.
Folds = tuple[tuple[str, ...], ...]


def grouped_folds(sources: Sequence[str], seed: int = FOLD_SEED) -> Folds:
    """Sources sorted, shuffled by ``random.Random(seed)``, dealt round robin into five folds.

    The contract's seed is the default; another one is for showing how a verdict would have come
    out elsewhere, never for choosing it. With fewer than five sources some folds are empty.
    """
    names = sorted(set(sources))
    random.Random(seed).shuffle(names)
    return tuple(tuple(sorted(names[start::FOLD_COUNT])) for start in range(FOLD_COUNT))


def folds_digest(folds: Folds) -> str:
    """Lowercase hex SHA-256 over the folds as strict JSON."""
    return sha256_of(json_bytes([list(fold) for fold in folds]))
