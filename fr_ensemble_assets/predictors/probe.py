"""The kind ``probe``: what an encode will score, from one cheap probe that is not scored.

``vmaf = 100 * sigmoid(level(x) - steepness(x) * g(crf))``: ``g`` is piecewise linear and rises
everywhere, ``steepness`` is an exponential, so that the score falls with crf whatever ``x`` is.
``level`` and ``log steepness`` are linear in the logarithms of the other thirteen inputs, which are
kept within the training range. A column that doesn't vary in training weighs exactly nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fr_ensemble_assets.foundation.schema import TARGET
from fr_ensemble_assets.predictors.cell_schema import PROBE_FEATURES
from fr_ensemble_assets.predictors.cells import Cells
from fr_ensemble_assets.predictors.evaluation import (
    Evaluation,
    Fit,
    NotJudged,
    Predict,
    Task,
    evaluate,
)
from fr_ensemble_assets.predictors.gate import CodecVerdict, judge_with
from fr_ensemble_assets.predictors.scale import Array, never_rising

PROBE = "probe"
#: The consumer's inputs, in its order (notes of the fork's runtime, ``predictor_features``).
PROBE_INPUTS = (
    "crf",
    *PROBE_FEATURES,
    "shot_length_frames",
    "fps",
    "width",
    "height",
)
#: Of squared weights against the mean squared error in VMAF.
_PENALTY = 1.0
#: Scores are kept off 0 and 100, which no logit has.
_EDGE = 0.25
#: ``g`` rises by no less a crf, in logits: a curve that is flat can't be searched.
_LEAST_SLOPE = 1e-3
#: Bounds of log steepness and level: beyond them float32 would round to 0 or 100.
LOG_STEEPNESS_BOUND, LEVEL_BOUND = 1.5, 7.0


@dataclass(frozen=True)
class ProbeModel:
    """A fitted predictor; everything that its ONNX file holds.

    Attributes
    ----------
    knots
        Crf at which the slope of ``g`` changes; shape (K,).
    slopes
        Slope of ``g`` before the first knot, between knots, and after the last; shape (K + 1,).
    low, high
        Training range of the logarithms of inputs 1 to 13; shape (13,).
    mean, scale
        Their training mean and deviation, 1 where they don't vary; shape (13,).
    level, steepness
        A constant and thirteen weights each; shape (14,).
    """

    knots: Array
    slopes: Array
    low: Array
    high: Array
    mean: Array
    scale: Array
    level: Array
    steepness: Array

    def standardised(self, inputs: Array) -> Array:
        """Inputs 1 to 13 as logarithms, within range, standardised; shape (n, 13)."""
        logs = np.log1p(np.maximum(inputs[:, 1:], 0.0))
        return np.asarray((np.clip(logs, self.low, self.high) - self.mean) / self.scale)

    def crf_curve(self, crf: Array) -> Array:
        """``g``, rising; 0 at the first knot."""
        beyond = np.maximum(crf[:, None] - self.knots, 0.0)
        turns = np.diff(self.slopes)
        return np.asarray((crf - self.knots[0]) * self.slopes[0] + beyond @ turns)

    def predict(self, inputs: Array) -> Array:
        """VMAF of encodes; ``inputs`` as :data:`PROBE_INPUTS`, shape (n, 14); result (n,)."""
        return _score(
            self.level, self.steepness, self.standardised(inputs), self.crf_curve(inputs[:, 0])
        )


def probe_inputs(rows: pd.DataFrame) -> Array:
    """:data:`PROBE_INPUTS` of some cells, in float32's numbers; shape (n, 14)."""
    columns = ["cq", *PROBE_FEATURES, "frames", "fps", "width", "height"]
    values = rows[columns].to_numpy(dtype=np.float64)
    return values.astype(np.float32).astype(np.float64)


def fit_probe(rows: pd.DataFrame) -> ProbeModel:
    """Fit to cells of one encoder that carry its probe's features."""
    from scipy.optimize import least_squares

    inputs, vmaf = probe_inputs(rows), rows[TARGET].to_numpy(dtype=np.float64)
    logs = np.log1p(inputs[:, 1:])
    varies = np.ptp(logs, axis=0) > 0
    mean = np.where(varies, logs.mean(axis=0), logs[0])
    scale = np.where(varies, logs.std(axis=0), 1.0)
    knots, slopes = _crf_shape(inputs[:, 0], vmaf)
    blank = np.zeros(logs.shape[1] + 1)
    model = ProbeModel(knots, slopes, logs.min(axis=0), logs.max(axis=0), mean, scale, blank, blank)
    z, g = model.standardised(inputs), model.crf_curve(inputs[:, 0])
    kept = np.concatenate([[True], varies])
    size = int(kept.sum())

    def spread_out(weights: Array) -> tuple[Array, Array]:
        level, steepness = blank.copy(), blank.copy()
        level[kept], steepness[kept] = weights[:size], weights[size:]
        return level, steepness

    unpenalised = np.zeros(2 * size, dtype=bool)
    unpenalised[[0, size]] = True
    penalty = np.where(unpenalised, 0.0, np.sqrt(_PENALTY * len(vmaf)))

    def errors(weights: Array) -> Array:
        return np.concatenate([_score(*spread_out(weights), z, g) - vmaf, penalty * weights])

    start = np.zeros(2 * size)
    start[0] = _logit(np.array([vmaf[g <= np.quantile(g, 0.2)].mean()]))[0]
    level, steepness = spread_out(least_squares(errors, start).x)
    return ProbeModel(knots, slopes, model.low, model.high, mean, scale, level, steepness)


def probe_task_rows(cells: Cells, encoder: str) -> pd.DataFrame:
    """The encoder's cells, all of which must carry its probe's features.

    Raises
    ------
    NotJudged
        ``unusable`` where some don't.
    """
    rows = cells.of_encoder(encoder)
    lacking = [name for name in PROBE_FEATURES if name not in rows or rows[name].isna().any()]
    if lacking:
        raise NotJudged(
            "unusable",
            f"cells without the features of an unscored probe ({lacking[0]} is missing); "
            "the encode's own are none",
        )
    return rows


def probe_fit(task: Task) -> Fit:
    """How the kind is fitted: to the judged qualities of the training sources."""

    inputs = {name: probe_inputs(rows) for name, rows in task.of_source.items()}

    def fit(sources: tuple[str, ...]) -> Predict:
        model = fit_probe(task.rows[task.rows["src"].isin(sources)])
        return lambda source: model.predict(inputs[source])

    return fit


def judge_probe(cells: Cells, encoder: str, others: bool = True) -> CodecVerdict:
    """Train and judge the kind ``probe`` of one codec; no quality is left out of judging.

    ``others`` asks for the other groupings, as in
    :func:`~fr_ensemble_assets.predictors.gate.judge_scored_probe`.
    """

    def runs(task: Task) -> Callable[[int], Evaluation]:
        probe_task_rows(cells, encoder)
        everything = task.judging_all()
        fit = probe_fit(everything)
        return lambda seed: evaluate(cells.sha256, everything, PROBE, fit, seed)

    return judge_with(cells, encoder, PROBE, runs, others)


def _crf_shape(crf: Array, vmaf: Array) -> tuple[Array, Array]:
    """Where the mean curve, in logits, bends, and how steep it is between; it always falls."""
    quality = np.unique(crf)
    means = _logit(np.array([vmaf[crf == q].mean() for q in quality]))
    falls = np.maximum(-np.diff(never_rising(means)) / np.diff(quality), _LEAST_SLOPE)
    falls = falls if len(falls) else np.array([_LEAST_SLOPE])
    return quality, np.concatenate([falls[:1], falls, falls[-1:]])


def _score(level: Array, steepness: Array, z: Array, g: Array) -> Array:
    height = np.clip(level[0] + z @ level[1:], -LEVEL_BOUND, LEVEL_BOUND)
    log_steep = steepness[0] + z @ steepness[1:]
    steep = np.exp(np.clip(log_steep, -LOG_STEEPNESS_BOUND, LOG_STEEPNESS_BOUND))
    return np.asarray(100.0 / (1.0 + np.exp(-(height - steep * g))))


def _logit(vmaf: Array) -> Array:
    kept = np.clip(vmaf, _EDGE, 100.0 - _EDGE)
    return np.asarray(np.log(kept / (100.0 - kept)))
