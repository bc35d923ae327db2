"""``python -m benchmarks.step``: what one step of the kernel spends its time on.

Each part runs by itself, over and over, on arrays that stay in the cache; the parts take turns.
What a whole step takes beyond their sum is the cache, which all of a step's arrays share, and the
passes over rows that are too small to be measured alone.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numba as nb
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from threadpoolctl import threadpool_limits

from benchmarks.training import flops_a_step, sgemm_flops_a_second
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.training import kernel
from fr_ensemble_assets.training.compiled import compile_kernel, train_compiled
from fr_ensemble_assets.training.intrinsics import TILE, transpose_tile
from fr_ensemble_assets.training.model import ENCODER_COLUMNS, IN_FEATURES, FitInput
from fr_ensemble_assets.training.streams import steps_per_epoch

ROUNDS, REPEATS, EPOCHS, ROWS = 15, 3_000, 6, 5_600
B, D, H = ENSEMBLE.recipe.batch_size, IN_FEATURES - len(ENCODER_COLUMNS), ENSEMBLE.recipe.hidden
WHOLE, FLOOR = "a whole step", "all products at the sgemm peak, the floor"
PARAMETERS = (IN_FEATURES + 1) * H + (H + 1) * H + H + 1


@nb.njit(fastmath=kernel._FAST)
def products(times, x, w1, h, w2, d, gradient_w1, gradient_w2):  # type: ignore[no-untyped-def]
    for _ in range(times):
        np.dot(x, w1, d)
        np.dot(h, w2, d)
        np.dot(h.T, d, gradient_w2)
        np.dot(d, w2, h)
        np.dot(x.T, d, gradient_w1)


@nb.njit(fastmath=kernel._FAST)
def transposing(times, w2, out):  # type: ignore[no-untyped-def]
    for _ in range(times):
        for i in range(0, w2.shape[0], TILE):
            for j in range(0, w2.shape[1], TILE):
                transpose_tile(w2, out, i, j)


@nb.njit(fastmath=kernel._FAST, error_model="numpy")
def activations(times, z, h, d, lanes):  # type: ignore[no-untyped-def]
    for _ in range(2 * times):  # of two layers
        for i in range(z.size):
            phi, cumulated = kernel.normal(z[i])
            mask = np.float32(1.1) if lanes[i] >= 6554 else np.float32(0)
            h[i] = z[i] * cumulated * mask
            d[i] = (cumulated + z[i] * phi) * mask


@nb.njit
def dropout(times, words):  # type: ignore[no-untyped-def]
    for step in range(times):
        kernel._draw_lanes(words, step, np.uint64(7))


@nb.njit(fastmath=kernel._FAST, error_model="numpy")
def adam(times, parameters, moment1, moment2, gradient):  # type: ignore[no-untyped-def]
    most, some = np.float32(0.9), np.float32(0.999)
    rest, little = np.float32(0.1), np.float32(0.001)
    for _ in range(times):
        for i in range(parameters.size):
            g = gradient[i] + little * parameters[i]
            m = most * moment1[i] + rest * g
            v = some * moment2[i] + little * g * g
            moment1[i] = m
            moment2[i] = v
            parameters[i] -= little * m / (np.sqrt(v) + little)


def parts() -> dict[str, Callable[[], object]]:
    """Each part of a step, ``REPEATS`` times."""
    random = np.random.default_rng(0)

    def drawn(*shape: int) -> np.ndarray:
        return random.normal(size=shape).astype(np.float32)

    x, w1, h, w2, d = drawn(B, D), drawn(D, H), drawn(B, H), drawn(H, H) / H, drawn(B, H)
    words = np.empty(2 * B * H // 4, np.uint64)
    lanes, z = words.view(np.uint16)[: B * H], drawn(B * H)
    state = drawn(PARAMETERS), drawn(PARAMETERS), abs(drawn(PARAMETERS)), drawn(PARAMETERS)
    return {
        "five matrix products": lambda: products(
            REPEATS, x, w1, h, w2, d, np.empty_like(w1), np.empty_like(w2)
        ),
        "GELU, its derivative and the mask, two layers": lambda: activations(
            REPEATS, z, np.empty_like(z), np.empty_like(z), lanes
        ),
        "Adam": lambda: adam(REPEATS, *state),
        "transposing w2": lambda: transposing(REPEATS, w2, np.empty_like(w2)),
        "drawing dropout": lambda: dropout(REPEATS, words),
    }


def whole() -> Callable[[], object]:
    """A model over some epochs."""
    random = np.random.default_rng(0)
    inputs = random.normal(size=(ROWS, IN_FEATURES)).astype(np.float32)
    inputs[:, ENCODER_COLUMNS.start : ENCODER_COLUMNS.stop] = 0
    inputs[:, ENCODER_COLUMNS.start] = 1
    fit = FitInput(0, inputs, random.uniform(20, 100, ROWS).astype(np.float32))
    recipe = ENSEMBLE.under(epochs=EPOCHS).recipe
    return lambda: train_compiled(fit, recipe)


def microseconds(work: Callable[[], object], times: int) -> float:
    began = time.thread_time()
    work()
    return (time.thread_time() - began) / times * 1e6


def time_parts() -> dict[str, float]:
    """CPU microseconds of each part of a step, of a whole one, and of the floor."""
    compile_kernel()
    steps = EPOCHS * steps_per_epoch(ROWS, B)
    measured: dict[str, list[float]] = {}
    with threadpool_limits(1):
        works = {name: (work, REPEATS) for name, work in parts().items()}
        works[WHOLE] = whole(), steps
        for work, _ in works.values():
            work()  # compiled
        for _ in track(range(ROUNDS), "parts of a step", transient=True):
            for name, (work, times) in works.items():
                measured.setdefault(name, []).append(microseconds(work, times))
            floor = flops_a_step(ENSEMBLE.recipe) / sgemm_flops_a_second() * 1e6
            measured.setdefault(FLOOR, []).append(floor)
    return {name: statistics.median(values) for name, values in measured.items()}


def main() -> None:
    found = time_parts()
    table = Table("part of a step", "CPU µs", "of a step")
    for name, value in found.items():
        table.add_row(name, f"{value:.2f}", f"{value / found[WHOLE]:.0%}")
    Console().print(table)


if __name__ == "__main__":
    main()
