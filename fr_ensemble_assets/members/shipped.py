"""What the members that ship make of the rows that they were trained on, as a user would see it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from upath import UPath

from fr_ensemble_assets.calibration.document import CALIBRATION_FILE, read_calibration
from fr_ensemble_assets.calibration.pooling import OutOfFold
from fr_ensemble_assets.contract.agreed import Contract
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.members.fit import full_corpus_inputs
from fr_ensemble_assets.members.names import onnx_file
from fr_ensemble_assets.members.onnx_export import run_onnx
from fr_ensemble_assets.training.recentre import recentred_scores


def shipped_frames(
    folder: UPath, corpus: Corpus, contract: Contract, frames: OutOfFold
) -> OutOfFold:
    """The rows of ``frames`` as the members in ``folder`` predict them, recentred as kept there.

    Raises
    ------
    UnusableInput
        If a member or the calibration is missing, or recentres another number of members.
    """
    inputs = full_corpus_inputs(corpus)
    models = [store.read(folder / onnx_file(seed), "an exported member") for seed in contract.units]
    scores = np.stack([run_onnx(model, inputs) for model in models])
    corrections = read_calibration(folder / CALIBRATION_FILE).corrections
    if corrections is None or len(corrections) != len(scores):
        raise UnusableInput(
            f"{folder / CALIBRATION_FILE}: expected a correction for each of {len(scores)} "
            f"members, found {len(corrections or ())}; materialise ensemble_members again."
        )
    return replace(frames, members=recentred_scores(corrections, inputs, scores))
