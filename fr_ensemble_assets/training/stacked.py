"""The stacked trainer: many models in lock-step, their parameters in one tensor a layer.

A network of 5,569 parameters is far too small to fill a processor: one model at a time, a step
costs a few microseconds of arithmetic and some hundred of overhead. Here K models take each step
together, as batched matrix products over (K, rows, columns), with the backward pass written out
and Adam as one fused pass over all parameters of all models. 20 times less CPU than the loop.

Models may differ in their number of rows, and so in their number of steps. They count their steps
alike, from 0: model k finishes after its own ``epochs * ceil(n_k / batch)`` steps, and what the
stack still does to its slot after that is thrown away.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from fr_ensemble_assets.contract.recipe import Recipe
from fr_ensemble_assets.foundation.progress import StepReport, report_nothing
from fr_ensemble_assets.training.denormals import denormals_flushed
from fr_ensemble_assets.training.model import (
    FitInput,
    Parameters,
    initial_parameters,
    layer_sizes,
)
from fr_ensemble_assets.training.streams import DropoutStream, epoch_order, steps_per_epoch

if TYPE_CHECKING:
    import torch

#: Steps whose batches and masks are drawn at once: 512 steps of masks are 8 MiB a seed.
_CHUNK = 512


class _Chunk(NamedTuple):
    """What the streams give for some steps, T of them.

    Attributes
    ----------
    rows
        (T, K, B) int64: rows of the stacked inputs; padding points at the model's first row.
    weight
        (T, K, B) float32: 2 / rows in the batch, the factor of the MSE's gradient; 0 for padding.
    masks
        (T, depth, 1 or K, B, hidden) float32: one mask for all where all share a seed.
    """

    rows: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float32]
    masks: npt.NDArray[np.float32]


def train_stack(
    fits: Sequence[FitInput],
    recipe: Recipe,
    device: str = "cpu",
    report: StepReport = report_nothing,
) -> list[Parameters]:
    """Train all ``fits`` side by side; parameters in their order.

    Parameters
    ----------
    fits
        K models; any mix of seeds and numbers of rows.
    device
        A PyTorch device, ``cpu`` or ``cuda``.
    report
        Called at every 512th step with the steps of the longest fit.
    """
    import torch

    # One thread a stack: the products are so small that a second thread only costs.
    torch.set_num_threads(1)
    sizes = layer_sizes(recipe)
    stack = _Stack(fits, sizes, recipe, device)
    batches = _Batches(fits, recipe)
    finished: dict[int, Parameters] = {}
    with torch.no_grad(), denormals_flushed():
        for first in range(0, batches.total, _CHUNK):
            chunk = batches.draw(first, min(_CHUNK, batches.total - first))
            rows = torch.from_numpy(chunk.rows).to(device)
            weight = torch.from_numpy(chunk.weight).to(device)
            masks = torch.from_numpy(chunk.masks).to(device)
            for step in range(len(rows)):
                stack.step(rows[step], weight[step], masks[step])
                for k in batches.ending_at(first + step + 1):
                    finished[k] = stack.parameters(k)
            report(first + len(rows), batches.total)
    return [finished[k] for k in range(len(fits))]


class _Batches:
    """Rows, weights and masks of every model, step by step, from the shared streams."""

    def __init__(self, fits: Sequence[FitInput], recipe: Recipe) -> None:
        self._recipe = recipe
        self._seeds = [fit.seed for fit in fits]
        self._counts = [len(fit.target) for fit in fits]
        self._offsets = np.concatenate([[0], np.cumsum(self._counts)[:-1]])
        self._totals = [recipe.epochs * steps_per_epoch(n, recipe.batch_size) for n in self._counts]
        shared = sorted(set(self._seeds))
        self._dropout = [DropoutStream(seed, recipe) for seed in shared]
        self._mask_of = None if len(shared) == 1 else [shared.index(s) for s in self._seeds]
        self._orders: dict[tuple[int, int, int], npt.NDArray[np.int64]] = {}

    @property
    def total(self) -> int:
        """Steps of the longest fit."""
        return max(self._totals)

    def ending_at(self, steps: int) -> list[int]:
        """Models whose last step was the ``steps``-th."""
        return [k for k, total in enumerate(self._totals) if total == steps]

    def draw(self, first: int, steps: int) -> _Chunk:
        size = self._recipe.batch_size
        rows = np.empty((steps, len(self._seeds), size), dtype=np.int64)
        weight = np.empty(rows.shape, dtype=np.float32)
        for k in range(len(self._seeds)):
            self._draw_model(k, first, rows[:, k], weight[:, k])
        masks = np.stack([stream.masks(first, steps) for stream in self._dropout], axis=2)
        if self._mask_of is not None:
            masks = masks[:, :, self._mask_of]
        return _Chunk(rows, weight, masks)

    def _draw_model(
        self,
        k: int,
        first: int,
        rows: npt.NDArray[np.int64],
        weight: npt.NDArray[np.float32],
    ) -> None:
        """Fill (T, B) of model ``k``, epoch by epoch."""
        size = self._recipe.batch_size
        per_epoch = steps_per_epoch(self._counts[k], size)
        filled = 0
        while filled < len(rows):
            epoch, within = divmod(first + filled, per_epoch)
            take = min(per_epoch - within, len(rows) - filled)
            order = self._padded_order(k, epoch)[within : within + take]
            padding = order < 0
            rows[filled : filled + take] = np.where(padding, 0, order) + self._offsets[k]
            in_batch = size - padding.sum(axis=1, keepdims=True)
            weight[filled : filled + take] = np.where(padding, 0.0, 2.0 / in_batch)
            filled += take

    def _padded_order(self, k: int, epoch: int) -> npt.NDArray[np.int64]:
        """The epoch's batches, shape (steps, B), -1 where the last one is short.

        Kept for the two newest epochs: folds of a seed with as many rows share it.
        """
        seed, n = self._seeds[k], self._counts[k]
        key = (seed, n, epoch)
        if key not in self._orders:
            for old in [old for old in self._orders if old[2] < epoch - 1]:
                del self._orders[old]
            size = self._recipe.batch_size
            padded = np.full(steps_per_epoch(n, size) * size, -1, dtype=np.int64)
            padded[:n] = epoch_order(seed, epoch, n)
            self._orders[key] = padded.reshape(-1, size)
        return self._orders[key]


class _Stack:
    """Parameters and gradients of K models, and the step that moves them.

    All parameters live in one flat float32 tensor, block by block: the weight (K, in, out) of the
    first layer, its bias (K, 1, out), then the next layer's. The gradient mirrors it, so that
    PyTorch's fused Adam moves all models in one pass.
    """

    def __init__(
        self,
        fits: Sequence[FitInput],
        sizes: Sequence[tuple[int, int]],
        recipe: Recipe,
        device: str,
    ) -> None:
        import torch

        self._k, self._batch = len(fits), recipe.batch_size
        self._inputs = torch.from_numpy(np.concatenate([fit.inputs for fit in fits])).to(device)
        self._target = torch.from_numpy(np.concatenate([fit.target for fit in fits])).to(device)
        starts = [initial_parameters(fit.seed, recipe) for fit in fits]
        blocks = []
        for layer in range(len(sizes)):
            blocks.append(np.stack([start.weights[layer].T for start in starts]).ravel())
            blocks.append(np.stack([start.biases[layer] for start in starts]).ravel())
        self._flat = torch.from_numpy(np.concatenate(blocks)).to(device)
        self._grad = torch.zeros_like(self._flat)
        self._flat.grad = self._grad
        self._optimiser = torch.optim.Adam(
            [self._flat],
            lr=recipe.lr,
            betas=(recipe.beta1, recipe.beta2),
            eps=recipe.eps,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        self._weights, self._biases = self._views(self._flat, sizes)
        self._grad_weights, self._grad_biases = self._views(self._grad, sizes)

    def _views(
        self, flat: torch.Tensor, sizes: Sequence[tuple[int, int]]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        weights: list[torch.Tensor] = []
        biases: list[torch.Tensor] = []
        start = 0
        for inputs, outputs in sizes:
            for views, shape in (
                (weights, (self._k, inputs, outputs)),
                (biases, (self._k, 1, outputs)),
            ):
                end = start + shape[0] * shape[1] * shape[2]
                views.append(flat[start:end].view(shape))
                start = end
        return weights, biases

    def step(self, rows: torch.Tensor, weight: torch.Tensor, masks: torch.Tensor) -> None:
        """One optimiser step of all K models; shapes as in :class:`_Chunk`, without T."""
        import torch

        gelu_backward = torch.ops.aten.gelu_backward
        last = len(self._weights) - 1
        rows = rows.view(-1)

        # Forward. Z_l = H_(l-1) W_l + b_l and H_l = gelu(Z_l) * mask_l, each (K, B, out).
        hidden = [self._inputs.index_select(0, rows).view(self._k, self._batch, -1)]
        before_gelu = []
        for layer in range(last):
            z = torch.baddbmm(self._biases[layer], hidden[-1], self._weights[layer])
            before_gelu.append(z)
            hidden.append(torch.nn.functional.gelu(z).mul_(masks[layer]))
        score = torch.baddbmm(self._biases[last], hidden[-1], self._weights[last])

        # Backward. The gradient of each model's own MSE, padding at weight 0: (K, B, 1).
        target = self._target.index_select(0, rows).view_as(score)
        delta = score.sub_(target).mul_(weight.unsqueeze(2))
        for layer in range(last, -1, -1):
            torch.bmm(hidden[layer].transpose(1, 2), delta, out=self._grad_weights[layer])
            torch.sum(delta, 1, keepdim=True, out=self._grad_biases[layer])
            if layer == 0:
                break
            back = self._weights[layer].transpose(1, 2)
            # One output: an outer product, which broadcasting does better than a matrix product.
            upstream = delta * back if layer == last else torch.bmm(delta, back)
            delta = gelu_backward(upstream.mul_(masks[layer - 1]), before_gelu[layer - 1])

        self._optimiser.step()

    def parameters(self, k: int) -> Parameters:
        """A copy of model ``k`` as it stands, in PyTorch's orientation."""
        return Parameters(
            tuple(w[k].T.contiguous().cpu().numpy().copy() for w in self._weights),
            tuple(b[k, 0].cpu().numpy().copy() for b in self._biases),
        )
