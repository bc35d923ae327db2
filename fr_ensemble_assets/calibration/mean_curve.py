"""How an encoder's VMAF falls with its quality value over a corpus, as an axis to interpolate on.

Ladders of one encoder bend alike: against the encoder's mean VMAF, another source's is nearly a
straight line, where against the quality value it is a curve. Two probes then say a good deal about
what lies between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from fr_ensemble_assets.calibration.pooling import OutOfFold

Floats = npt.NDArray[np.float64]

#: Rounds in which effects of sources and of qualities are told apart; where every source has every
#: quality the first one settles it.
_ROUNDS = 50


@dataclass(frozen=True)
class MeanCurve:
    """Mean VMAF of one encoder by quality value.

    Attributes
    ----------
    qualities
        Ascending, two or more.
    vmaf
        Mean of each over the sources; strictly falling, or strictly rising where the encoder's
        scale runs the other way.
    """

    qualities: tuple[float, ...]
    vmaf: tuple[float, ...]

    def at(self, quality: Floats) -> Floats:
        """Mean VMAF at any quality: PCHIP inside, straight on beyond the ends; shape as given.

        Strictly monotone, so that no two qualities share a place.
        """
        from scipy.interpolate import PchipInterpolator

        known, mean = np.array(self.qualities), np.array(self.vmaf)
        inside = np.clip(quality, known[0], known[-1])
        steps = np.diff(mean) / np.diff(known)
        beyond = np.minimum(quality - known[0], 0) * steps[0]
        beyond += np.maximum(quality - known[-1], 0) * steps[-1]
        return np.asarray(PchipInterpolator(known, mean)(inside) + beyond)


def mean_curves(encodes: OutOfFold, without: int | None = None) -> Mapping[str, MeanCurve]:
    """The mean curve of each encoder, over all sources or ``without`` one; by name.

    Where sources were encoded at different qualities, each source's own level is taken out first
    (additive effects, least squares), so that a hard source doesn't bend the curve where it is
    there. An encoder has no curve where it has one quality, or where the means don't run one way.

    Parameters
    ----------
    encodes
        Pooled encodes; their measured VMAF is what is averaged.
    without
        Position of the source that is left out.
    """
    encoder_of = encodes.keys["encoder"].to_numpy(dtype=object)
    quality_of = encodes.keys["cq"].to_numpy(dtype=np.float64)
    kept = np.full(encodes.n_rows, True) if without is None else encodes.source_index != without
    found = {}
    for encoder in sorted(set(encoder_of[kept])):
        rows = kept & (encoder_of == encoder)
        made = _fit(quality_of[rows], encodes.source_index[rows], encodes.target[rows])
        if made is not None:
            found[str(encoder)] = made
    return found


def _fit(quality: Floats, source: npt.NDArray[np.intp], vmaf: Floats) -> MeanCurve | None:
    qualities, place = np.unique(quality, return_inverse=True)
    if len(qualities) < 2:
        return None
    _, owner = np.unique(source, return_inverse=True)
    level, effect = np.zeros(owner.max() + 1), np.zeros(len(qualities))
    for _ in range(_ROUNDS):
        effect = np.bincount(place, vmaf - level[owner]) / np.bincount(place)
        before = level
        level = np.bincount(owner, vmaf - effect[place]) / np.bincount(owner)
        level -= level.mean()
        if np.allclose(level, before, atol=1e-9):
            break
    falls = [after - before for before, after in pairwise(effect.tolist())]
    one_way = all(step < 0 for step in falls) or all(step > 0 for step in falls)
    return MeanCurve(tuple(qualities.tolist()), tuple(effect.tolist())) if one_way else None
