"""The documents of the predictors as types: stored results, the report, a scored probe's file."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from fr_ensemble_assets.foundation.documents import (
    Correlation,
    Count,
    Document,
    Finite,
    Sha256,
)

Size = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Status = Literal["pass", "fail", "insufficient-sources", "missing-rows", "unusable"]
_AGAIN = "the file was altered, materialise 'predictors' again"


class CellsOriginDocument(Document):
    """Where stored planning cells came from, and what was left out of them.

    Attributes
    ----------
    sha256, n_rows
        What was kept.
    read_from
        The path, or the planning cells of the clips, in words.
    files
        Their names.
    rows_read, repeats_dropped, failed_dropped
        Rows before, those that repeat another one, and those of encodes that failed.
    extra_keys
        Keys that are no columns of cells.
    """

    model_config = ConfigDict(title="planning/<cells sha256>/planning_cells.json")
    advice: ClassVar[str] = "materialise 'planning_corpus' again from its source"

    sha256: Sha256
    n_rows: Count
    read_from: str
    files: tuple[str, ...] = ()
    rows_read: Count
    repeats_dropped: Count
    failed_dropped: Count
    extra_keys: tuple[str, ...] = ()


class ClipCellsDocument(Document):
    """What a clip's planning cells were made from.

    Attributes
    ----------
    made_from
        Clip, grid, and the version of ffmpeg.
    sha256
        Of the cells' file beside it.
    """

    model_config = ConfigDict(title="planning/clips/<clip>.json")
    advice: ClassVar[str] = "materialise 'planning_cells' for this clip again"

    made_from: dict[str, object]
    sha256: Sha256


class ProbeDocument(Document):
    """One cheap probe of one clip that is not scored.

    Attributes
    ----------
    made_from
        Everything that the features depend on.
    features
        The inputs 1 to 9 of the predictors' consumer, in its order.
    """

    model_config = ConfigDict(title="cells/<clip sha256>/probe-<encoder>-….json")

    made_from: dict[str, object]
    features: Annotated[tuple[Size, ...], Field(min_length=9, max_length=9)]


class GroupingDocument(Document):
    """How one other dealing of the sources into folds comes out; no part of a verdict."""

    fold_seed: int
    mean_plcc: Correlation
    plcc_spread: Finite | None
    lowest_plcc: Correlation
    passes: bool


class KindResultsDocument(Document):
    """The folds of one kind of predictor of one codec.

    Attributes
    ----------
    predicted
        VMAF of each judged encode, by source and quality, by a model that never saw the source;
        null where nothing could be judged.
    """

    status: Status
    reasons: tuple[str, ...]
    folds_sha256: Sha256 | None = None
    predictions_sha256: Sha256 | None = None
    predicted: tuple[Finite, ...] | None
    other_groupings: tuple[GroupingDocument, ...] = ()


class KindsDocument(Document):
    """Both kinds of predictor."""

    scored_probe: KindResultsDocument
    probe: KindResultsDocument


class CodecResultsDocument(Document):
    """Predictions of sources held out, for one codec's predictors."""

    model_config = ConfigDict(
        title="planning/<cells sha256>/fr_predictor_<codec>-…/predictor_results.json"
    )
    advice: ClassVar[str] = "materialise 'predictor_results' for this codec again"

    schema_version: Literal[1]
    contract: str
    codec: str
    corpus_sha256: Sha256
    fold_seed: int
    kinds: KindsDocument


class FoldDocument(Document):
    """One fold: whole sources held out, and how their encodes' predictions agree."""

    fold_index: Count
    held_out_sources: tuple[str, ...]
    plcc: Correlation
    srocc: Correlation
    rmse: Size | None
    n_train: Count
    n_val: Count


class HardSourceDocument(Document):
    """A source, its error, and the spread if its encodes weren't in its fold."""

    src: str
    fold_index: Count
    rmse: Size
    plcc_spread_without: Finite | None


class CodecDocument(Document):
    """One codec's verdict on one kind of predictor.

    Attributes
    ----------
    kind
        ``scored-probe``: from one encode that was scored; ``probe``: from one that wasn't.
    failure_reasons
        Each failing aspect with its numbers.
    probe_quality
        Where the scored probe lies, whose own row is never judged.
    passes_without
        A few sources without whose encodes it would be a pass.
    """

    codec: str
    kind: Literal["scored-probe", "probe"]
    status: Status
    mean_plcc: Correlation
    plcc_spread: Finite | None
    mean_srocc: Correlation
    mean_rmse: Size | None
    n_rows_total: Count
    n_distinct_sources: Count
    failure_reasons: tuple[str, ...]
    corpus_provenance: tuple[str, ...]
    folds: tuple[FoldDocument, ...]
    fold_seed: int | None = None
    epochs: int | None = None
    folds_sha256: Sha256 | None = None
    predictions_sha256: Sha256 | None = None
    probe_quality: Finite | None = None
    probe_vmaf: Finite | None = None
    judged_qualities: tuple[Finite, ...] = ()
    rmse: Size | None = None
    hardest_sources: tuple[HardSourceDocument, ...] = ()
    passes_without: tuple[str, ...] = ()
    other_groupings: tuple[GroupingDocument, ...] = ()


class PredictorGateDocument(Document):
    """The thresholds that the folds were held against (ADR-0303)."""

    mean_plcc_threshold: Finite
    plcc_spread_max: Finite
    per_fold_min: Finite
    loso_fold_count: int
    adr: str


class CellsDocument(Document):
    """What was read for the cells."""

    discovered_files: tuple[str, ...]
    roots: tuple[str, ...]
    rows_read: Count
    repeats_dropped: Count
    failed_dropped: Count
    n_sources: Count


class SummaryDocument(Document):
    """How many codecs came out how, on the kind ``scored-probe``."""

    n_pass: Count
    n_fail: Count
    n_insufficient: Count
    n_missing_rows: Count


class PredictorsDocument(Document):
    """Every codec's verdict, under the keys that the fork's readers know.

    Attributes
    ----------
    codecs
        On the kind ``scored-probe``.
    unscored_codecs
        On the kind ``probe``, whose files a codec has only where it passes here.
    """

    model_config = ConfigDict(title="predictors.json")
    advice: ClassVar[str] = _AGAIN

    schema_version: Literal[1]
    generated_at_utc: str
    corpus_sha256: Sha256
    fold_seed: int
    epochs: int
    gate: PredictorGateDocument
    corpus: CellsDocument
    codecs: tuple[CodecDocument, ...]
    unscored_codecs: tuple[CodecDocument, ...] = ()
    summary: SummaryDocument


class ScoredProbeGateDocument(Document):
    """What the gate said of it."""

    status: Status
    mean_plcc: Correlation
    plcc_spread: Finite | None
    rmse: Size | None
    probe_quality: Finite | None
    predictions_sha256: Sha256


class ScoredProbeDocument(Document):
    """A scored-probe predictor: the training curves, from which every answer is computed.

    Attributes
    ----------
    quality
        Ascending; G of them.
    t
        -sqrt(100.5 - VMAF) of each source; shape (S, G).
    features
        ``feature_order`` of each source's encodes; shape (S, G, 7).
    """

    model_config = ConfigDict(title="predictor_<codec>_scored_probe.json")
    advice: ClassVar[str] = _AGAIN

    schema_version: Literal[1]
    kind: Literal["scored-probe"]
    codec: str
    preset: str | None
    corpus_sha256: Sha256
    gate: ScoredProbeGateDocument
    feature_order: tuple[str, ...]
    sources: tuple[str, ...]
    quality: tuple[Finite, ...]
    t: tuple[tuple[Finite, ...], ...]
    features: tuple[tuple[tuple[Finite, ...], ...], ...]


class ProbeGateDocument(Document):
    """What the gate said of it."""

    status: Status
    mean_plcc: Correlation
    plcc_spread: Finite | None
    passed: bool


class ProbeSidecarDocument(Document):
    """What goes with ``predictor_<codec>.onnx``."""

    model_config = ConfigDict(title="predictor_<codec>.json")
    advice: ClassVar[str] = _AGAIN

    id: str
    codec: str
    kind: Literal["probe"]
    onnx: str
    sha256: Sha256
    opset: int
    input_name: str
    output_name: str
    feature_order: tuple[str, ...]
    feature_min: tuple[Finite, ...]
    feature_max: tuple[Finite, ...]
    crf_range: tuple[Finite, Finite]
    preset: str | None
    corpus_sha256: Sha256
    gate: ProbeGateDocument


class SourceLevelDocument(Document):
    """The half-width that sources carry, of a level that may be below the one asked for."""

    n_sources: Count
    asked: Finite
    level: Finite
    half_width: Size


class ProbeCalibrationDocument(Document):
    """Residuals of sources held out, as the predictors' consumer reads them."""

    model_config = ConfigDict(title="predictor_<codec>_calibration.json")
    advice: ClassVar[str] = _AGAIN

    method: Literal["split-conformal"]
    alpha: Finite
    n: Count
    residuals: tuple[Size, ...]
    source_level: SourceLevelDocument
