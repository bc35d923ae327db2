"""The curve model: a mean curve, what training curves vary by, and Gaussian conditioning.

Curves over quality, on the scale of :func:`~fr_ensemble_assets.predictors.scale.to_t`, are the
mean curve plus a few principal components plus a smooth rest. What the components are for a new
clip is guessed from its first probe's features by ridge; how good that guess is, from leaving
training curves out; and all measured points then condition the curve. Closed form throughout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fr_ensemble_assets.predictors.ladders import Ladders
from fr_ensemble_assets.predictors.scale import Array

#: Components beyond these did not help clips left out.
COMPONENTS = 2
RIDGE = 3.0
#: How far along the quality axis the rest of a curve, beside its components, hangs together.
_REST_REACH = 4.0
#: Deviation in t by which one encode strays from any smooth curve: a tenth of a VMAF at 92.
_ROUGHNESS = 0.02


@dataclass(frozen=True)
class Gaussian:
    """What is known of a curve in t over a grid: mean, shape (G,), covariance, shape (G, G)."""

    mean: Array
    covariance: Array

    def given(self, index: Sequence[int], t: Array) -> Gaussian:
        """Conditioned on the curve's values ``t`` at some positions of the grid."""
        if not len(index):
            return self
        at = np.asarray(index)
        gain = np.linalg.solve(self.covariance[np.ix_(at, at)], self.covariance[at]).T
        mean = self.mean + gain @ (t - self.mean[at])
        covariance = self.covariance - gain @ self.covariance[at]
        # Exact where it was measured, rounding or not.
        mean[at] = t
        covariance[at, :] = covariance[:, at] = 0.0
        return Gaussian(mean, (covariance + covariance.T) / 2)


class CurveModel:
    """Fitted to the curves of training sources; at least two of them."""

    def __init__(self, ladders: Ladders) -> None:
        self.ladders = ladders
        self.mean = ladders.t.mean(axis=0)
        deviation = ladders.t - self.mean
        kept = min(COMPONENTS, len(ladders.sources) - 1)
        self._components = np.linalg.svd(deviation, full_matrices=False)[2][:kept]
        self._scores = deviation @ self._components.T
        rest = deviation - self._scores @ self._components
        self._rest = np.sqrt(np.mean(rest**2, axis=0))
        self._guesses: dict[int, _Guess] = {}

    def prior(self) -> Gaussian:
        """Before anything is measured."""
        spread = self._scores.T @ self._scores / max(len(self._scores) - 1, 1)
        return Gaussian(self.mean, self._covariance(spread))

    def guess(self, index: int, features: Array) -> Gaussian:
        """From the features, shape (7,), of a probe at position ``index``; not from its score."""
        if index not in self._guesses:
            self._guesses[index] = self._fitted(index)
        known = self._guesses[index]
        mean = self.mean + (known.scale.of(features) @ known.weights) @ self._components
        return Gaussian(mean, known.covariance)

    def _fitted(self, index: int) -> _Guess:
        """Ridge from a probe's features at ``index`` to the components, and what it is off."""
        scale = Scale.over(self.ladders.features[:, index])
        design = scale.training
        precision = design.T @ design + RIDGE * np.eye(design.shape[1])
        inverse = np.linalg.inv(precision)
        weights = inverse @ design.T @ self._scores
        leverage = np.einsum("ij,jk,ik->i", design, inverse, design) + 1 / len(design)
        left_out = (self._scores - design @ weights) / (1 - leverage)[:, None]
        covariance = self._covariance(left_out.T @ left_out / len(left_out))
        return _Guess(scale, np.asarray(weights), covariance)

    def _covariance(self, of_scores: Array) -> Array:
        quality = self.ladders.quality
        apart = (quality[:, None] - quality[None, :]) / _REST_REACH
        rest = np.outer(self._rest, self._rest) * np.exp(-0.5 * apart**2)
        rough = _ROUGHNESS**2 * np.eye(len(quality))
        return np.asarray(self._components.T @ of_scores @ self._components + rest + rough)


@dataclass(frozen=True)
class Scale:
    """Columns with mean 0 and deviation 1 in training; one that doesn't vary becomes 0.

    Attributes
    ----------
    training
        The training rows on it, shape (S, F).
    """

    training: Array
    _mean: Array
    _scale: Array
    _least: Array
    _most: Array
    _varied: npt.NDArray[np.bool_]

    @classmethod
    def over(cls, training: Array) -> Scale:
        """The scale of these rows, shape (S, F)."""
        mean, deviation = training.mean(axis=0), training.std(axis=0)
        varied = deviation > 1e-9
        scale = np.where(varied, deviation, 1.0)
        rows = np.where(varied, (training - mean) / scale, 0.0)
        return cls(rows, mean, scale, training.min(axis=0), training.max(axis=0), varied)

    def of(self, new: Array) -> Array:
        """One more row, shape (F,), kept within the training range."""
        kept = np.clip(new, self._least, self._most)
        return np.where(self._varied, (kept - self._mean) / self._scale, 0.0)


@dataclass(frozen=True)
class _Guess:
    """What probes at one position tell: their scale, weights of the components, covariance."""

    scale: Scale
    weights: Array
    covariance: Array
