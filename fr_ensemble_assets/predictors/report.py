"""``predictors.json``: every codec's verdict, under the keys that the fork's readers know."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from fr_ensemble_assets.contract.agreed import codec_predictor
from fr_ensemble_assets.predictors.cells import CellReading
from fr_ensemble_assets.predictors.evaluation import FoldResult
from fr_ensemble_assets.predictors.folds import AGREED_DEAL, FOLD_SEED, folds_digest
from fr_ensemble_assets.predictors.gate import CodecVerdict, Grouping, Hard
from fr_ensemble_assets.predictors.names import FORK_CODECS
from fr_ensemble_assets.predictors.scope import PROBE_VMAF

_SUMMARY = {
    "n_pass": ("pass",),
    "n_fail": ("fail",),
    "n_insufficient": ("insufficient-sources", "unusable"),
    "n_missing_rows": ("missing-rows",),
}
#: Sources that are named beside a verdict.
_TOLD_SOURCES = 3


def report(
    reading: CellReading,
    files: Sequence[str],
    verdicts: Sequence[CodecVerdict],
    generated: datetime | None = None,
    unscored: Sequence[CodecVerdict] = (),
) -> dict[str, Any]:
    """The document, for strict JSON: what is undefined is ``None``.

    ``files`` name what the cells were read from; ``unscored`` are verdicts on the kind ``probe``,
    which are told apart. The time is the only part that two runs on the same cells differ in.
    """
    at = (generated or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    cells, contract = reading.cells, codec_predictor(FORK_CODECS[0])  # the same for all
    rows = {encoder: len(cells.of_encoder(encoder)) for encoder in cells.encoders}
    return {
        "schema_version": 1,
        "generated_at_utc": at,
        "corpus_sha256": cells.sha256,
        "fold_seed": FOLD_SEED,
        "epochs": contract.recipe.epochs,
        "gate": {
            "mean_plcc_threshold": contract.thresholds.mean_plcc_min,
            "plcc_spread_max": contract.thresholds.plcc_spread_max,
            "per_fold_min": contract.thresholds.each_plcc_min,
            "loso_fold_count": AGREED_DEAL.n_folds,
            "adr": "ADR-0303",
        },
        "corpus": {
            "discovered_files": list(files),
            "roots": [],
            "rows_read": reading.rows_read,
            "repeats_dropped": reading.repeats_dropped,
            "failed_dropped": reading.failed_dropped,
            "n_sources": len(cells.sources),
        },
        "codecs": [_codec(verdict, rows.get(verdict.encoder, 0), files) for verdict in verdicts],
        "unscored_codecs": [
            _codec(verdict, rows.get(verdict.encoder, 0), files) for verdict in unscored
        ],
        "summary": {
            key: sum(verdict.status in statuses for verdict in verdicts)
            for key, statuses in _SUMMARY.items()
        },
    }


def exit_code(verdicts: Sequence[CodecVerdict], asked: Sequence[str] = ()) -> int:
    """0 where every codec passes, 1 where one doesn't.

    A codec without rows counts only if it was asked for by name.
    """
    judged = [v for v in verdicts if v.status != "missing-rows" or v.encoder in asked]
    return 0 if judged and all(verdict.passed for verdict in judged) else 1


def _codec(verdict: CodecVerdict, rows: int, files: Sequence[str]) -> dict[str, Any]:
    evaluation = verdict.evaluation
    document: dict[str, Any] = {
        "codec": verdict.encoder,
        "kind": verdict.kind,
        "status": verdict.status,
        "mean_plcc": verdict.mean_plcc,
        "plcc_spread": verdict.plcc_spread,
        "mean_srocc": verdict.mean_srocc,
        "mean_rmse": verdict.mean_rmse,
        "n_rows_total": rows,
        "n_distinct_sources": len(evaluation.task.sources) if evaluation else 0,
        "failure_reasons": list(verdict.reasons),
        "corpus_provenance": list(files) if rows else [],
        "folds": [_fold(fold) for fold in verdict.folds],
    }
    if evaluation is None:
        return document
    return document | {
        "fold_seed": evaluation.fold_seed,
        "epochs": evaluation.epochs,
        "folds_sha256": folds_digest(evaluation.folds),
        "predictions_sha256": evaluation.predictions_sha256,
        "probe_quality": evaluation.task.probe,
        "probe_vmaf": PROBE_VMAF,
        "judged_qualities": list(evaluation.task.judged),
        "rmse": verdict.rmse,
        "hardest_sources": [_hard(hard) for hard in verdict.hardest[:_TOLD_SOURCES]],
        "passes_without": list(verdict.culprits),
        "other_groupings": [_grouping(other) for other in verdict.others],
    }


def _fold(fold: FoldResult) -> dict[str, Any]:
    return {
        "fold_index": fold.index,
        "held_out_sources": list(fold.held_out),
        "plcc": fold.agreement.plcc,
        "srocc": fold.agreement.srocc,
        "rmse": fold.agreement.rmse,
        "n_train": fold.n_train,
        "n_val": fold.n_val,
    }


def _hard(hard: Hard) -> dict[str, Any]:
    return {
        "src": hard.source,
        "fold_index": hard.fold,
        "rmse": hard.rmse,
        "plcc_spread_without": hard.spread_without,
    }


def _grouping(other: Grouping) -> dict[str, Any]:
    return {
        "fold_seed": other.fold_seed,
        "mean_plcc": other.mean_plcc,
        "plcc_spread": other.plcc_spread,
        "lowest_plcc": other.lowest_plcc,
        "passes": other.passes,
    }
