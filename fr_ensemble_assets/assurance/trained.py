"""The controls that need the network itself, one seed each: left out unless somebody asks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from upath import UPath

from fr_ensemble_assets.assurance.ablation import GAIN_MIN, Ablation, ablate
from fr_ensemble_assets.assurance.controls import swap_sources
from fr_ensemble_assets.assurance.outcome import mean_fold_plcc
from fr_ensemble_assets.assurance.retrained import retrain
from fr_ensemble_assets.contract.agreed import Contract
from fr_ensemble_assets.contract.thresholds import ADR_0303
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.evidence.measure import SeedResult
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.files import sha256_of
from fr_ensemble_assets.foundation.progress import Progress
from fr_ensemble_assets.training.trainer import Trainer

CONTROLS_FILE = "controls.json"
SCHEMA_VERSION = 1
#: Of the cycle in which sources swap their scores.
_SWAP_SEED = 0


@dataclass(frozen=True)
class TrainedControls:
    """What one seed's network makes of less, and of nonsense.

    Attributes
    ----------
    predictions_sha256
        Of the seed's own predictions, float64: which results these controls stand beside.
    ablation
        The seed with and without the codec block.
    swapped
        Mean PLCC over the held-out sources after training on scores swapped between whole
        sources; ``None`` where that of a fold is undefined.
    """

    corpus_sha256: str
    predictions_sha256: str
    ablation: Ablation
    swapped: float | None

    @property
    def codec_block(self) -> str:
        """Whether knowing the encoder earns its place (ADR-0235), in a sentence."""
        gain = self.ablation.gain
        if gain is None:
            return "What the codec block adds can't be said: a PLCC is undefined."
        worth = "earns" if self.ablation.earns_its_place else "does NOT earn"
        return (
            f"The codec block adds {gain:+.4f} mean PLCC under seed {self.ablation.seed} "
            f"({self.ablation.without_block:.4f} without it) and {worth} its place "
            f"(> {GAIN_MIN}, ADR-0235)."
        )

    @property
    def swap(self) -> str:
        """What the gate would have made of swapped scores, in a sentence."""
        if self.swapped is None:
            return "On scores swapped between sources a PLCC is undefined: they would not pass."
        passes = self.swapped >= ADR_0303.mean_plcc_min
        return (
            "The same network reaches mean PLCC "
            f"{self.swapped:.4f} on scores swapped between whole sources, which "
            f"{'PASSES' if passes else 'does not pass'} ({ADR_0303.mean_plcc_min})."
        )


def train_controls(
    corpus: Corpus, result: SeedResult, contract: Contract, trainer: Trainer, progress: Progress
) -> TrainedControls:
    """Train ``result``'s seed twice more: without the codec block, and on swapped scores."""
    silent = progress.report("without codec block")
    ablation = ablate(corpus, result, contract, trainer, silent)
    target = swap_sources(corpus, np.random.default_rng(_SWAP_SEED))
    swapped = retrain(
        *(corpus, result.seed, contract, trainer),
        target=target,
        report=progress.report("swapped scores"),
    )
    # Judged by the scores that it was trained on, as a gate that was handed them would.
    plcc, _ = mean_fold_plcc(corpus, swapped, target)
    return TrainedControls(corpus.sha256, predictions_digest(result), ablation, plcc)


def predictions_digest(result: SeedResult) -> str:
    """Lowercase hex SHA-256 of a seed's out-of-fold predictions."""
    return sha256_of(np.ascontiguousarray(result.prediction, dtype="<f8").tobytes())


def save_controls(folder: UPath, controls: TrainedControls) -> UPath:
    """Keep them beside the results; returns where."""
    path = folder / CONTROLS_FILE
    told = {
        "schema_version": SCHEMA_VERSION,
        "kind": "trained_controls",
        "decides": "nothing: the gate is ADR-0303's three figures alone",
        "corpus_sha256": controls.corpus_sha256,
        "seed": controls.ablation.seed,
        "predictions_sha256": controls.predictions_sha256,
        "with_codec_block": controls.ablation.with_block,
        "without_codec_block": controls.ablation.without_block,
        "swapped_between_sources": controls.swapped,
    }
    store.put_json(path, told)
    return path


def load_controls(folder: UPath, corpus_sha256: str, result: SeedResult) -> TrainedControls | None:
    """Those that stand beside these very results; ``None`` where there are none, or of others.

    Raises
    ------
    UnusableInput
        If the file can't be read.
    """
    path = folder / CONTROLS_FILE
    if not store.exists(path):
        return None
    from fr_ensemble_assets.assurance.schema import ControlsDocument
    from fr_ensemble_assets.foundation.documents import parse_document

    told = parse_document(ControlsDocument, store.read(path, "trained controls"), str(path))
    ablation = Ablation(told.seed, told.with_codec_block, told.without_codec_block)
    found = TrainedControls(
        told.corpus_sha256, told.predictions_sha256, ablation, told.swapped_between_sources
    )
    own = (corpus_sha256, predictions_digest(result), result.seed)
    return found if (found.corpus_sha256, found.predictions_sha256, told.seed) == own else None
