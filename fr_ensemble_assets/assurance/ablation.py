"""Does knowing the encoder earn its place? One seed trained with the codec block silenced."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fr_ensemble_assets.assurance.outcome import mean_fold_plcc
from fr_ensemble_assets.assurance.retrained import Inputs, retrain
from fr_ensemble_assets.contract.agreed import Contract
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.evidence.measure import SeedResult
from fr_ensemble_assets.features.codec_block import NEUTRAL, NUM_CODECS
from fr_ensemble_assets.foundation.progress import StepReport, report_nothing
from fr_ensemble_assets.foundation.schema import CANONICAL_6, ENCODER_VOCABULARY, UNKNOWN_ENCODER
from fr_ensemble_assets.training.trainer import Trainer

#: PLCC that the codec block must add to earn its place (ADR-0235).
GAIN_MIN = 0.005


@dataclass(frozen=True)
class Ablation:
    """One seed with and without the codec block; mean PLCC over the same folds.

    Attributes
    ----------
    seed
        Which was trained twice.
    with_block, without_block
        Mean PLCC; ``None`` where that of a fold is undefined.
    """

    seed: int
    with_block: float | None
    without_block: float | None

    @property
    def gain(self) -> float | None:
        if self.with_block is None or self.without_block is None:
            return None
        return self.with_block - self.without_block

    @property
    def earns_its_place(self) -> bool:
        return self.gain is not None and self.gain > GAIN_MIN


def ablate(
    corpus: Corpus,
    result: SeedResult,
    contract: Contract,
    trainer: Trainer,
    report: StepReport = report_nothing,
) -> Ablation:
    """Train the folds of ``result``'s seed again with a block that says nothing.

    Every row is of an unknown encoder, at a neutral preset and quality: the network is the same,
    its last fourteen inputs carry nothing. Takes as long as one seed.
    """
    prediction = retrain(corpus, result.seed, contract, trainer, inputs=_silenced, report=report)
    with_block, _ = mean_fold_plcc(corpus, result.prediction)
    without_block, _ = mean_fold_plcc(corpus, prediction)
    return Ablation(result.seed, with_block, without_block)


def _silenced(inputs: Inputs) -> Inputs:
    block = np.zeros((len(inputs), NUM_CODECS), dtype=np.float32)
    block[:, len(ENCODER_VOCABULARY) :] = NEUTRAL
    block[:, ENCODER_VOCABULARY.index(UNKNOWN_ENCODER)] = 1
    return np.concatenate([inputs[:, : len(CANONICAL_6)], block], axis=1)
