"""The compiled trainer as the rest of the project sees it: one model, on one core."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fr_ensemble_assets.training.model import (
    IN_FEATURES,
    FitInput,
    Parameters,
    initial_parameters,
    layer_sizes,
)
from fr_ensemble_assets.training.progress import StepReport, report_nothing
from fr_ensemble_assets.training.recipe import CONTRACT_RECIPE, Recipe
from fr_ensemble_assets.training.streams import DropoutStream, epoch_order

#: Rows of epochs' orders that are drawn at once: 4 MiB of them.
_ORDER_ROWS = 1 << 20
_SCORE_BLOCK = 32


def train_compiled(
    fit: FitInput, recipe: Recipe, report: StepReport = report_nothing
) -> Parameters:
    """Train one model; the same bytes whatever trains beside it.

    Raises
    ------
    ValueError
        If the recipe has another depth than the kernel's two hidden layers.
    """
    from fr_ensemble_assets.training.kernel import train_epochs

    if recipe.depth != CONTRACT_RECIPE.depth:
        raise ValueError(f"depth: the kernel trains {CONTRACT_RECIPE.depth}, not {recipe.depth}")
    flat = _flatten(initial_parameters(fit.seed, recipe))
    moment1, moment2 = np.zeros_like(flat), np.zeros_like(flat)
    dropout = DropoutStream(fit.seed, recipe)
    n = len(fit.target)
    at_once = max(1, _ORDER_ROWS // n)
    step = 0
    for first in range(0, recipe.epochs, at_once):
        epochs = range(first, min(first + at_once, recipe.epochs))
        orders = np.stack([epoch_order(fit.seed, epoch, n) for epoch in epochs]).astype(np.int32)
        step = train_epochs(
            fit.inputs,
            fit.target,
            flat,
            moment1,
            moment2,
            orders,
            step,
            dropout.key,
            np.uint16(dropout.threshold),
            np.float32(dropout.scale),
            recipe.batch_size,
            recipe.hidden,
            recipe.lr,
            recipe.beta1,
            recipe.beta2,
            recipe.eps,
            recipe.weight_decay,
        )
        report(epochs[-1] + 1, recipe.epochs)
    return _unflatten(flat, recipe)


def predict(parameters: Parameters, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """VMAF predictions for ``inputs``, shape (n, 20); float64, shape (n,)."""
    from fr_ensemble_assets.training.kernel import score_rows

    (w1, w2, w3), (b1, b2, b3) = parameters.weights, parameters.biases
    scores = score_rows(
        np.ascontiguousarray(inputs, dtype=np.float32),
        np.ascontiguousarray(w1.T),
        b1,
        np.ascontiguousarray(w2.T),
        b2,
        w3[0],
        b3[0],
        _SCORE_BLOCK,
    )
    return np.asarray(scores, dtype=np.float64)


def compile_kernel() -> None:
    """Have the kernel compiled, or read from its cache, before several threads ask for it."""
    rows = np.zeros((1, IN_FEATURES), np.float32)
    fit = FitInput(0, rows, np.zeros(1, np.float32))
    predict(train_compiled(fit, Recipe(epochs=1)), rows)


def _flatten(parameters: Parameters) -> npt.NDArray[np.float32]:
    """Weight (inputs, outputs) and bias, layer by layer, as the kernel has them."""
    layers = zip(parameters.weights, parameters.biases, strict=True)
    return np.concatenate([part.ravel() for w, b in layers for part in (w.T, b)])


def _unflatten(flat: npt.NDArray[np.float32], recipe: Recipe) -> Parameters:
    weights: list[npt.NDArray[np.float32]] = []
    biases: list[npt.NDArray[np.float32]] = []
    start = 0
    for inputs, outputs in layer_sizes(recipe):
        middle = start + inputs * outputs
        weights.append(np.ascontiguousarray(flat[start:middle].reshape(inputs, outputs).T))
        biases.append(flat[middle : middle + outputs].copy())
        start = middle + outputs
    return Parameters(tuple(weights), tuple(biases))
