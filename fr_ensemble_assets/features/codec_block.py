"""The 14 columns that tell the network which encoder made a frame, at which preset and quality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.corpus.schema import (
    ENCODER_VOCAB_VERSION,
    ENCODER_VOCABULARY,
    UNKNOWN_ENCODER,
)

CODEC_BLOCK_LAYOUT = (
    *(f"encoder_onehot[{name}]" for name in ENCODER_VOCABULARY),
    "preset_norm",
    "crf_norm",
)
NUM_CODECS = len(CODEC_BLOCK_LAYOUT)

#: Stands for a preset that nobody recorded, and for a quality where only one occurs.
NEUTRAL = 0.5


@dataclass(frozen=True)
class CodecBlock:
    """How a corpus' rows become codec columns.

    Attributes
    ----------
    cq_min, cq_max
        The range of ``cq`` over the corpus, which ``crf_norm`` maps to 0..1.
    """

    cq_min: float
    cq_max: float

    def encode(self, corpus: Corpus) -> npt.NDArray[np.float32]:
        """The codec columns of every row, shape (n_rows, 14), in the order of the layout."""
        block = np.zeros((corpus.n_rows, NUM_CODECS), dtype=np.float32)
        slots = pd.Index(ENCODER_VOCABULARY).get_indexer(pd.Index(corpus.frame["encoder"]))
        slots = np.where(slots < 0, ENCODER_VOCABULARY.index(UNKNOWN_ENCODER), slots)
        block[np.arange(corpus.n_rows), slots] = 1.0
        block[:, CODEC_BLOCK_LAYOUT.index("preset_norm")] = NEUTRAL
        block[:, CODEC_BLOCK_LAYOUT.index("crf_norm")] = self.normalise_cq(
            corpus.frame["cq"].to_numpy(dtype=np.float64)
        )
        return block

    def normalise_cq(self, cq: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """``(cq - cq_min) / (cq_max - cq_min)``, or 0.5 where only one quality occurs."""
        if self.cq_min == self.cq_max:
            return np.full_like(cq, NEUTRAL)
        return (cq - self.cq_min) / (self.cq_max - self.cq_min)

    def to_json(self) -> dict[str, Any]:
        return {
            "codec_block_layout": list(CODEC_BLOCK_LAYOUT),
            "encoder_vocab": list(ENCODER_VOCABULARY),
            "encoder_vocab_version": ENCODER_VOCAB_VERSION,
            "cq_min": self.cq_min,
            "cq_max": self.cq_max,
        }


def fit_codec_block(corpus: Corpus) -> CodecBlock:
    """Take the range of ``cq`` over the whole corpus (contracts section 1)."""
    cq = corpus.frame["cq"]
    return CodecBlock(cq_min=float(cq.min()), cq_max=float(cq.max()))
