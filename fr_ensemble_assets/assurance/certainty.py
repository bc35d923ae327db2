"""How sure the verdict is: what it would have been with other sources of the same kind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fr_ensemble_assets.assurance.outcome import Floats
from fr_ensemble_assets.contract.thresholds import ADR_0303

DRAWS = 20_000
#: Draws times sources stay under the first, where that leaves as many draws as the second.
_SOURCES_DRAWN, _FEWEST_DRAWS = 100_000_000, 2_000
#: Counts of sources in memory at a time, some 60 MB, and as much again for their shares.
_COUNTS_AT_ONCE = 8_000_000
#: Two-sided.
LEVEL = 0.95
UNSEEN = (
    "A bootstrap draws from the sources that are there: kinds of clip that none of them shows "
    "are beyond what it can see."
)


@dataclass(frozen=True)
class Certainty:
    """What chance could have made of the gate's figures, and what it would take to change them.

    Attributes
    ----------
    draws
        Bootstrap samples of the sources, all seeds together.
    mean_plcc, plcc_spread
        Percentile intervals of the seeds' mean and of max - min, at 95 %.
    flips
        Share of the samples whose verdict is another one than that of all sources.
    two_out_mean
        Least and greatest mean PLCC with any two sources left out; ``None`` under three sources.
    one_new_source
        PLCC that one more source would have to have, the same under every seed, for a PROMOTE to
        become HOLD: below it the gate fails. ``None`` where no correlation is low enough, or the
        verdict is HOLD already.
    n_sources
        How many sources there are.
    """

    draws: int
    mean_plcc: tuple[float, float]
    plcc_spread: tuple[float, float]
    flips: float
    two_out_mean: tuple[float, float] | None
    one_new_source: float | None
    n_sources: int


def certainty(fold_plcc: Floats, draws: int = DRAWS, seed: int = 0) -> Certainty | None:
    """From each seed's PLCC on each held-out source, shape (n_seeds, n_sources).

    ``None`` where a PLCC is undefined: there is no figure to be sure of.
    """
    if not np.isfinite(fold_plcc).all():
        return None
    n = fold_plcc.shape[1]
    rng = np.random.default_rng(seed)
    draws = min(draws, max(_FEWEST_DRAWS, _SOURCES_DRAWN // n))
    at_once = max(1, _COUNTS_AT_ONCE // n)
    sizes = [min(at_once, draws - first) for first in range(0, draws, at_once)]
    # How often each source is drawn says all that a mean needs.
    counts = (rng.multinomial(n, np.full(n, 1 / n), size=size) for size in sizes)
    per_seed = np.concatenate([drawn / n @ fold_plcc.T for drawn in counts])
    mean, spread = per_seed.mean(axis=1), np.ptp(per_seed, axis=1)
    stands = bool(_passes(fold_plcc.mean(axis=1)[None])[0])
    return Certainty(
        draws=draws,
        mean_plcc=_interval(mean),
        plcc_spread=_interval(spread),
        flips=float(np.mean(_passes(per_seed) != stands)),
        two_out_mean=_two_out(fold_plcc),
        one_new_source=_one_new_source(fold_plcc) if stands else None,
        n_sources=n,
    )


def _passes(per_seed: Floats) -> npt.NDArray[np.bool_]:
    """The gate's three figures, for each row of seeds' PLCC; decides nothing that is built."""
    return np.asarray(
        (per_seed.mean(axis=1) >= ADR_0303.mean_plcc_min)
        & (np.ptp(per_seed, axis=1) <= ADR_0303.plcc_spread_max)
        & (per_seed.min(axis=1) >= ADR_0303.each_plcc_min)
    )


def _interval(values: Floats) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _two_out(fold_plcc: Floats) -> tuple[float, float] | None:
    by_source = fold_plcc.mean(axis=0)
    n = len(by_source)
    if n < 3:
        return None
    low_to_high = np.sort(by_source)
    without_best = by_source.sum() - (low_to_high[-1] + low_to_high[-2])
    without_worst = by_source.sum() - (low_to_high[0] + low_to_high[1])
    return float(without_best / (n - 2)), float(without_worst / (n - 2))


def _one_new_source(fold_plcc: Floats) -> float | None:
    """With the same PLCC under every seed the spread only shrinks: the lowest seed decides."""
    n = fold_plcc.shape[1]
    needed = max(
        ADR_0303.mean_plcc_min * (n + 1) - float(fold_plcc.mean(axis=0).sum()),
        ADR_0303.each_plcc_min * (n + 1) - float(fold_plcc.sum(axis=1).min()),
    )
    return needed if needed > -1 else None
