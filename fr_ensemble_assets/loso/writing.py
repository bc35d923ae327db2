"""``loso_seed{N}.json`` and the predictions beside it, written (contracts section 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
from upath import UPath

from fr_ensemble_assets import __version__
from fr_ensemble_assets.contract.agreed import Contract
from fr_ensemble_assets.contract.folds import Assignment
from fr_ensemble_assets.corpus.identity import Corpus, key_columns
from fr_ensemble_assets.evidence.measure import SeedResult, rows_by_source
from fr_ensemble_assets.evidence.metrics import mean_or_none
from fr_ensemble_assets.evidence.results import predictions_file, results_file
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.files import json_bytes, sha256_of
from fr_ensemble_assets.foundation.machine import machine_record
from fr_ensemble_assets.foundation.tables import parquet_bytes
from fr_ensemble_assets.loso.recentred import corrections_document, corrections_file
from fr_ensemble_assets.training.recentre import Correction
from fr_ensemble_assets.training.streams import STREAMS_VERSION


def save_seed(
    folder: UPath,
    corpus: Corpus,
    contract: Contract,
    result: SeedResult,
    backend: str,
    corrections: Sequence[Correction] = (),
    machine: Mapping[str, Any] | None = None,
    replace: bool = True,
) -> bool:
    """Write the predictions, what recentres them, then the results that name their digest.

    ``corrections`` are those of the folds, in the order of the plan; without any none are kept.
    ``machine`` is the record of those that trained; of this one unless told. Without ``replace``
    results that lie there stay; returns whether these were written.
    """
    assignment = contract.plan.assign(rows_by_source(corpus))
    predictions = parquet_bytes(predictions_table(corpus, result, assignment))
    store.put(folder / predictions_file(result.seed), predictions)
    if corrections:
        made = corrections_document(corpus, assignment, corrections, sha256_of(predictions))
        store.put_json(folder / corrections_file(result.seed), made)
    document = results_document(
        corpus, contract, assignment, result, backend, sha256_of(predictions)
    )
    if machine is not None:
        document["machine"] = dict(machine)
    path = folder / results_file(result.seed)
    if not replace:
        return store.put_unless_there(path, json_bytes(document))
    store.put_json(path, document)
    return True


def predictions_table(corpus: Corpus, result: SeedResult, assignment: Assignment) -> pa.Table:
    """Row key, fold (its number, with one source each that one's place), target, prediction."""
    folds = np.array([assignment.fold_of[source] for source in corpus.sources], dtype=np.int32)
    frame = corpus.frame[key_columns(corpus.frame)].assign(
        fold=folds[corpus.source_index], target=corpus.target, prediction=result.prediction
    )
    return pa.Table.from_pandas(frame, preserve_index=False)


def results_document(
    corpus: Corpus,
    contract: Contract,
    assignment: Assignment,
    result: SeedResult,
    backend: str,
    predictions_sha256: str,
) -> dict[str, Any]:
    """The contract's fields, then our provenance; what differs from run to run comes last."""
    recipe = contract.recipe
    plccs = [fold.agreement.plcc for fold in result.folds]
    defined = None not in plccs
    values = np.array([plcc for plcc in plccs if plcc is not None])
    return {
        "seed": result.seed,
        "corpus": f"store/{corpus.sha256}/corpus.parquet",
        "n_folds": len(result.folds),
        "folds": [
            {
                "held_out": fold.held_out,
                "n_train": fold.n_train,
                "n_val": fold.n_val,
                **asdict(fold.agreement),
            }
            for fold in result.folds
        ],
        "mean_plcc": mean_or_none(plccs),
        "std_plcc": float(values.std(ddof=1)) if defined and len(values) > 1 else None,
        "min_plcc": float(values.min()) if defined else None,
        "max_plcc": float(values.max()) if defined else None,
        "mean_srocc": mean_or_none([fold.agreement.srocc for fold in result.folds]),
        "mean_rmse": mean_or_none([fold.agreement.rmse for fold in result.folds]),
        "epochs": recipe.epochs,
        "batch_size": recipe.batch_size,
        "lr": recipe.lr,
        "weight_decay": recipe.weight_decay,
        **contract.inputs_record,
        "corpus_sha256": corpus.sha256,
        "n_rows": corpus.n_rows,
        "recipe": asdict(recipe),
        "codec_block_version": contract.codec_block_version,
        "streams_version": STREAMS_VERSION,
        "fold_plan": assignment.to_json(),
        "predictions": {
            "file": predictions_file(result.seed),
            "sha256": predictions_sha256,
        },
        "written_by": f"fr-ensemble {__version__}",
        "backend": backend,
        "machine": machine_record(),
        "wall_time_s": round(result.wall_time_s, 3),
    }
