"""The members folder: parameters, ONNX files, sidecars, calibration, the manifest written last."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from upath import UPath

from fr_ensemble_assets.calibration.calibrate import Calibration
from fr_ensemble_assets.calibration.document import CALIBRATION_FILE, calibration_bytes
from fr_ensemble_assets.calibration.pooling import ensemble_sigma
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.foundation.errors import GateRefusal, UnusableInput
from fr_ensemble_assets.foundation.files import read_bytes, sha256_of, write_bytes, write_json
from fr_ensemble_assets.foundation.progress import StepReport, report_nothing
from fr_ensemble_assets.foundation.thresholds import PER_SEED_PLCC_MIN
from fr_ensemble_assets.gate.verdict import Judgement
from fr_ensemble_assets.loso.metrics import agreement
from fr_ensemble_assets.members.fit import (
    fit_identity,
    fit_members,
    full_corpus_inputs,
    load_parameters,
    save_parameters,
)
from fr_ensemble_assets.members.names import (
    MANIFEST_FILE,
    member_id,
    onnx_file,
    parameters_file,
    sidecar_file,
)
from fr_ensemble_assets.members.onnx_export import export_onnx, forbidden_operators, run_onnx
from fr_ensemble_assets.members.sidecars import Member, manifest, sidecar
from fr_ensemble_assets.training.compiled import predict
from fr_ensemble_assets.training.model import Parameters, build_module, layer_sizes
from fr_ensemble_assets.training.recipe import ENSEMBLE_SEEDS, Recipe
from fr_ensemble_assets.training.trainer import Trainer


@dataclass(frozen=True)
class MemberCheck:
    """What an exported member shows: refused operators, and its distance from the network."""

    seed: int
    forbidden: tuple[str, ...]
    max_difference: float


def build_members(
    folder: UPath,
    corpus: Corpus,
    recipe: Recipe,
    judgement: Judgement,
    calibration: Calibration,
    trainer: Trainer,
    force: bool = False,
    report: StepReport = report_nothing,
) -> tuple[list[Member], bool]:
    """Fit (unless all fits of this corpus and recipe are there), export, describe.

    ``judgement`` comes from :func:`~fr_ensemble_assets.gate.verdict.authorise`, ``calibration``
    from :func:`~fr_ensemble_assets.calibration.calibrate.calibrate` on the predictions of the very
    results that were judged. Returns the members in seed order, and whether the fits were reused.

    Raises
    ------
    GateRefusal
        If a final fit doesn't even agree with the rows that it was trained on.
    """
    fitted = None if force else _fits_at_hand(folder, corpus, recipe)
    reused = fitted is not None
    if fitted is None:
        fitted = fit_members(corpus, ENSEMBLE_SEEDS, recipe, trainer, report)
        for seed, parameters in zip(ENSEMBLE_SEEDS, fitted, strict=True):
            identity = fit_identity(corpus, recipe, seed)
            save_parameters(folder / parameters_file(seed), parameters, identity)
    inputs = full_corpus_inputs(corpus)
    scores = np.stack([predict(parameters, inputs) for parameters in fitted])
    _require_sound(corpus, scores)
    members = []
    for seed, parameters in zip(ENSEMBLE_SEEDS, fitted, strict=True):
        model = export_onnx(parameters, member_id(seed))
        member = Member(seed, sha256_of(model))
        write_bytes(folder / onnx_file(seed), model)
        write_json(folder / sidecar_file(seed), sidecar(corpus, recipe, judgement, member))
        members.append(member)
    write_bytes(folder / CALIBRATION_FILE, calibration_bytes(calibration))
    mean_sigma = float(ensemble_sigma(scores).mean())
    write_json(
        folder / MANIFEST_FILE, manifest(corpus, judgement, members, calibration, mean_sigma)
    )
    return members, reused


def _fits_at_hand(folder: UPath, corpus: Corpus, recipe: Recipe) -> list[Parameters] | None:
    try:
        fitted = [_load_fit(folder, corpus, recipe, seed) for seed in ENSEMBLE_SEEDS]
    except UnusableInput:
        return None
    wanted = [(outputs, inputs) for inputs, outputs in layer_sizes(recipe)]
    if any([w.shape for w in p.weights] != wanted for p in fitted):
        return None
    return fitted


def _load_fit(folder: UPath, corpus: Corpus, recipe: Recipe, seed: int) -> Parameters:
    return load_parameters(folder / parameters_file(seed), fit_identity(corpus, recipe, seed))


def _require_sound(corpus: Corpus, scores: npt.NDArray[np.float64]) -> None:
    """The gate judged the folds; a final fit that diverged, or was altered, must not ship.

    ``scores`` is what each fit makes of its own training rows, shape (n_members, n_rows).
    """
    for seed, score in zip(ENSEMBLE_SEEDS, scores, strict=True):
        plcc = agreement(score, corpus.target).plcc
        if plcc is None or plcc < PER_SEED_PLCC_MIN:
            raise GateRefusal(
                f"member {seed}: expected the final fit to reach PLCC {PER_SEED_PLCC_MIN:g} on its "
                f"own training rows, found {plcc}; train it again with --force."
            )


def check_members(folder: UPath, corpus: Corpus, recipe: Recipe) -> list[MemberCheck]:
    """Hold every ONNX file against the trained module, over the whole corpus.

    Raises
    ------
    UnusableInput
        If a member's parameters are missing.
    """
    inputs = full_corpus_inputs(corpus)
    import torch

    checks = []
    for seed in ENSEMBLE_SEEDS:
        model = read_bytes(folder / onnx_file(seed), "an exported member")
        trained = build_module(_load_fit(folder, corpus, recipe, seed))
        with torch.inference_mode():
            score = trained(torch.from_numpy(inputs)).squeeze(1).double().numpy()
        difference = float(np.abs(run_onnx(model, inputs) - score).max())
        checks.append(MemberCheck(seed, forbidden_operators(model), difference))
    return checks
