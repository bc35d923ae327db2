"""The compiled trainer as the rest of the project sees it: one model, on one core."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.contract.recipe import Recipe
from fr_ensemble_assets.foundation.progress import StepReport, report_nothing
from fr_ensemble_assets.training.model import (
    ENCODER_COLUMNS,
    IN_FEATURES,
    FitInput,
    Parameters,
    initial_parameters,
    layer_sizes,
)
from fr_ensemble_assets.training.streams import DropoutStream, epoch_order

#: Rows of epochs' orders that are drawn at once: 4 MiB of them.
_ORDER_ROWS = 1 << 20
_SCORE_BLOCK = 32

#: The kernel's order of inputs: first those that are numbers, then the encoder slots.
_NUMBERS = [column for column in range(IN_FEATURES) if column not in ENCODER_COLUMNS]
_KERNEL_ORDER = [*_NUMBERS, *ENCODER_COLUMNS]


def train_compiled(
    fit: FitInput, recipe: Recipe, report: StepReport = report_nothing
) -> Parameters:
    """Train one model; the same bytes whatever trains beside it.

    Raises
    ------
    ValueError
        If the recipe has another depth than the kernel's two hidden layers, or a width that
        doesn't fill its vectors; or if a row's encoder columns are not one-hot.
    """
    from fr_ensemble_assets.training.intrinsics import TILE
    from fr_ensemble_assets.training.kernel import train_epochs

    if recipe.depth != ENSEMBLE.recipe.depth:
        raise ValueError(f"depth: the kernel trains {ENSEMBLE.recipe.depth}, not {recipe.depth}")
    if recipe.hidden % TILE:
        raise ValueError(f"hidden: the kernel wants a multiple of {TILE}, not {recipe.hidden}")
    slots = _slots(fit.inputs)
    numbers = np.ascontiguousarray(fit.inputs[:, _NUMBERS])
    flat = _flatten(initial_parameters(fit.seed, recipe))
    moment1, moment2 = np.zeros_like(flat), np.zeros_like(flat)
    dropout = DropoutStream(fit.seed, recipe)
    n = len(fit.target)
    at_once = max(1, _ORDER_ROWS // n)
    step = 0
    for first in range(0, recipe.epochs, at_once):
        last = min(first + at_once, recipe.epochs)
        step = train_epochs(
            numbers,
            slots,
            fit.target,
            flat,
            moment1,
            moment2,
            _orders(fit.seed, first, last, n),
            step,
            dropout.key,
            np.uint16(dropout.threshold),
            np.float32(dropout.scale),
            recipe.batch_size,
            len(ENCODER_COLUMNS),
            recipe.hidden,
            recipe.lr,
            recipe.beta1,
            recipe.beta2,
            recipe.eps,
            recipe.weight_decay,
        )
        report(last, recipe.epochs)
    return _unflatten(flat, recipe)


@lru_cache(maxsize=4)
def _orders(seed: int, first: int, last: int, n: int) -> npt.NDArray[np.int32]:
    """The orders of epochs ``first`` to ``last`` - 1, shape (last - first, n).

    Kept for the seed's other folds: those with as many training rows visit them alike.
    """
    orders = np.empty((last - first, n), np.int32)
    for epoch in range(first, last):
        orders[epoch - first] = epoch_order(seed, epoch, n)
    orders.flags.writeable = False
    return orders


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
    rows[0, ENCODER_COLUMNS[0]] = 1
    fit = FitInput(0, rows, np.zeros(1, np.float32))
    predict(train_compiled(fit, Recipe(epochs=1)), rows)


def _slots(inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
    """Which encoder column of each row is 1, counted from the first of them; shape (n,)."""
    encoders = inputs[:, ENCODER_COLUMNS.start : ENCODER_COLUMNS.stop]
    slots: npt.NDArray[np.int32] = encoders.argmax(axis=1).astype(np.int32)
    one_hot = (encoders != 0).sum(axis=1) == 1
    one_hot &= encoders[np.arange(len(slots)), slots] == 1
    if not one_hot.all():
        row = int(np.flatnonzero(~one_hot)[0])
        raise ValueError(f"inputs: row {row}: expected one encoder column at 1, the others at 0")
    return slots


def _flatten(parameters: Parameters) -> npt.NDArray[np.float32]:
    """Weight (inputs, outputs) and bias, layer by layer, as the kernel has them."""
    first, *others = parameters.weights
    weights = (first[:, _KERNEL_ORDER], *others)
    layers = zip(weights, parameters.biases, strict=True)
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
    first = np.empty_like(weights[0])
    first[:, _KERNEL_ORDER] = weights[0]
    return Parameters((first, *weights[1:]), tuple(biases))
