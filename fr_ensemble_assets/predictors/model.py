"""The scored-probe predictor of one encoder: after each encode, the whole curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fr_ensemble_assets.predictors.curves import CurveModel, Gaussian
from fr_ensemble_assets.predictors.ladders import Ladders
from fr_ensemble_assets.predictors.scale import Array, never_rising, to_t, to_vmaf
from fr_ensemble_assets.predictors.slopes import SlopeNet


@dataclass(frozen=True)
class Probe:
    """One encode that was scored.

    Attributes
    ----------
    quality
        One of the predictor's.
    vmaf
        Mean over all frames, 0..100.
    features
        :data:`~fr_ensemble_assets.predictors.ladders.SCORED_FEATURES` of the encode, shape (7,).
    """

    quality: float
    vmaf: float
    features: Array


@dataclass(frozen=True)
class Belief:
    """What is known of a clip's curve.

    Attributes
    ----------
    quality
        The predictor's qualities, ascending; shape (G,).
    curve
        In t.
    measured
        Positions that were measured, and the VMAF there.
    """

    quality: Array
    curve: Gaussian
    measured: tuple[tuple[int, float], ...]

    @property
    def vmaf(self) -> Array:
        """The curve, never rising, through what was measured where that doesn't rise itself."""
        values = to_vmaf(self.curve.mean)
        scores = never_rising(np.array([score for _, score in self.measured]))
        for (index, _), score in zip(self.measured, scores, strict=True):
            values[:index] = np.maximum(values[:index], score)
            values[index] = score
            values[index + 1 :] = np.minimum(values[index + 1 :], score)
        return never_rising(values)

    @property
    def deviation(self) -> Array:
        """One standard deviation in VMAF, 0 where it was measured; shape (G,)."""
        t_deviation = np.sqrt(np.maximum(np.diag(self.curve.covariance), 0.0))
        return np.asarray(2.0 * np.abs(np.minimum(self.curve.mean, 0.0)) * t_deviation)

    def probability(self, target: float) -> Array:
        """Per quality, that its VMAF is ``target`` or more; never rising; shape (G,)."""
        above = self.curve.mean - float(to_t(np.array(target)))
        # Where it was measured the deviation is 0: what was measured decides, below.
        deviation = np.sqrt(np.maximum(np.diag(self.curve.covariance), 1e-12))
        chance = np.array([_normal(z) for z in above / deviation])
        chance = never_rising(chance)
        # What was measured is certain; where it rises, the coarsest that keeps the target counts.
        for index, score in self.measured:
            if score < target:
                chance[index:] = 0.0
        for index, score in self.measured:
            if score >= target:
                chance[: index + 1] = 1.0
        return chance


def _normal(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


class ScoredProbe:
    """Fitted to an encoder's training curves.

    The first probe's curve is the mean of the curve model's and the slope net's; every later one
    conditions it, with the covariance of the curve model.
    """

    def __init__(self, ladders: Ladders) -> None:
        self.ladders = ladders
        self._model = CurveModel(ladders)
        self._nets: dict[int, SlopeNet] = {}

    @property
    def quality(self) -> Array:
        """The qualities that it can speak of, ascending."""
        return self.ladders.quality

    @property
    def log_size(self) -> Array:
        """How the logarithm of an encode's bytes falls over the qualities, on average; (G,)."""
        return never_rising(self.ladders.features[:, :, 0].mean(axis=0))

    def belief(self, probes: Sequence[Probe] = ()) -> Belief:
        """What is known after some encodes of a clip, in the order in which they were made.

        Raises
        ------
        KeyError
            For a quality outside the predictor's.
        """
        if not probes:
            return Belief(self.quality, self._model.prior(), ())
        first, later = probes[0], probes[1:]
        where = self.ladders.index_of(first.quality)
        guess = self._model.guess(where, first.features)
        curve = guess.given([where], to_t(np.array([first.vmaf])))
        slope = self._net(where).curve(first.vmaf, first.features)
        mean = to_t((to_vmaf(curve.mean) + slope) / 2)
        index = [self.ladders.index_of(probe.quality) for probe in later]
        scores = to_t(np.array([probe.vmaf for probe in later]))
        after = Gaussian(mean, curve.covariance).given(index, scores)
        measured = sorted(zip([where, *index], (p.vmaf for p in probes), strict=True))
        return Belief(self.quality, after, tuple(measured))

    def _net(self, index: int) -> SlopeNet:
        if index not in self._nets:
            self._nets[index] = SlopeNet(self.ladders, index)
        return self._nets[index]
