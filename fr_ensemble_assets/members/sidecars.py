"""The sidecar of each member and the manifest of the ensemble (contracts section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fr_ensemble_assets.calibration.calibrate import Calibration
from fr_ensemble_assets.calibration.document import CALIBRATION_FILE, calibration_bytes
from fr_ensemble_assets.contract.agreed import ENSEMBLE, Contract
from fr_ensemble_assets.contract.thresholds import ADR_0303
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.features.codec_block import (
    CODEC_BLOCK_LAYOUT,
    NUM_CODECS,
    PRESET_SCALE,
    CodecBlock,
    fit_codec_block,
)
from fr_ensemble_assets.features.scaler import Scaler, fit_scaler
from fr_ensemble_assets.foundation.files import json_bytes, sha256_of
from fr_ensemble_assets.foundation.schema import (
    CANONICAL_6,
    ENCODER_VOCAB_VERSION,
    ENCODER_VOCABULARY,
)
from fr_ensemble_assets.gate.verdict import Judgement
from fr_ensemble_assets.members.consumers import PARENT_ADRS, manifest_additions, sidecar_additions
from fr_ensemble_assets.members.names import ENSEMBLE_ID, member_id, onnx_file, sidecar_file
from fr_ensemble_assets.members.onnx_export import INPUT_NAMES, OPSET, OUTPUT_NAMES

if TYPE_CHECKING:
    from fr_ensemble_assets.members.schema import SidecarDocument

NOMINAL_COVERAGE = 0.95
#: The normal quantile of a two-sided 95 % interval.
GAUSSIAN_Z = 1.959963984540054


@dataclass(frozen=True)
class Member:
    """An exported member: its seed and the sha256 of its ONNX bytes."""

    seed: int
    sha256: str


def members_of(models: Sequence[bytes]) -> list[Member]:
    """Seed and digest of each of ``models``, which are in seed order."""
    return [Member(s, sha256_of(m)) for s, m in zip(ENSEMBLE.units, models, strict=True)]


@dataclass(frozen=True)
class CorpusFacts:
    """What the documents tell of a corpus: enough to write them again without it.

    Attributes
    ----------
    scaler, codec
        How its rows become the network's inputs.
    """

    sha256: str
    n_rows: int
    n_sources: int
    scaler: Scaler
    codec: CodecBlock


def facts_of(corpus: Corpus) -> CorpusFacts:
    """The facts, computed from the rows."""
    return CorpusFacts(
        sha256=corpus.sha256,
        n_rows=corpus.n_rows,
        n_sources=len(corpus.sources),
        scaler=fit_scaler(corpus.features),
        codec=fit_codec_block(corpus),
    )


def facts_told(sidecar: SidecarDocument, n_rows: int, n_sources: int) -> CorpusFacts:
    """The facts as a sidecar tells them, where the corpus itself isn't at hand."""
    told = sidecar.corpus
    scaler = Scaler(np.array(sidecar.feature_mean), np.array(sidecar.feature_std), n_rows)
    codec = CodecBlock(told.cq_min, told.cq_max, told.presets)
    return CorpusFacts(told.sha256, n_rows, n_sources, scaler, codec)


def described_models(
    corpus: CorpusFacts, contract: Contract, judgement: Judgement, models: Sequence[bytes]
) -> dict[str, bytes]:
    """Each of ``models``, which are in seed order, and its sidecar, by file name."""
    files: dict[str, bytes] = {}
    for member, model in zip(members_of(models), models, strict=True):
        files[onnx_file(member.seed)] = model
        files[sidecar_file(member.seed)] = json_bytes(sidecar(corpus, contract, judgement, member))
    return files


def sidecar(
    corpus: CorpusFacts, contract: Contract, judgement: Judgement, member: Member
) -> dict[str, Any]:
    """What an inference program needs to know to feed one member."""
    decision = judgement.decision
    plcc = decision.per_seed_plcc[member.seed]
    scaler, codec = corpus.scaler, corpus.codec
    gate = decision.gate_fields()
    return {
        "id": member_id(member.seed),
        "ensemble_id": ENSEMBLE_ID,
        "seed": member.seed,
        "kind": "fr",
        "codec_aware": True,
        "codec_block_layout": list(CODEC_BLOCK_LAYOUT),
        "encoder_vocab": list(ENCODER_VOCABULARY),
        "encoder_vocab_version": ENCODER_VOCAB_VERSION,
        "feature_order": list(CANONICAL_6),
        "feature_mean": scaler.mean.tolist(),
        "feature_std": scaler.std.tolist(),
        "input_names": list(INPUT_NAMES),
        "output_names": list(OUTPUT_NAMES),
        "onnx": onnx_file(member.seed),
        "opset": OPSET,
        "sha256": member.sha256,
        "corpus": {
            "path": f"store/{corpus.sha256}/corpus.parquet",
            "sha256": corpus.sha256,
            "n_rows": corpus.n_rows,
            "cq_min": codec.cq_min,
            "cq_max": codec.cq_max,
            "presets": codec.presets,
        },
        "training_recipe": {
            "in_features": len(CANONICAL_6),
            "hidden": contract.recipe.hidden,
            "depth": contract.recipe.depth,
            "dropout": contract.recipe.dropout,
            "num_codecs": NUM_CODECS,
            "epochs": contract.recipe.epochs,
            "batch_size": contract.recipe.batch_size,
            "lr": contract.recipe.lr,
            "weight_decay": contract.recipe.weight_decay,
            "optimizer": "Adam",
            "loss": "MSE",
            "fit_set": "full_corpus",
            "scaler": "fit_on_full_corpus",
        },
        "gate": {
            "verdict": decision.verdict,
            "mean_plcc": gate["mean_plcc"],
            "mean_plcc_threshold": gate["mean_plcc_threshold"],
            "plcc_spread": gate["plcc_spread"],
            "plcc_spread_max": gate["plcc_spread_max"],
            "per_seed_min_threshold": ADR_0303.each_plcc_min,
            "this_seed_loso_plcc": plcc,
            "passed": decision.promote,
        },
        # In their sidecars it is the ensemble's; the seed's own is this_seed_loso_plcc.
        "loso_mean_plcc": decision.mean_plcc,
        "notes": (
            f"Member {member.seed} of {ENSEMBLE_ID}, fitted on all {corpus.n_rows} rows of "
            f"{corpus.n_sources} sources after {decision.protocol} under the same seed. "
            "crf_norm scales cq by corpus.cq_min and cq_max; corpus.presets lists preset_norm. "
            f"{PRESET_SCALE}."
        ),
        "parent_adrs": list(PARENT_ADRS),
        **sidecar_additions(member.seed),
    }


def manifest(
    corpus: CorpusFacts,
    judgement: Judgement,
    members: Sequence[Member],
    calibration: Calibration,
    mean_sigma: float,
) -> dict[str, Any]:
    """The ensemble as a whole. Interval: mean ± q·(sample deviation).

    q is calibrated for this very formula, without the floor that ``calibration.json`` puts under
    the deviation: with another formula's q, what consumers compute would not hold. ``mean_sigma``
    is the members' mean deviation over the corpus, in VMAF.
    """
    scaler = corpus.scaler
    decision = judgement.decision
    folds = [fold for score in judgement.scores for fold in score.folds]
    return {
        "id": ENSEMBLE_ID,
        "kind": "fr_ensemble",
        "ensemble_size": len(members),
        "members": [
            {
                "id": member_id(member.seed),
                "onnx": onnx_file(member.seed),
                "seed": member.seed,
                "sha256": member.sha256,
            }
            for member in sorted(members, key=lambda member: member.seed)
        ],
        "feature_order": list(CANONICAL_6),
        "feature_mean": scaler.mean.tolist(),
        "feature_std": scaler.std.tolist(),
        "codec_vocab": list(ENCODER_VOCABULARY),
        "codec_vocab_version": ENCODER_VOCAB_VERSION,
        "confidence": confidence(calibration, mean_sigma),
        "smoke": False,
        "eval": {
            "protocol": decision.protocol,
            **_grouped(judgement),
            "corpus_sha256": corpus.sha256,
            "n_sources": corpus.n_sources,
            "mean_plcc": decision.mean_plcc,
            "plcc_spread": decision.plcc_spread,
            "lowest_fold_plcc": min(fold.plcc for fold in folds if fold.plcc is not None),
            "mean_rmse": _mean([fold.rmse for fold in folds if fold.rmse is not None]),
            "mean_sigma": mean_sigma,
            "calibration": CALIBRATION_FILE,
            "calibration_sha256": sha256_of(calibration_bytes(calibration)),
        },
        **manifest_additions(corpus.codec, calibration, NOMINAL_COVERAGE),
    }


def _grouped(judgement: Judgement) -> dict[str, Any]:
    """The plan in full, where sources were held out in groups."""
    if judgement.decision.groups is None:
        return {}
    return {"fold_plan": dict(judgement.scores[0].fold_plan or {})}


def confidence(calibration: Calibration, mean_sigma: float) -> dict[str, Any]:
    """How the manifest's consumers come to an interval (contracts section 5)."""
    quantile = calibration.plain_quantile(NOMINAL_COVERAGE, mean_sigma)
    return {
        "method": "ensemble" if quantile is None else "ensemble+conformal",
        "nominal_coverage": NOMINAL_COVERAGE,
        "gaussian_z": GAUSSIAN_Z,
        "conformal_q_residual": quantile,
    }


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
