"""What a model's own training rows show of its bias, and its predictions without it.

All rows of a model share an error that leave-one-source-out can't tell from chance: the last steps
of training leave it a bit too high or too low, bent near the ends of the scale. Its own training
rows show that bias, and a small ridge regression of (prediction - target) takes it away again. The
network itself stays as it is: the gate judges the raw predictions, and the exported members are the
contract's. Only intervals, and what is predicted with them, are built on recentred members.

Terms: a linear spline of the prediction, the six standardised features with all their squares and
products, the encoder. A row whose target lies at an end of the scale says only that the truth is
there or beyond (Tobin 1958, "Estimation of relationships for limited dependent variables"): a
recentred prediction beyond that end is cut to it, so that it counts as no error in the fit either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from fr_ensemble_assets.foundation.schema import CANONICAL_6, VMAF_MAX, VMAF_MIN
from fr_ensemble_assets.training.model import ENCODER_COLUMNS, IN_FEATURES

#: Part of every recentred prediction's provenance: other terms are a new version.
RECENTRE_VERSION = 1

#: In VMAF. Closer together where a sixth of a real corpus' frames lie, near the upper end.
KNOTS = (20.0, 40.0, 60.0, 80.0, 90.0, 95.0)
#: In VMAF. Predictions further out count as these.
LOWEST, HIGHEST = -10.0, 110.0
#: Penalty on the squared coefficients, in squared VMAF; ``benchmarks.recentring`` compares others.
RIDGE = 0.1
#: In deviations. Features further than this beyond their training range count as that far, so that
#: squares can't run away on a row unlike all others.
MARGIN = 1.0
#: Enough by far.
_MAX_ROUNDS = 30
#: Rows at a time: their terms then stay in the processor's cache.
_BATCH = 4096
#: Rows whose terms are in memory at a time while a correction is fitted, 8 B each: 26 MB. Of more
#: rows the sums are added up block by block, in the order of the rows.
_BLOCK = 65_536

_FEATURES = len(CANONICAL_6)
_FIRST, _SECOND = np.triu_indices(_FEATURES)

TERMS = (
    "1",
    "prediction",
    *(f"prediction above {knot:g}" for knot in KNOTS),
    *CANONICAL_6,
    *(f"{CANONICAL_6[a]}*{CANONICAL_6[b]}" for a, b in zip(_FIRST, _SECOND, strict=True)),
    *(f"encoder{column - _FEATURES}" for column in ENCODER_COLUMNS),
)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Correction:
    """What one model's predictions are too high by.

    Attributes
    ----------
    low, high
        Standardised features are clamped to these; shapes (6,).
    coefficients
        Of :data:`TERMS`, in VMAF; shape (n_terms,).
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    coefficients: tuple[float, ...]

    def apply(self, inputs: npt.NDArray[np.float32], prediction: Floats) -> Floats:
        """Recentred predictions, cut to VMAF's range; shape (n,).

        Parameters
        ----------
        inputs
            What the network is fed, shape (n, 20): standardised features, then the codec block.
        prediction
            What it makes of them, in VMAF, shape (n,).
        """
        recentred = np.empty(len(prediction))
        coefficients = np.array(self.coefficients)
        for start in range(0, len(prediction), _BATCH):
            rows = slice(start, start + _BATCH)
            terms = _terms(inputs[rows], prediction[rows], np.array(self.low), np.array(self.high))
            # Not a BLAS product: its last bits would depend on the number of threads.
            off = np.einsum("ij,j->i", terms, coefficients)
            recentred[rows] = prediction[rows] - off
        return np.clip(recentred, VMAF_MIN, VMAF_MAX)

    def to_json(self) -> dict[str, Any]:
        return {
            "low": list(self.low),
            "high": list(self.high),
            "coefficients": list(self.coefficients),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Correction:
        """Read what :meth:`to_json` gave.

        Raises
        ------
        ValueError
            If a list is missing, has another length, or holds what is not a finite number.
        """
        lengths = {"low": _FEATURES, "high": _FEATURES, "coefficients": len(TERMS)}
        read = {}
        for name, length in lengths.items():
            try:
                values = np.array(document[name], dtype=np.float64)
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"'{name}' of a correction: expected {length} numbers") from error
            if values.shape != (length,) or not np.isfinite(values).all():
                raise ValueError(
                    f"'{name}' of a correction: expected {length} finite numbers, found "
                    f"{values.size}"
                )
            read[name] = tuple(values.tolist())
        return cls(**read)


def fit_correction(
    inputs: npt.NDArray[np.float32],
    prediction: Floats,
    target: Floats,
    ridge: float = RIDGE,
    margin: float = MARGIN,
) -> Correction:
    """Fit the correction of one model on the rows that it was trained on.

    The same bytes whatever else runs, as long as BLAS keeps to one thread, as it does under
    :meth:`~fr_ensemble_assets.training.trainer.Trainer.side_by_side`.

    Parameters
    ----------
    inputs, prediction
        Inputs of the training rows and what the model makes of them; shapes (n, 20) and (n,).
    target
        Their VMAF, 0..100; shape (n,).
    """
    features = inputs[:, :_FEATURES]
    low = features.min(axis=0).astype(np.float64) - margin
    high = features.max(axis=0).astype(np.float64) + margin

    def terms(rows: slice) -> Floats:
        return _terms(inputs[rows], prediction[rows], low, high)

    added = cut_ridge(terms, prediction, target, ridge)
    return Correction(tuple(low.tolist()), tuple(high.tolist()), tuple((-added).tolist()))


def recentred_scores(
    corrections: Sequence[Correction], inputs: npt.NDArray[np.float32], scores: Floats
) -> Floats:
    """Each member's scores recentred and within 0..100; shape (n_members, n_rows).

    Parameters
    ----------
    inputs, scores
        What the members were fed and what they gave; shapes (n_rows, 20) and (n_members, n_rows).
    """
    pairs = zip(corrections, scores, strict=True)
    return np.stack([correction.apply(inputs, score) for correction, score in pairs])


def cut_ridge(
    terms: Callable[[slice], Floats], base: Floats, target: Floats, ridge: float
) -> Floats:
    """Coefficients with which ``base + terms @ coefficients``, cut to 0..100, comes near a target.

    Ridge regression on the rows that count. One whose target lies at an end of VMAF's range, and
    whose fit lies beyond, doesn't; which those are settles in some five rounds.

    Parameters
    ----------
    terms
        Gives those of some rows; shape (n_rows, n_terms). Asked for a block at a time in each
        round, so that no more need be in memory.
    base, target
        Shapes (n,); in VMAF.
    ridge
        Penalty on the squared coefficients.
    """
    blocks = [slice(n, n + _BLOCK) for n in range(0, max(len(target), 1), _BLOCK)]
    if len(blocks) == 1:  # of few rows all, which would be asked for again and again
        whole = terms(blocks[0])
        return _cut_ridge(lambda _: whole, blocks, base, target, ridge)
    return _cut_ridge(terms, blocks, base, target, ridge)


def _cut_ridge(
    terms: Callable[[slice], Floats],
    blocks: Sequence[slice],
    base: Floats,
    target: Floats,
    ridge: float,
) -> Floats:
    counted = np.ones(len(target), dtype=bool)
    for _ in range(_MAX_ROUNDS):
        coefficients = _ridge(terms, blocks, counted, target - base, ridge)
        fitted = base + np.concatenate([terms(rows) @ coefficients for rows in blocks])
        beyond = (target >= VMAF_MAX) & (fitted > VMAF_MAX)
        beyond |= (target <= VMAF_MIN) & (fitted < VMAF_MIN)
        if (beyond == ~counted).all() or beyond.all():
            break
        counted = ~beyond
    return coefficients


def _ridge(
    terms: Callable[[slice], Floats],
    blocks: Sequence[slice],
    counted: npt.NDArray[np.bool_],
    wanted: Floats,
    ridge: float,
) -> Floats:
    grams, rights = [], []
    for rows in blocks:
        columns = terms(rows)[counted[rows]]
        grams.append(columns.T @ columns)
        rights.append(columns.T @ wanted[rows][counted[rows]])
    gram = reduce(np.add, grams)
    gram[np.diag_indices_from(gram)] += ridge
    return np.asarray(np.linalg.solve(gram, reduce(np.add, rights)))


def _terms(
    inputs: npt.NDArray[np.float32], prediction: Floats, low: Floats, high: Floats
) -> Floats:
    """The regression's columns, in the order of :data:`TERMS`; shape (n, n_terms)."""
    if inputs.ndim != 2 or inputs.shape[1] != IN_FEATURES:
        raise ValueError(f"inputs: expected shape (n, {IN_FEATURES}), found {inputs.shape}")
    features = np.clip(inputs[:, :_FEATURES].astype(np.float64), low, high)
    told = np.clip(prediction, LOWEST, HIGHEST) / VMAF_MAX
    spline = [np.maximum(told - knot / VMAF_MAX, 0.0) for knot in KNOTS]
    encoders = inputs[:, ENCODER_COLUMNS.start : ENCODER_COLUMNS.stop].astype(np.float64)
    return np.column_stack(
        [
            np.ones(len(told)),
            told,
            *spline,
            features,
            features[:, _FIRST] * features[:, _SECOND],
            encoders,
        ]
    )
