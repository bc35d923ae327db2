"""The members' sidecars and the ensemble's manifest as types (contracts section 5)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from fr_ensemble_assets.foundation.documents import (
    Correlation,
    Count,
    Document,
    Finite,
    Sha256,
    departure,
)
from fr_ensemble_assets.foundation.schema import CANONICAL_6
from fr_ensemble_assets.gate.schema import Verdict

_ADVICE = "the file was altered, make the candidate again"


def _positive(deviations: tuple[float, ...]) -> tuple[float, ...]:
    if min(deviations) <= 0:
        raise departure("deviations above 0", min(deviations))
    return deviations


_ONE_A_FEATURE = Field(min_length=len(CANONICAL_6), max_length=len(CANONICAL_6))
Means = Annotated[tuple[Finite, ...], _ONE_A_FEATURE]
Deviations = Annotated[tuple[Finite, ...], _ONE_A_FEATURE, AfterValidator(_positive)]


class TrainedCorpusDocument(Document):
    """The corpus that the member was fitted on.

    Attributes
    ----------
    cq_min, cq_max
        ``crf_norm`` is (cq - cq_min) / (cq_max - cq_min); 0.5 where they are equal.
    presets
        By encoder and preset, ``preset_norm``; 0.5 for whatever isn't listed.
    """

    path: str
    sha256: Sha256
    n_rows: Count
    cq_min: Finite
    cq_max: Finite
    presets: dict[str, dict[str, Finite]]

    @model_validator(mode="after")
    def _a_range(self) -> TrainedCorpusDocument:
        if self.cq_min > self.cq_max:
            found = f"{self.cq_min:g} to {self.cq_max:g}"
            raise departure("a quality range from 'cq_min' to 'cq_max'", found)
        return self


class TrainingDocument(Document):
    """How the member was fitted (contracts section 2)."""

    in_features: int
    hidden: int
    depth: int
    dropout: Finite
    num_codecs: int
    epochs: int
    batch_size: int
    lr: Finite
    weight_decay: Finite
    optimizer: str
    loss: str
    fit_set: str
    scaler: str


class MemberGateDocument(Document):
    """What the gate said of the ensemble, and of this seed."""

    verdict: Verdict
    mean_plcc: Correlation
    mean_plcc_threshold: Finite
    plcc_spread: Finite | None
    plcc_spread_max: Finite
    per_seed_min_threshold: Finite
    this_seed_loso_plcc: Correlation
    passed: bool


class SidecarDocument(Document):
    """What an inference program must know to feed one member (contracts section 5).

    Attributes
    ----------
    codec_block_layout
        What each column of the input ``codec_onehot`` is.
    feature_mean, feature_std
        The input ``features`` is (feature - mean) / std, in ``feature_order``.
    sha256
        Of the ONNX file.
    loso_mean_plcc
        The ensemble's, as in their sidecars; the seed's own is ``gate.this_seed_loso_plcc``.
    name, input_name, output_name, onnx_opset
        What libvmaf's reader searches for (contracts section 8).
    """

    model_config = ConfigDict(title="fr_regressor_v2_ensemble_v1_seed{N}.json")
    advice: ClassVar[str] = _ADVICE

    id: str
    ensemble_id: str
    seed: Count
    kind: Literal["fr"]
    codec_aware: bool
    codec_block_layout: tuple[str, ...]
    encoder_vocab: tuple[str, ...]
    encoder_vocab_version: int
    feature_order: tuple[str, ...]
    feature_mean: Means
    feature_std: Deviations
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    onnx: str
    opset: int
    sha256: Sha256
    corpus: TrainedCorpusDocument
    training_recipe: TrainingDocument
    gate: MemberGateDocument
    loso_mean_plcc: Correlation
    notes: str
    parent_adrs: tuple[str, ...]
    name: str | None = None
    input_name: str | None = None
    output_name: str | None = None
    onnx_opset: int | None = None


class MemberDocument(Document):
    """One member: its files and the digest of the ONNX one."""

    id: str
    onnx: str
    seed: Count
    sha256: Sha256


class ConfidenceDocument(Document):
    """The interval is mean ± q·(sample deviation).

    Attributes
    ----------
    conformal_q_residual
        q for ``nominal_coverage``; where it is ``null``, q is ``gaussian_z`` and promises nothing.
    """

    method: Literal["ensemble", "ensemble+conformal"]
    nominal_coverage: Finite
    gaussian_z: Finite
    conformal_q_residual: Finite | None


class EvalDocument(Document):
    """What the ensemble reached on sources left out.

    Attributes
    ----------
    corpus_sha256
        The corpus; this tells whose candidate a folder holds.
    mean_sigma
        The shipped members' mean deviation over the corpus, in VMAF.
    fold_plan
        There where sources were held out in groups: plan, number, digest of the assignment.
    calibration, calibration_sha256
        The file with the quantiles of every rule, and its digest.
    """

    protocol: str | None = None
    fold_plan: dict[str, Any] | None = None
    corpus_sha256: Sha256
    n_sources: Count | None = None
    mean_plcc: Correlation = None
    plcc_spread: Finite | None = None
    lowest_fold_plcc: Correlation = None
    mean_rmse: Finite | None = None
    mean_sigma: Finite | None = None
    calibration: str | None = None
    calibration_sha256: Sha256 | None = None


class RootDocument(Document):
    """The list of the digests of all other files, and its own: the root of a candidate."""

    file: str
    sha256: Sha256


class QualityRangeDocument(Document):
    """From the lowest to the highest quality parameter in the corpus."""

    min: Finite
    max: Finite


class ManifestDocument(Document):
    """The ensemble as a whole (contracts section 5); written last, so that it says all is there.

    Attributes
    ----------
    members
        In seed order.
    feature_mean, feature_std
        The scaler of all members, in ``feature_order``.
    codec_block_layout, encoder_cq_range, presets, codec_block_rule
        All that is needed to build ``codec_onehot`` from encoder, preset and quality.
    conformal_q_covers
        What ``conformal_q_residual`` promises, and what it doesn't.
    digests
        In a candidate; the store's copy has none yet.
    """

    model_config = ConfigDict(title="fr_regressor_v2_ensemble_v1.json")
    advice: ClassVar[str] = _ADVICE

    id: str
    kind: Literal["fr_ensemble"]
    ensemble_size: Count
    members: tuple[MemberDocument, ...]
    feature_order: tuple[str, ...]
    feature_mean: Means
    feature_std: Deviations
    codec_vocab: tuple[str, ...]
    codec_vocab_version: int
    confidence: ConfidenceDocument
    smoke: bool
    eval: EvalDocument
    codec_block_layout: tuple[str, ...] | None = None
    encoder_cq_range: QualityRangeDocument | None = None
    encoder_cq_by_encoder: dict[str, QualityRangeDocument] | None = None
    presets: dict[str, dict[str, Finite]] | None = None
    codec_block_rule: str | None = None
    conformal_q_covers: str | None = None
    calibration_file: str | None = None
    digests: RootDocument | None = None
