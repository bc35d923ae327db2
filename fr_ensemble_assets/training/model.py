"""``FRRegressor``: 6 standardised features and 14 codec columns to one VMAF score."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fr_ensemble_assets.corpus.schema import CANONICAL_6
from fr_ensemble_assets.features.codec_block import NUM_CODECS
from fr_ensemble_assets.training.recipe import Recipe

if TYPE_CHECKING:
    import torch

IN_FEATURES = len(CANONICAL_6) + NUM_CODECS


@dataclass(frozen=True)
class FitInput:
    """One model to train.

    Attributes
    ----------
    seed
        Keys every random stream.
    inputs
        Standardised features, then the codec block; float32, shape (n, 20).
    target
        Raw VMAF, 0..100; float32, shape (n,).
    """

    seed: int
    inputs: npt.NDArray[np.float32]
    target: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Parameters:
    """The weights of a trained ``FRRegressor``, float32.

    Attributes
    ----------
    weights
        A matrix a layer, in PyTorch's orientation (outputs, inputs): (64, 20), (64, 64), (1, 64).
    biases
        A vector a layer: (64,), (64,), (1,).
    """

    weights: tuple[npt.NDArray[np.float32], ...]
    biases: tuple[npt.NDArray[np.float32], ...]


def layer_sizes(recipe: Recipe) -> tuple[tuple[int, int], ...]:
    """(inputs, outputs) of each Linear layer."""
    widths = (IN_FEATURES, *([recipe.hidden] * recipe.depth), 1)
    return tuple(itertools.pairwise(widths))


def initial_parameters(seed: int, recipe: Recipe) -> Parameters:
    """PyTorch's default initialisation after ``torch.manual_seed(seed)``, bit for bit.

    Drawn from a generator of its own, so that nobody's global state is touched: uniform within
    ±1/√inputs, weight then bias, layer by layer.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    weights: list[npt.NDArray[np.float32]] = []
    biases: list[npt.NDArray[np.float32]] = []
    for inputs, outputs in layer_sizes(recipe):
        bound = 1.0 / inputs**0.5
        for drawn, shape in ((weights, (outputs, inputs)), (biases, (outputs,))):
            tensor = torch.empty(shape).uniform_(-bound, bound, generator=generator)
            drawn.append(tensor.numpy())
    return Parameters(tuple(weights), tuple(biases))


def build_module(parameters: Parameters) -> torch.nn.Module:
    """The network as a PyTorch module in evaluation mode, holding ``parameters``."""
    import torch

    layers: list[torch.nn.Module] = []
    last = len(parameters.weights) - 1
    for number, (weight, bias) in enumerate(
        zip(parameters.weights, parameters.biases, strict=True)
    ):
        linear = torch.nn.Linear(weight.shape[1], weight.shape[0])
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weight))
            linear.bias.copy_(torch.from_numpy(bias))
        layers.append(linear)
        if number < last:
            layers.append(torch.nn.GELU())  # exact, by erf
    return torch.nn.Sequential(*layers).eval()


def predict(parameters: Parameters, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """VMAF predictions for ``inputs``, shape (n, 20); float64, shape (n,)."""
    import torch

    module = build_module(parameters)
    with torch.inference_mode():
        score = module(torch.from_numpy(np.ascontiguousarray(inputs, dtype=np.float32)))
    return np.asarray(score.squeeze(1).numpy(), dtype=np.float64)
