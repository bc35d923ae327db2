"""The curves that a predictor is trained on: each source's cells, over every whole quality."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from fr_ensemble_assets.foundation.schema import CANONICAL_6, TARGET
from fr_ensemble_assets.predictors.cells import Cells, bits_per_pixel, ladder
from fr_ensemble_assets.predictors.scale import Array, to_t, to_vmaf

#: What a scored probe tells besides its VMAF, in the order of ``Ladders.features``.
SCORED_FEATURES = (
    "log bits per pixel",
    *(f"log(1.02 - {name})" for name in CANONICAL_6[:5]),
    "log(1 + motion2)",
)
#: ADM and VIF end near 1, sometimes a hair above it.
_ABOVE_ONE, _LEAST_GAP = 1.02, 1e-3


class NoCurves(ValueError):
    """Cells of which no curves can be made; the message says why."""


@dataclass(frozen=True)
class Ladders:
    """An encoder's curves over one grid of qualities.

    Attributes
    ----------
    encoder
        Its name.
    sources
        One a curve, sorted; S of them.
    quality
        Every whole quality in the range that all sources cover, and every measured one there;
        ascending, shape (G,).
    t
        VMAF of each source on the scale of :func:`to_t`; shape (S, G).
    features
        :data:`SCORED_FEATURES` of each source's encodes; shape (S, G, 7).
    """

    encoder: str
    sources: tuple[str, ...]
    quality: Array
    t: Array
    features: Array

    @property
    def vmaf(self) -> Array:
        """Shape (S, G)."""
        return to_vmaf(self.t)

    def only(self, sources: Collection[str]) -> Ladders:
        """The curves of some sources, over the same grid."""
        kept = [place for place, name in enumerate(self.sources) if name in sources]
        names = tuple(self.sources[place] for place in kept)
        return replace(self, sources=names, t=self.t[kept], features=self.features[kept])

    def index_of(self, quality: float) -> int:
        """The position of ``quality``; :class:`KeyError` where the curves have no such one."""
        found = np.flatnonzero(np.isclose(self.quality, quality, rtol=0, atol=1e-9))
        if not len(found):
            raise KeyError(f"quality {quality:g} is not one of {self.encoder}'s curves")
        return int(found[0])


def scored_features(rows: pd.DataFrame) -> Array:
    """:data:`SCORED_FEATURES` of some cells; shape (n, 7)."""
    logs = [np.log(bits_per_pixel(rows))]
    for name in CANONICAL_6[:5]:
        gap = _ABOVE_ONE - rows[name].to_numpy(dtype=np.float64)
        logs.append(np.log(np.maximum(gap, _LEAST_GAP)))
    logs.append(np.log1p(np.maximum(rows[CANONICAL_6[5]].to_numpy(dtype=np.float64), 0.0)))
    return np.stack(logs, axis=1)


def ladders_of(cells: Cells, encoder: str, sources: Sequence[str] | None = None) -> Ladders:
    """Curves through the cells of one encoder, of some sources or all.

    Between measured qualities they are interpolated: for training, never to be reported.

    Raises
    ------
    NoCurves
        If a source has a single quality, or the sources have no range in common.
    """
    rows = cells.of_encoder(encoder)
    names = tuple(sorted(set(rows["src"]) & set(rows["src"] if sources is None else sources)))
    if not names:
        raise NoCurves(f"no cells of {encoder}")
    known = cells.curves.get((encoder, names))
    if not isinstance(known, Ladders):
        known = cells.curves[encoder, names] = _interpolated(encoder, rows, names)
    return known


def _interpolated(encoder: str, rows: pd.DataFrame, names: tuple[str, ...]) -> Ladders:
    of_source = [ladder(rows, name) for name in names]
    for name, mine in zip(names, of_source, strict=True):
        if len(mine) < 2:
            raise NoCurves(f"expected two qualities or more of '{name}', found {len(mine)}")
    grid = _common_grid([mine["cq"].to_numpy(dtype=np.float64) for mine in of_source])
    curves = np.stack([_over(grid, mine) for mine in of_source])
    curves.setflags(write=False)  # shared by all who ask for them
    return Ladders(encoder, names, grid, curves[:, :, 0], curves[:, :, 1:])


def _common_grid(qualities: Sequence[Array]) -> Array:
    least, most = max(q[0] for q in qualities), min(q[-1] for q in qualities)
    if least >= most:
        raise NoCurves("the sources' qualities have no range in common")
    whole = np.arange(np.ceil(least), np.floor(most) + 1)
    grid = np.unique(np.concatenate([whole, *qualities]))
    return np.asarray(grid[(grid >= least) & (grid <= most)])


def _over(grid: Array, rows: pd.DataFrame) -> Array:
    """t and features of one source over ``grid``; shape (G, 8)."""
    # Brings scipy along, which answering doesn't need.
    from fr_ensemble_assets.calibration.interpolation import curve

    t = to_t(rows[TARGET].to_numpy(dtype=np.float64))
    measured = np.column_stack([t, scored_features(rows)])
    return curve(rows["cq"].to_numpy(dtype=np.float64), measured, grid)
