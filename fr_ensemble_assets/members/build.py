"""The members: fitted, judged, exported and described in memory; then a folder of their files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from upath import UPath

from fr_ensemble_assets.calibration.calibrate import Calibration
from fr_ensemble_assets.calibration.document import CALIBRATION_FILE, calibration_bytes
from fr_ensemble_assets.calibration.pooling import ensemble_sigma
from fr_ensemble_assets.calibration.recentring import final_corrections
from fr_ensemble_assets.contract.agreed import ENSEMBLE, Contract
from fr_ensemble_assets.contract.thresholds import (
    ADR_0303,
    FIT_BIAS_RATIO_MAX,
    FIT_ERROR_TOLERATED,
    FIT_RMSE_RATIO_MAX,
)
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.evidence.metrics import agreement, mean_or_none
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import GateRefusal
from fr_ensemble_assets.foundation.files import json_bytes
from fr_ensemble_assets.foundation.progress import StepReport, report_nothing
from fr_ensemble_assets.gate.verdict import Judgement
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
)
from fr_ensemble_assets.members.onnx_check import member_problem
from fr_ensemble_assets.members.onnx_export import export_onnx, forbidden_operators, run_onnx
from fr_ensemble_assets.members.sidecars import (
    CorpusFacts,
    Member,
    described_models,
    facts_of,
    manifest,
    members_of,
)
from fr_ensemble_assets.training.compiled import predict
from fr_ensemble_assets.training.model import Parameters, forward
from fr_ensemble_assets.training.trainer import Trainer


@dataclass(frozen=True)
class MadeMembers:
    """Five members in memory, in seed order.

    Attributes
    ----------
    facts
        What their documents tell of the corpus.
    models
        The ONNX bytes of each.
    calibration
        With the members' corrections.
    mean_sigma
        The members' mean deviation over the corpus, in VMAF.
    files
        What is kept of them: ONNX, sidecars, calibration and manifest, by file name.
    """

    facts: CorpusFacts
    models: tuple[bytes, ...]
    calibration: Calibration
    mean_sigma: float
    files: Mapping[str, bytes]

    @property
    def members(self) -> list[Member]:
        return members_of(self.models)


def make_members(
    corpus: Corpus,
    contract: Contract,
    judgement: Judgement,
    calibration: Calibration,
    fitted: Sequence[Parameters],
) -> MadeMembers:
    """Judge the final fits, export and describe them; nothing is written.

    ``judgement`` comes from :func:`~fr_ensemble_assets.gate.verdict.authorise`, ``calibration``
    from :func:`~fr_ensemble_assets.calibration.calibrate.calibrate` on the predictions of the very
    results that were judged, ``fitted`` from :func:`~fr_ensemble_assets.members.fit.fit_members`.

    Raises
    ------
    GateRefusal
        If a final fit doesn't even agree with the rows that it was trained on.
    """
    inputs = full_corpus_inputs(corpus)
    scores = np.stack([predict(parameters, inputs) for parameters in fitted])
    _require_sound(corpus, judgement, scores)
    models = tuple(
        export_onnx(parameters, member_id(seed))
        for seed, parameters in zip(contract.units, fitted, strict=True)
    )
    facts, members = facts_of(corpus), members_of(models)
    mean_sigma = float(ensemble_sigma(scores).mean())
    if calibration.corrections is not None:
        corrections = final_corrections(inputs, scores, corpus.target)
        calibration = replace(calibration, corrections=corrections)
    files = described_models(facts, contract, judgement, models)
    files[CALIBRATION_FILE] = calibration_bytes(calibration)
    files[MANIFEST_FILE] = json_bytes(manifest(facts, judgement, members, calibration, mean_sigma))
    return MadeMembers(facts, models, calibration, mean_sigma, files)


def build_members(
    folder: UPath,
    corpus: Corpus,
    contract: Contract,
    judgement: Judgement,
    calibration: Calibration,
    trainer: Trainer,
    report: StepReport = report_nothing,
) -> MadeMembers:
    """Fit the members and keep them in ``folder``, the manifest last.

    Always fits: five fits take seconds, and a stored one would have to be believed.

    Raises
    ------
    GateRefusal
        As :func:`make_members`; nothing is written then.
    """
    fitted = fit_members(corpus, contract, trainer, report)
    made = make_members(corpus, contract, judgement, calibration, fitted)
    for seed, parameters in zip(contract.units, fitted, strict=True):
        identity = fit_identity(corpus, contract, seed)
        save_parameters(folder / parameters_file(seed), parameters, identity)
    for name, data in made.files.items():
        store.put(folder / name, data)
    return made


def _require_sound(corpus: Corpus, judgement: Judgement, scores: npt.NDArray[np.float64]) -> None:
    """The gate judged the folds; a final fit that diverged must not ship.

    ``scores`` is what each fit makes of its own training rows, shape (n_members, n_rows).
    """
    unseen = {score.seed: mean_or_none([f.rmse for f in score.folds]) for score in judgement.scores}
    for seed, score in zip(ENSEMBLE.units, scores, strict=True):
        for problem in fit_problems(score, corpus.target, unseen.get(seed)):
            raise GateRefusal(
                f"member {seed}: expected the final fit to {problem}; train it again with --force."
            )


def fit_problems(
    score: npt.NDArray[np.float64], target: npt.NDArray[np.float64], unseen_rmse: float | None
) -> list[str]:
    """What speaks against a final fit, by its scores of its own training rows; shapes (n_rows,).

    A correlation can't see a shift, so the error is judged too, against the seed's mean RMSE on
    sources that it never saw, in VMAF.
    """
    found = agreement(score, target)
    if found.plcc is None or found.plcc < ADR_0303.each_plcc_min:
        return [
            f"reach PLCC {ADR_0303.each_plcc_min:g} on its own training rows, found {found.plcc}"
        ]
    if found.rmse is None or unseen_rmse is None:
        return ["have an RMSE on its own training rows and out of fold, found none"]
    problems = []
    bias = float(np.mean(score - target))
    farthest = max(FIT_BIAS_RATIO_MAX * unseen_rmse, FIT_ERROR_TOLERATED)
    widest = max(FIT_RMSE_RATIO_MAX * unseen_rmse, FIT_ERROR_TOLERATED)
    if abs(bias) > farthest:
        problems.append(
            f"be off by at most {farthest:.3f} VMAF in the mean of its own training rows (its RMSE "
            f"on unseen sources is {unseen_rmse:.3f}), found {bias:+.3f}"
        )
    if found.rmse > widest:
        problems.append(
            f"have an RMSE of at most {widest:.3f} VMAF on its own training rows (on unseen "
            f"sources it is {unseen_rmse:.3f}), found {found.rmse:.3f}"
        )
    return problems


@dataclass(frozen=True)
class MemberCheck:
    """What an exported member shows.

    Attributes
    ----------
    problem
        Why it isn't the graph that we export, in one sentence; empty if it is.
    forbidden
        Operators that the loader refuses; looked at where the graph is ours.
    max_difference
        Its largest distance from the trained network over the corpus, in VMAF; ``None`` where it
        isn't ours, and so wasn't run.
    """

    seed: int
    problem: str
    forbidden: tuple[str, ...]
    max_difference: float | None


def check_members(folder: UPath, corpus: Corpus, contract: Contract) -> list[MemberCheck]:
    """Hold every ONNX file against the trained network, over the whole corpus.

    Raises
    ------
    UnusableInput
        If a member or its parameters are missing.
    """
    inputs = full_corpus_inputs(corpus)
    checks = []
    for seed in contract.units:
        model = store.read(folder / onnx_file(seed), "an exported member")
        identity = fit_identity(corpus, contract, seed)
        trained = load_parameters(folder / parameters_file(seed), identity)
        if problem := member_problem(model, seed):
            checks.append(MemberCheck(seed, problem, (), None))
            continue
        difference = float(np.abs(run_onnx(model, inputs) - forward(trained, inputs)).max())
        checks.append(MemberCheck(seed, "", forbidden_operators(model), difference))
    return checks
