"""``FRRegressor``: 6 standardised features and 14 codec columns to one VMAF score."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fr_ensemble_assets.contract.recipe import Recipe
from fr_ensemble_assets.features.codec_block import NUM_CODECS
from fr_ensemble_assets.foundation.schema import CANONICAL_6, ENCODER_VOCABULARY

if TYPE_CHECKING:
    import torch

IN_FEATURES = len(CANONICAL_6) + NUM_CODECS
#: The columns of the inputs that hold the encoder's one-hot slots.
ENCODER_COLUMNS = range(len(CANONICAL_6), len(CANONICAL_6) + len(ENCODER_VOCABULARY))


@dataclass(frozen=True)
class FitInput:
    """One model to train.

    Attributes
    ----------
    seed
        Keys every random stream.
    inputs
        Standardised features, then the codec block; float32, shape (n, 20). One encoder column
        of a row is 1, the others are 0.
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

    Uniform within ±1/√inputs, weight then bias, layer by layer, from the Mersenne twister that
    PyTorch and numpy seed alike: the low 24 bits of each word are the fraction. Computed here,
    because importing PyTorch takes longer than training a model.
    """
    twister = np.random.MT19937()
    twister._legacy_seeding(seed)
    weights: list[npt.NDArray[np.float32]] = []
    biases: list[npt.NDArray[np.float32]] = []
    for inputs, outputs in layer_sizes(recipe):
        bound = float(np.float32(1.0 / inputs**0.5))
        for drawn, shape in ((weights, (outputs, inputs)), (biases, (outputs,))):
            words = twister.random_raw(int(np.prod(shape)))
            fraction = (words & 0xFFFFFF) / float(1 << 24)
            # In float64 and rounded once, as PyTorch's fused multiply-add does it.
            drawn.append((fraction * (2 * bound) - bound).astype(np.float32).reshape(shape))
    return Parameters(tuple(weights), tuple(biases))


def forward(parameters: Parameters, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """What the network gives, in float64 and with the exact GELU: others are held against it.

    Parameters
    ----------
    inputs
        Shape (n, 20).

    Returns
    -------
    scores
        VMAF, shape (n,).
    """
    from scipy.special import erf

    value = np.asarray(inputs, dtype=np.float64)
    last = len(parameters.weights) - 1
    for number, (weight, bias) in enumerate(
        zip(parameters.weights, parameters.biases, strict=True)
    ):
        value = value @ weight.T.astype(np.float64) + bias
        if number < last:
            value = value * (0.5 + 0.5 * erf(value / np.sqrt(2.0)))
    return value[:, 0]


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
