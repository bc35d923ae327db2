"""After a HOLD: which of the known reasons it looks like, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fr_ensemble_assets.assurance.outcome import Floats, Outcome
from fr_ensemble_assets.contract.thresholds import ADR_0303

#: Under it predictions have nothing to do with the scores.
NOTHING_LEARNT = 0.3
#: A fold lower than the others' median by this is a source that is unlike them.
_HARD_BY = 0.02
_NAMED = 3

_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Diagnosis:
    """What the figures look like, and the next step; in sentences."""

    looks_like: str
    next_step: str


def diagnose(outcome: Outcome, seeds: tuple[int, ...]) -> Diagnosis | None:
    """Why the gate holds, by its own figures; ``None`` where they all pass.

    Parameters
    ----------
    seeds
        Of the members of ``outcome``, in their order.
    """
    plcc = outcome.fold_plcc
    undefined: _Mask = np.asarray(np.isnan(plcc).any(axis=0))
    if undefined.any():
        return Diagnosis(
            f"PLCC is undefined on {_names(outcome, undefined)}",
            "a source whose VMAF or whose prediction is the same everywhere can't be judged: add "
            "harsher qualities of it, or leave it out",
        )
    means = plcc.mean(axis=1)
    low = means < ADR_0303.each_plcc_min
    spread = float(np.ptp(means))
    if float(np.abs(plcc.mean())) < NOTHING_LEARNT:
        return Diagnosis(
            f"nothing was learnt (mean PLCC {plcc.mean():.3f}): the scores don't belong to these "
            "features",
            "look at how the corpus was joined: rows of VMAF and of features in another order",
        )
    if low.all():
        return Diagnosis(
            f"every seed is low ({means.min():.3f} to {means.max():.3f}), lowest on "
            f"{_hardest(outcome)}: the corpus doesn't teach these sources",
            "add sources like them, and qualities between those that are there",
        )
    if low.any():
        named = ", ".join(str(seed) for seed, is_low in zip(seeds, low, strict=True) if is_low)
        several = low.sum() > 1
        return Diagnosis(
            f"{f'seeds {named} are' if several else f'seed {named} is'} low and the others are not "
            f"(spread {spread:.4f}): underfit, by the luck of {'their' if several else 'its'} "
            f"start; lowest on {_hardest(outcome, low)}",
            f"look at the folds of {'these seeds' if several else 'that seed'}; more rows a source "
            "steady all seeds",
        )
    if spread > ADR_0303.plcc_spread_max:
        return Diagnosis(
            f"all seeds are high ({means.min():.3f} and above) and differ by {spread:.4f}, most on "
            f"{_apart(outcome)}",
            "add sources like these, or train study seeds to see whether the spread is luck",
        )
    return None


def _hardest(outcome: Outcome, seeds: _Mask | None = None) -> str:
    plcc = outcome.fold_plcc if seeds is None else outcome.fold_plcc[seeds]
    by_source = plcc.mean(axis=0)
    hard = by_source < np.median(by_source) - _HARD_BY
    told = hard if hard.any() else by_source == by_source.min()
    return _names(outcome, told, by_source)


def _apart(outcome: Outcome) -> str:
    apart = np.ptp(outcome.fold_plcc, axis=0)
    return _names(outcome, apart >= np.sort(apart)[-_NAMED:].min(), -apart)


def _names(outcome: Outcome, which: _Mask, order: Floats | None = None) -> str:
    """Up to three names, the worst first, and how many more."""
    places = np.flatnonzero(which)
    if order is not None:
        places = places[np.argsort(order[places], kind="stable")]
    names = [outcome.corpus.sources[place] for place in places]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
