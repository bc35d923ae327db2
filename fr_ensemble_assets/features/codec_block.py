"""The 14 columns that tell the network which encoder made a frame, at which preset and quality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.encodes.encoders import preset_position
from fr_ensemble_assets.foundation.schema import (
    ENCODER_VOCAB_VERSION,
    ENCODER_VOCABULARY,
    PRESET,
    UNKNOWN_ENCODER,
)

CODEC_BLOCK_LAYOUT = (
    *(f"encoder_onehot[{name}]" for name in ENCODER_VOCABULARY),
    "preset_norm",
    "crf_norm",
)
NUM_CODECS = len(CODEC_BLOCK_LAYOUT)

#: Part of every result's provenance: columns computed in another way are a new version.
CODEC_BLOCK_VERSION = 3

#: Stands for a preset that tells nothing, and for a quality where only one occurs.
NEUTRAL = 0.5

#: For whoever fills the column elsewhere: which end is which, and where the numbers come from.
PRESET_SCALE = (
    "preset_norm: a preset's place in its encoder's list, 0 the fastest, 1 the slowest; 0.5 where "
    "it isn't listed, and throughout where no encoder of the corpus has two presets or more"
)


@dataclass(frozen=True)
class CodecBlock:
    """How a corpus' rows become codec columns.

    Attributes
    ----------
    cq_min, cq_max
        The range of ``cq`` over the corpus, which ``crf_norm`` maps to 0..1.
    presets
        ``preset_norm`` of each preset that the corpus records, by encoder; 0.5 throughout where no
        encoder of it has two presets or more.
    """

    cq_min: float
    cq_max: float
    presets: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def encode(self, corpus: Corpus) -> npt.NDArray[np.float32]:
        """The codec columns of every row, shape (n_rows, 14), in the order of the layout."""
        return self.encode_rows(corpus.frame)

    def encode_rows(self, frame: pd.DataFrame) -> npt.NDArray[np.float32]:
        """The same for rows of any origin, with ``encoder``, ``cq`` and perhaps ``preset``."""
        block = np.zeros((len(frame), NUM_CODECS), dtype=np.float32)
        slots = pd.Index(ENCODER_VOCABULARY).get_indexer(pd.Index(frame["encoder"]))
        slots = np.where(slots < 0, ENCODER_VOCABULARY.index(UNKNOWN_ENCODER), slots)
        block[np.arange(len(frame)), slots] = 1.0
        block[:, CODEC_BLOCK_LAYOUT.index("preset_norm")] = self.preset_norm(frame)
        block[:, CODEC_BLOCK_LAYOUT.index("crf_norm")] = self.normalise_cq(
            frame["cq"].to_numpy(dtype=np.float64)
        )
        return block

    def preset_norm(self, frame: pd.DataFrame) -> npt.NDArray[np.float64]:
        """``preset_norm`` of every row, 0.5 where no preset is recorded; shape (n_rows,)."""
        if PRESET not in frame:
            return np.full(len(frame), NEUTRAL)
        numbers, pairs = pd.MultiIndex.from_frame(frame[["encoder", PRESET]]).factorize()
        known = [self.presets.get(encoder, {}).get(preset, NEUTRAL) for encoder, preset in pairs]
        return np.asarray(np.array(known)[numbers])

    def with_single_presets(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
        """``frame`` with what a missing preset can only have been, and which that is, by encoder.

        Where an encoder had one single preset in training, whoever leaves the preset out means
        that one. Rows of other encoders stay as they are.
        """
        single = {encoder: next(iter(p)) for encoder, p in self.presets.items() if len(p) == 1}
        given = frame[PRESET] if PRESET in frame else pd.Series(None, frame.index, dtype=object)
        missing = given.isna() & frame["encoder"].isin(list(single))
        if not missing.any():
            return frame, {}
        filled = given.astype(object).where(~missing, frame["encoder"].map(single))
        assumed = {encoder: single[encoder] for encoder in sorted(set(frame["encoder"][missing]))}
        return frame.assign(**{PRESET: filled}), assumed

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
            "codec_block_version": CODEC_BLOCK_VERSION,
            "cq_min": self.cq_min,
            "cq_max": self.cq_max,
            "presets": self.presets,
        }


def fit_codec_block(corpus: Corpus) -> CodecBlock:
    """Take the range of ``cq``, and the presets, over the whole corpus (contracts section 1).

    A preset's number is its place in its encoder's own list, 0 fastest, 1 slowest; 0.5 for one that
    the list doesn't have. Where no encoder has two presets the column repeats the encoder's slot:
    it is 0.5 then, which is what consumers feed who know of no presets.
    """
    cq = corpus.frame["cq"]
    presets: dict[str, dict[str, float]] = {}
    if PRESET in corpus.frame:
        recorded = corpus.frame[["encoder", PRESET]].dropna().drop_duplicates()
        varied = bool(recorded["encoder"].duplicated().any())
        for encoder, preset in recorded.sort_values(["encoder", PRESET]).itertuples(index=False):
            place = preset_position(encoder, preset) if varied else None
            presets.setdefault(encoder, {})[preset] = NEUTRAL if place is None else place
    return CodecBlock(cq_min=float(cq.min()), cq_max=float(cq.max()), presets=presets)
