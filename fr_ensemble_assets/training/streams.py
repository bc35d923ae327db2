"""Every random number that training sees, keyed by the seed alone.

The original trainer seeds all folds of a seed alike, so they share initialisation, shuffles and
dropout masks. Streams keyed by (seed, fold) would make the seeds' means agree more than they
really do and the spread gate easier to pass. Nothing here depends on which other models train at
the same time, on the order of work, or on the backend: a model's trajectory is a function of its
seed and its training rows.

* **Initialisation**: PyTorch's ``nn.Linear`` default under ``manual_seed(seed)``, bit for bit.
* **Shuffles**: epoch ``e`` of a fit on ``n`` rows is one permutation from a PCG64 generator
  seeded with (seed, SHUFFLE, e).
* **Dropout**: counter based, so that any step can be had without the steps before it. Word ``i``
  is SplitMix64 (Steele, Lea and Flood, 2014) at counter ``i``; each word gives four 16-bit lanes;
  a unit is dropped where its lane is under ``round(p * 2^16)``. Step ``t`` of a fit uses the lanes
  from ``t * layers * batch * hidden`` on, laid out as (layer, row in the batch, unit).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fr_ensemble_assets.contract.recipe import Recipe

#: Part of every result's provenance: a change of any stream is a new version.
STREAMS_VERSION = 1

_SHUFFLE = 1
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
MIX_2 = np.uint64(0x94D049BB133111EB)
LANES_PER_WORD = 4
_LANE_VALUES = 1 << 16


def epoch_order(seed: int, epoch: int, n: int) -> npt.NDArray[np.int64]:
    """The order in which epoch ``epoch`` visits ``n`` training rows; a permutation, shape (n,)."""
    return np.random.Generator(np.random.PCG64([seed, _SHUFFLE, epoch])).permutation(n)


def steps_per_epoch(n: int, batch_size: int) -> int:
    """Batches an epoch, the short one included."""
    return -(-n // batch_size)


def _splitmix64(state: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    z = (state ^ (state >> np.uint64(30))) * MIX_1
    z = (z ^ (z >> np.uint64(27))) * MIX_2
    return z ^ (z >> np.uint64(31))


@dataclass(frozen=True)
class DropoutStream:
    """The dropout masks of all fits under one seed.

    Attributes
    ----------
    seed
        The only key.
    recipe
        Gives the probability and the shape of a step's masks: (depth, batch_size, hidden).
    """

    seed: int
    recipe: Recipe

    @property
    def key(self) -> np.uint64:
        """What sets the streams of different seeds apart."""
        with np.errstate(over="ignore"):
            return np.uint64(_splitmix64(np.array([self.seed + 1], dtype=np.uint64) * GOLDEN)[0])

    @property
    def threshold(self) -> int:
        """Lanes under this are dropped."""
        return round(self.recipe.dropout * _LANE_VALUES)

    @property
    def scale(self) -> float:
        """What a kept unit is multiplied by, so that its expectation is unchanged."""
        return 1.0 / (1.0 - self.threshold / _LANE_VALUES)

    def masks(self, first_step: int, steps: int) -> npt.NDArray[np.float32]:
        """Multipliers (0 or ``scale``) of ``steps`` steps from ``first_step`` (from 0) on.

        Shape (steps, depth, batch_size, hidden), float32.
        """
        shape = (steps, self.recipe.depth, self.recipe.batch_size, self.recipe.hidden)
        lanes_a_step = self.recipe.depth * self.recipe.batch_size * self.recipe.hidden
        first, count = first_step * lanes_a_step, steps * lanes_a_step
        first_word, skip = divmod(first, LANES_PER_WORD)
        words = -(-(skip + count) // LANES_PER_WORD)
        with np.errstate(over="ignore"):  # 64-bit wrap-around is the generator's arithmetic
            counters = np.arange(first_word + 1, first_word + words + 1, dtype=np.uint64)
            stream = _splitmix64(counters * GOLDEN + self.key)
        lanes = stream.astype("<u8", copy=False).view("<u2")[skip : skip + count]
        kept = (lanes >= self.threshold).astype(np.float32)
        kept *= np.float32(self.scale)
        return kept.reshape(shape)
