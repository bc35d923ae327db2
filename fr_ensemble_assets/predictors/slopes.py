"""The slope net: the mean curve through the probe, steeper or flatter as its features say.

In logits, ``curve(q) = logit(probe) - beta * (g(q) - g(probe))``: ``g`` is the training curves'
mean, never rising, and ``beta > 0`` is the exponential of a linear function of the probe's
features and score, with weights of its own on each side of the probe. So it is exact at the probe
and monotone whatever it is fed.
"""

from __future__ import annotations

import numpy as np

from fr_ensemble_assets.foundation.schema import VMAF_MAX, VMAF_MIN
from fr_ensemble_assets.predictors.curves import Scale
from fr_ensemble_assets.predictors.ladders import Ladders
from fr_ensemble_assets.predictors.scale import CEILING, Array, from_logit, never_rising, to_logit

#: Of the squared weights against the mean squared error in VMAF; the unit of both was kept.
PENALTY = 1.0
_ROUNDS, _ENOUGH = 60, 1e-10
#: Of log beta: beyond it a curve is flat or a cliff.
_STEEPEST = 10.0


class SlopeNet:
    """Fitted to training curves for probes at one position of their grid."""

    def __init__(self, ladders: Ladders, index: int) -> None:
        truth = ladders.vmaf
        logits = to_logit(truth)
        self._scale = Scale.over(np.column_stack([ladders.features[:, index], logits[:, index]]))
        design = self._scale.training
        shape = never_rising(logits.mean(axis=0))
        self._fall = shape[index] - shape
        position = np.arange(len(shape))
        self._sides = tuple(
            (side, _fit(design, logits[:, index], self._fall[side], truth[:, side]))
            for side in (position < index, position > index)
            if side.any()
        )

    def curve(self, vmaf: float, features: Array) -> Array:
        """Of a clip whose probe scored ``vmaf`` and has ``features``, (7,); VMAF, shape (G,)."""
        probed = float(to_logit(np.array(vmaf)))
        new = self._scale.of(np.append(features, probed))
        result = np.full(len(self._fall), float(vmaf))
        for side, weights in self._sides:
            beta = np.exp(np.clip(weights[0] + new @ weights[1:], -_STEEPEST, _STEEPEST))
            result[side] = from_logit(probed - beta * self._fall[side])
        return np.asarray(np.clip(result, VMAF_MIN, VMAF_MAX))


def _fit(design: Array, start: Array, fall: Array, truth: Array) -> Array:
    """Weights, a constant first, by Levenberg-Marquardt; the constant isn't penalised."""
    inputs = np.column_stack([np.ones(len(design)), design])
    penalty = np.full(inputs.shape[1], PENALTY * truth.size)
    penalty[0] = 0.0
    weights, damping = np.zeros(inputs.shape[1]), 1e-3

    def predicted(at: Array) -> tuple[Array, Array]:
        drop = np.exp(np.clip(inputs @ at, -_STEEPEST, _STEEPEST))[:, None] * fall
        return from_logit(start[:, None] - drop), drop

    def cost(at: Array) -> float:
        return float(np.sum((predicted(at)[0] - truth) ** 2) + penalty @ at**2)

    now = cost(weights)
    for _ in range(_ROUNDS):
        score, drop = predicted(weights)
        # d score / d (constant) of each source and quality; the chain rule does the rest.
        slope = -score * (1.0 - score / CEILING) * drop
        gradient = inputs.T @ np.sum(slope * (score - truth), axis=1) + penalty * weights
        normal = (inputs * np.sum(slope**2, axis=1)[:, None]).T @ inputs + np.diag(penalty)
        while damping < 1e12:
            damped = normal + damping * np.diag(np.diag(normal) + 1e-9)
            tried = weights - np.linalg.solve(damped, gradient)
            then = cost(tried)
            if then <= now:
                break
            damping *= 10.0
        else:
            return weights
        settled = now - then <= _ENOUGH * (now + _ENOUGH)
        weights, now, damping = tried, then, damping / 10.0
        if settled:
            break
    return weights
