"""Whether two sources move alike: their ``motion2`` over time, at the lag at which it fits best.

``motion2`` depends on the reference alone, so it tells two copies of one clip that were encoded by
different encoders, at different qualities, or that start a few frames apart. Linear algebra over
all pairs at once: two seconds for 1,000 sources of 200 rows.

Measured on the 21 clips of the bundled corpus, every third frame (``benchmarks/twins.py``): none of
210 pairs of distinct clips is alike. Of 21 copies each, certain: as they are 20, mirrored 20,
brighter 20, shifted by three frames 19, by six 20 (:mod:`~fr_ensemble_assets.corpus.twins` finds
the others by their values); likely: scaled 20, cropped by a tenth 17, by a fifth 14, encoded at
CRF 30 12, at CRF 40 9.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: Alike: correlation of log motion above this, and the deviation of the log ratio below this
#: share of the deviation of log motion itself.
_CORRELATION_MIN = 0.95
_RATIO_MAX = 0.35
#: The same: root mean square difference below this (motion2's unit), and this share of its spread.
_SAME_RMS = 0.005
_SAME_SHARE = 0.1
#: With fewer frames in common, or a smaller share of the shorter one's, chance is too near.
_OVERLAP_MIN = 10
_OVERLAP_SHARE = 0.6
#: Less deviation of log motion than this is no motion to compare.
_ACTIVITY_MIN = 0.02
_POSITIONS = 256
_LAGS = 16
#: All pairs of more sources would take too long (and leave-one-out of them: days).
SOURCES_MAX = 2000
#: So many of a source's best matches are looked at; of many copies, that links each to another.
_MATCHES = 8

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Match:
    """Two sources, by number, that move alike; ``same`` if they move the same."""

    one: int
    other: int
    same: bool


def moving_alike(source: _Ints, frame: _Ints, motion: _Floats, n_sources: int) -> list[Match]:
    """Compare every pair of sources at lags of up to 16 steps of the sampling grid.

    Parameters
    ----------
    source, frame, motion
        One entry a source and frame: the source's number, the frame's, ``motion2``; shape (n,).

    Notes
    -----
    Frames count from each source's first one, so that numbering from 1,000 hides nothing. Frames
    without motion (the first one always) say nothing. A source is left out if it has fewer than
    ten frames with motion, or next to no change in it.
    """
    if n_sources > SOURCES_MAX:
        return []
    grid = _on_a_grid(source, frame, motion, n_sources)
    moving = grid > 0
    logs = np.log(np.where(moving, grid, 1.0))
    count = moving.sum(axis=1)
    mean = logs.sum(axis=1) / np.maximum(count, 1)
    centred = np.where(moving, logs - mean[:, None], 0.0)
    activity = np.sqrt((centred**2).sum(axis=1) / np.maximum(count, 1))
    used = np.flatnonzero((count >= _OVERLAP_MIN) & (activity >= _ACTIVITY_MIN))
    if len(used) < 2:
        return []
    hits = _hits(centred[used].astype(np.float32), moving[used].astype(np.float32))
    return [
        Match(int(used[min(i, j)]), int(used[max(i, j)]), _is_same(grid[used], i, j, lag))
        for i, j, lag in hits
    ]


def _on_a_grid(source: _Ints, frame: _Ints, motion: _Floats, n_sources: int) -> _Floats:
    """Motion by source and position from the source's first frame; 0 where there is none."""
    first = np.full(n_sources, np.iinfo(np.int64).max)
    np.minimum.at(first, source, frame)
    since = frame - first[source]
    step = max(int(np.gcd.reduce(since)), 1) if len(since) else 1
    at = since // step
    kept = (at < _POSITIONS) & (motion > 0)
    width = int(at[kept].max()) + 1 if kept.any() else 1
    grid = np.zeros((n_sources, width))
    grid[source[kept], at[kept]] = motion[kept]
    return grid


def _hits(logs: npt.NDArray[np.float32], there: npt.NDArray[np.float32]) -> list[tuple[int, ...]]:
    """(i, j, lag) of pairs that are alike where i is ``lag`` positions later than j."""
    shorter = np.minimum.outer(there.sum(axis=1), there.sum(axis=1))
    enough = np.maximum(_OVERLAP_SHARE * shorter, _OVERLAP_MIN)
    best = np.zeros_like(shorter)
    best_lag = np.zeros(shorter.shape, dtype=np.int64)
    for lag in range(min(_LAGS, logs.shape[1] - _OVERLAP_MIN) + 1):
        ahead = slice(lag, None), slice(None, logs.shape[1] - lag)
        correlation, ratio, common = _compared(
            logs[:, ahead[0]], there[:, ahead[0]], logs[:, ahead[1]], there[:, ahead[1]]
        )
        alike = (common >= enough) & (correlation > _CORRELATION_MIN) & (ratio < _RATIO_MAX)
        better = alike & (correlation > best)
        best[better], best_lag[better] = correlation[better], lag
    np.fill_diagonal(best, 0.0)
    hits: list[tuple[int, ...]] = []
    for i in np.flatnonzero(best.any(axis=1)):
        nearest = np.argsort(-best[i], kind="stable")[:_MATCHES]
        hits += [(int(i), int(j), int(best_lag[i, j])) for j in nearest if best[i, j] > 0]
    return hits


def _compared(
    x: npt.NDArray[np.float32],
    in_x: npt.NDArray[np.float32],
    y: npt.NDArray[np.float32],
    in_y: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Correlation, deviation of the difference over activity, frames in common: (n, n) each."""
    common = in_x @ in_y.T
    n = np.maximum(common, 1)
    mean_x, mean_y = (x @ in_y.T) / n, (in_x @ y.T) / n
    var_x = np.maximum((x**2 @ in_y.T) / n - mean_x**2, 0)
    var_y = np.maximum((in_x @ (y**2).T) / n - mean_y**2, 0)
    covariance = (x @ y.T) / n - mean_x * mean_y
    smaller = np.minimum(var_x, var_y)
    moves = smaller >= _ACTIVITY_MIN**2
    scale = np.where(moves, np.sqrt(var_x * var_y), np.inf)
    difference = np.maximum(var_x + var_y - 2 * covariance, 0)
    ratio = np.sqrt(difference / np.where(moves, smaller, 1))
    return covariance / scale, np.where(moves, ratio, np.inf), common


def _is_same(grid: _Floats, i: int, j: int, lag: int) -> bool:
    one, other = grid[i, lag:], grid[j, : grid.shape[1] - lag]
    both = (one > 0) & (other > 0)
    rms = float(np.sqrt(np.mean((one[both] - other[both]) ** 2)))
    spread = min(float(one[both].std()), float(other[both].std()))
    return rms <= _SAME_RMS and rms <= _SAME_SHARE * spread
