"""The compiled trainer: one model from its start to its end in one call, on one core.

What is fast about it: nothing is allocated inside a step, everything of a step (parameters,
gradients, moments, activations: 120 KB) stays in the second-level cache, the five matrix products
go to BLAS, and all that lies between them is fused into a few loops over (32, 64) that the compiler
turns into vector instructions:

* the encoder's one-hot columns are looked up, not multiplied: a row takes one row of weights;
* forward: bias, exact GELU, its derivative and the dropout mask in one pass a layer;
* backward: loss gradient, output layer, second layer's delta and bias gradients in one pass;
* L2, both moments, bias correction and the update of all 5,569 parameters in one pass.

The call releases the GIL, so threads train models side by side; what a model becomes depends on
its own inputs alone, to the last bit, whoever trains beside it.

Names: B rows in the batch (32, the last one short), D = 8 numbers a row (six features, preset and
quality), S = 12 encoder slots, H = 64 units a hidden layer.
All arrays are float32 and C-contiguous; weights are (inputs, outputs), so that ``h @ w`` is plain.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from fr_ensemble_assets.training.intrinsics import TILE, float_of_bits, transpose_tile
from fr_ensemble_assets.training.streams import GOLDEN, LANES_PER_WORD, MIX_1, MIX_2

# Reordering sums and fusing multiply-adds lets loops become vector code. Infinities and NaN keep
# their meaning: a model that diverges must be seen to diverge.
_FAST = {"reassoc", "contract", "nsz", "arcp"}

# The normal distribution in float32, for the exact GELU x * Phi(x) and its derivative
# Phi(x) + x * phi(x). Both come from one exponential and one division:
#
#   phi(x) = exp(-x^2 / 2) / sqrt(2 pi),   1 - Phi(|x|) = phi(x) * P(t),   t = 1 / (1 + p |x|)
#
# with P a polynomial without constant term, of the form that Abramowitz and Stegun (1964, 26.2.17)
# give, of one degree more and fitted anew: |error of Phi| < 6e-9, a tenth of float32's rounding.
_P = np.float32(0.275)
_P1 = np.float32(0.29530572987752207)
_P2 = np.float32(0.10554722425147212)
_P3 = np.float32(0.8370699703073138)
_P4 = np.float32(-0.8297086368398474)
_P5 = np.float32(1.1330114301838372)
_P6 = np.float32(-0.2879115681126725)
_INV_SQRT_2PI = np.float32(0.3989422804014327)
_HALF_LOG2_E = np.float32(0.7213475204444817)
# 2^f for f in [0, 1), relative error 2e-9; the whole part of the exponent is set as bits.
_E0, _E1, _E2, _E3, _E4, _E5, _E6 = (
    np.float32(c)
    for c in (
        1.0000000018154933,
        0.6931469870574742,
        0.24022979581424742,
        0.0554835247239868,
        0.00967847255437996,
        0.0012443081509244044,
        0.00021690609166702317,
    )
)
_EXPONENT_BIAS = np.int32(127)
_MANTISSA_BITS = np.int32(23)
# Far from denormal numbers: beyond |x| = 11.8 the density stays at 3e-31.
_SMALLEST_EXPONENT = np.float32(-100)

# Below this a parameter or a moment is as good as zero. L2 drives the weights of one-hot columns
# that never occur, and their moments, down to denormal numbers, which would cost up to 1.7 times;
# they are set to zero at the end of each epoch.
_TINY = np.float32(1e-30)


@nb.njit(inline="always", fastmath=_FAST)
def normal(x: Any) -> Any:
    """phi(x) and Phi(x), the density and the distribution function of the standard normal."""
    size = abs(x)
    t = np.float32(1) / (np.float32(1) + _P * size)
    exponent = max(-_HALF_LOG2_E * size * size, _SMALLEST_EXPONENT)
    whole = np.floor(exponent)
    f = exponent - whole
    power = _E0 + f * (_E1 + f * (_E2 + f * (_E3 + f * (_E4 + f * (_E5 + f * _E6)))))
    bits = (np.int32(whole) + _EXPONENT_BIAS) << _MANTISSA_BITS
    scale: Any = float_of_bits(bits)  # type: ignore[call-arg]
    phi = _INV_SQRT_2PI * power * scale
    tail = phi * t * (_P1 + t * (_P2 + t * (_P3 + t * (_P4 + t * (_P5 + t * _P6)))))
    return phi, (np.float32(1) - tail if x >= 0 else tail)


@nb.njit(inline="always")
def _draw_lanes(words: Any, step: int, key: Any) -> None:
    """Fill ``words`` with SplitMix64 of the step's counters; see :mod:`.streams`."""
    first = np.uint64(step) * np.uint64(len(words)) + np.uint64(1)
    for w in range(len(words)):
        z = (first + np.uint64(w)) * GOLDEN + key
        z = (z ^ (z >> np.uint64(30))) * MIX_1
        z = (z ^ (z >> np.uint64(27))) * MIX_2
        words[w] = z ^ (z >> np.uint64(31))


@nb.njit(inline="always")
def _flush(values: Any) -> None:
    """Set what is as good as zero to zero; asked this way round, a NaN stays one."""
    for i in range(values.size):
        if abs(values[i]) < _TINY:
            values[i] = 0


@nb.njit(nogil=True, cache=True, fastmath=_FAST, error_model="numpy")
def train_epochs(
    numbers: npt.NDArray[np.float32],
    slots: npt.NDArray[np.int32],
    target: npt.NDArray[np.float32],
    parameters: npt.NDArray[np.float32],
    moment1: npt.NDArray[np.float32],
    moment2: npt.NDArray[np.float32],
    orders: npt.NDArray[np.int32],
    first_step: int,
    key: np.uint64,
    threshold: np.uint16,
    keep_scale: np.float32,
    batch_size: int,
    n_slots: int,
    hidden: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
) -> int:
    """Train one model over some epochs, in place; returns the number of steps taken so far.

    Parameters
    ----------
    numbers, slots, target
        (n, D) inputs that are not one-hot; (n,) which encoder slot is 1; (n,) VMAF.
    parameters, moment1, moment2
        Flat, (D·H + S·H + H + H·H + H + H + 1,): weight and bias, layer by layer, in the
        first weight the numbers before the slots; Adam's moments.
    orders
        (epochs, n): the rows in the order in which each epoch visits them.
    first_step
        Steps taken before, from 0: Adam's and the dropout stream's clock.
    key, threshold, keep_scale
        The seed's dropout stream: lanes under ``threshold`` are dropped, the others scaled.
    """
    n, width = numbers.shape
    # Views of each layer in the flat arrays, for the parameters and, below, for their gradients.
    end_w1 = width * hidden
    end_slots = end_w1 + n_slots * hidden
    end_b1 = end_slots + hidden
    end_w2 = end_b1 + hidden * hidden
    end_b2 = end_w2 + hidden
    end_w3 = end_b2 + hidden
    w1 = parameters[:end_w1].reshape(width, hidden)
    slot_w1 = parameters[end_w1:end_slots].reshape(n_slots, hidden)
    b1 = parameters[end_slots:end_b1]
    w2 = parameters[end_b1:end_w2].reshape(hidden, hidden)
    b2 = parameters[end_w2:end_b2]
    w3 = parameters[end_b2:end_w3]
    gradient = np.empty_like(parameters)
    gradient_w1 = gradient[:end_w1].reshape(width, hidden)
    gradient_slot_w1 = gradient[end_w1:end_slots].reshape(n_slots, hidden)
    gradient_b1 = gradient[end_slots:end_b1]
    gradient_w2 = gradient[end_b1:end_w2].reshape(hidden, hidden)
    gradient_b2 = gradient[end_w2:end_b2]
    gradient_w3 = gradient[end_b2:end_w3]

    all_x = np.empty((batch_size, width), np.float32)
    all_slots = np.empty(batch_size, np.int32)
    all_t = np.empty(batch_size, np.float32)
    all_h1 = np.empty((batch_size, hidden), np.float32)  # z1, then h1 = gelu(z1) * mask1
    all_d1 = np.empty((batch_size, hidden), np.float32)  # dh1/dz1, then the delta of layer 1
    all_h2 = np.empty((batch_size, hidden), np.float32)
    all_d2 = np.empty((batch_size, hidden), np.float32)
    w2_transposed = np.empty((hidden, hidden), np.float32)
    words = np.empty(2 * batch_size * hidden // LANES_PER_WORD, np.uint64)
    lanes = words.view(np.uint16)

    decay1, decay2 = np.float32(beta1), np.float32(beta2)
    rest1, rest2 = np.float32(1 - beta1), np.float32(1 - beta2)
    l2, epsilon = np.float32(weight_decay), np.float32(eps)
    step = first_step
    for epoch in range(orders.shape[0]):
        for start in range(0, n, batch_size):
            rows = min(batch_size, n - start)
            x, h1, d1 = all_x[:rows], all_h1[:rows], all_d1[:rows]
            h2, d2 = all_h2[:rows], all_d2[:rows]
            for r in range(rows):
                row = orders[epoch, start + r]
                for j in range(width):
                    x[r, j] = numbers[row, j]
                all_slots[r] = slots[row]
                all_t[r] = target[row]
            _draw_lanes(words, step, key)

            # Layer 1: (B, D) @ (D, H), then the slot's weights, bias, GELU, derivative and mask in
            # one pass.
            np.dot(x, w1, h1)
            for r in range(rows):
                of_slot = slot_w1[all_slots[r]]
                for j in range(hidden):
                    z = h1[r, j] + of_slot[j] + b1[j]
                    phi, cumulated = normal(z)
                    kept = lanes[r * hidden + j] >= threshold
                    mask = keep_scale if kept else np.float32(0)
                    h1[r, j] = z * cumulated * mask
                    d1[r, j] = (cumulated + z * phi) * mask

            # Layer 2: (B, H) @ (H, H). Then, row by row: the same pass, the score, the gradient of
            # the batch's mean square error, and all that it gives of layers 3 and 2.
            np.dot(h1, w2, h2)
            for j in range(hidden):
                gradient_w3[j] = 0
                gradient_b2[j] = 0
            gradient_b3 = np.float32(0)
            two_over_rows = np.float32(2) / np.float32(rows)
            for r in range(rows):
                score = parameters[end_w3]
                for j in range(hidden):
                    z = h2[r, j] + b2[j]
                    phi, cumulated = normal(z)
                    kept = lanes[(batch_size + r) * hidden + j] >= threshold
                    mask = keep_scale if kept else np.float32(0)
                    h = z * cumulated * mask
                    h2[r, j] = h
                    d2[r, j] = (cumulated + z * phi) * mask
                    score += h * w3[j]
                slope = two_over_rows * (score - all_t[r])
                gradient_b3 += slope
                for j in range(hidden):
                    gradient_w3[j] += slope * h2[r, j]
                    delta = slope * w3[j] * d2[r, j]
                    d2[r, j] = delta
                    gradient_b2[j] += delta
            gradient[end_w3] = gradient_b3

            # Backward through the products: (H, B) @ (B, H), (B, H) @ (H, H), (D, B) @ (B, H).
            np.dot(h1.T, d2, gradient_w2)
            # BLAS takes 40 % longer where it has to transpose the second factor itself.
            for i in range(0, hidden, TILE):
                for j in range(0, hidden, TILE):
                    transpose_tile(w2, w2_transposed, i, j)  # type: ignore[call-arg]
            np.dot(d2, w2_transposed, h2)
            gradient_slot_w1[:] = 0
            for r in range(rows):
                of_slot = gradient_slot_w1[all_slots[r]]
                for j in range(hidden):
                    delta = h2[r, j] * d1[r, j]
                    d1[r, j] = delta
                    of_slot[j] += delta
            # Every row has one slot, so the slots' gradients add up to the bias'.
            gradient_b1[:] = 0
            for slot in range(n_slots):
                for j in range(hidden):
                    gradient_b1[j] += gradient_slot_w1[slot, j]
            np.dot(x.T, d1, gradient_w1)

            # Adam, as PyTorch does it: the bias corrections in float64, once a step.
            step += 1
            step_size = np.float32(lr / (1.0 - beta1**step))
            root_correction = np.float32(1.0 / np.sqrt(1.0 - beta2**step))
            for i in range(parameters.size):
                g = gradient[i] + l2 * parameters[i]
                m = decay1 * moment1[i] + rest1 * g
                v = decay2 * moment2[i] + rest2 * g * g
                moment1[i] = m
                moment2[i] = v
                parameters[i] -= step_size * m / (np.sqrt(v) * root_correction + epsilon)
        _flush(parameters)
        _flush(moment1)
        _flush(moment2)
    return step


@nb.njit(nogil=True, cache=True, fastmath=_FAST)
def score_rows(
    inputs: npt.NDArray[np.float32],
    w1: npt.NDArray[np.float32],
    b1: npt.NDArray[np.float32],
    w2: npt.NDArray[np.float32],
    b2: npt.NDArray[np.float32],
    w3: npt.NDArray[np.float32],
    b3: np.float32,
    block: int,
) -> npt.NDArray[np.float32]:
    """Predict (n, D) without dropout, ``block`` rows at a time so that bits don't depend on n."""
    n, hidden = inputs.shape[0], w1.shape[1]
    scores = np.empty(n, np.float32)
    x = np.zeros((block, inputs.shape[1]), np.float32)
    h1 = np.empty((block, hidden), np.float32)
    h2 = np.empty((block, hidden), np.float32)
    for start in range(0, n, block):
        rows = min(block, n - start)
        x[:rows] = inputs[start : start + rows]
        np.dot(x, w1, h1)
        for r in range(rows):
            for j in range(hidden):
                z = h1[r, j] + b1[j]
                _, cumulated = normal(z)
                h1[r, j] = z * cumulated
        np.dot(h1, w2, h2)
        for r in range(rows):
            score = b3
            for j in range(hidden):
                z = h2[r, j] + b2[j]
                _, cumulated = normal(z)
                score += z * cumulated * w3[j]
            scores[start + r] = score
    return scores
