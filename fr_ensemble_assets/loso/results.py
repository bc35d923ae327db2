"""``loso_seed{N}.json`` and the out-of-fold predictions beside it (contracts section 3).

The file is read back by two kinds of people: our gate, and the fork's. Both write it the same
way, ours with more provenance, so reading demands only what the contract fixes and the gate needs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
import pyarrow as pa
from upath import UPath

from fr_ensemble_assets import __version__
from fr_ensemble_assets.contract.agreed import ENSEMBLE, Contract
from fr_ensemble_assets.corpus.identity import Corpus, key_columns
from fr_ensemble_assets.features.codec_block import CODEC_BLOCK_VERSION, NUM_CODECS
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import (
    parse_json,
    read_bounded,
    read_bytes,
    sha256_of,
    write_bytes,
    write_json,
)
from fr_ensemble_assets.foundation.schema import ENCODER_VOCAB_VERSION
from fr_ensemble_assets.foundation.tables import parquet_bytes, parse_parquet
from fr_ensemble_assets.foundation.wording import shown
from fr_ensemble_assets.loso.evaluation import SeedResult, measure_folds, rows_by_source
from fr_ensemble_assets.loso.metrics import mean_or_none
from fr_ensemble_assets.training.recipe import CONTRACT_RECIPE, Recipe
from fr_ensemble_assets.training.streams import STREAMS_VERSION

#: Figures may be rounded by whoever wrote the file; a mean further than this from the mean of its
#: own folds is another number.
MEAN_TOLERANCE = 1e-6
#: Figures recomputed from our own predictions differ by rounding in the last digits at most.
_RECOMPUTED_TOLERANCE = 1e-9
#: Results of 100,000 folds have a fifth of this.
_RESULTS_BYTES_MAX = 64 << 20


def results_file(seed: int) -> str:
    """The name that the contract gives to one seed's results."""
    return f"loso_seed{seed}.json"


def predictions_file(seed: int) -> str:
    """The name of one seed's out-of-fold predictions."""
    return f"loso_seed{seed}_predictions.parquet"


# --- writing ---------------------------------------------------------------------------------


def save_seed(
    folder: UPath, corpus: Corpus, contract: Contract, result: SeedResult, backend: str
) -> None:
    """Write the predictions, then the results that name their digest."""
    predictions = parquet_bytes(predictions_table(corpus, result))
    write_bytes(folder / predictions_file(result.seed), predictions)
    document = results_document(corpus, contract.recipe, result, backend, sha256_of(predictions))
    write_json(folder / results_file(result.seed), document)


def predictions_table(corpus: Corpus, result: SeedResult) -> pa.Table:
    """Row key, fold (position of the held-out source in sorted order), target, prediction."""
    frame = corpus.frame[key_columns(corpus.frame)].assign(
        fold=corpus.source_index, target=corpus.target, prediction=result.prediction
    )
    return pa.Table.from_pandas(frame, preserve_index=False)


def results_document(
    corpus: Corpus, recipe: Recipe, result: SeedResult, backend: str, predictions_sha256: str
) -> dict[str, Any]:
    """The contract's fields, then our provenance; what differs from run to run comes last."""
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
        "num_codecs": NUM_CODECS,
        "encoder_vocab_version": ENCODER_VOCAB_VERSION,
        "corpus_sha256": corpus.sha256,
        "n_rows": corpus.n_rows,
        "recipe": asdict(recipe),
        "codec_block_version": CODEC_BLOCK_VERSION,
        "streams_version": STREAMS_VERSION,
        "predictions": {
            "file": predictions_file(result.seed),
            "sha256": predictions_sha256,
        },
        "written_by": f"fr-ensemble {__version__}",
        "backend": backend,
        "wall_time_s": round(result.wall_time_s, 3),
    }


# --- reading ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class FoldScore:
    """One fold as the results file tells it."""

    held_out: str
    plcc: float | None
    srocc: float | None
    rmse: float | None


@dataclass(frozen=True)
class SeedScore:
    """One ``loso_seed{N}.json`` as the gate reads it.

    Attributes
    ----------
    mean_plcc
        As the file says; ``None`` where it or any fold is undefined.
    corpus_sha256, n_rows
        ``None`` in files of the fork, which doesn't record them.
    settings
        What the file records of the recipe and of the encoder vocabulary, by name.
    predictions_sha256
        Digest of the predictions beside it; ``None`` in files of the fork.
    wall_time_s
        What the seed took, in seconds; 0 where the file doesn't say.
    sha256
        Digest of the file's own bytes.
    """

    seed: int
    folds: tuple[FoldScore, ...]
    mean_plcc: float | None
    corpus: str
    corpus_sha256: str | None
    n_rows: int | None
    settings: Mapping[str, Any]
    predictions_sha256: str | None
    wall_time_s: float
    sha256: str

    @property
    def undefined_folds(self) -> tuple[str, ...]:
        """Held-out sources whose PLCC is undefined."""
        return tuple(fold.held_out for fold in self.folds if fold.plcc is None)

    @property
    def mean_of_folds(self) -> float | None:
        """The mean recomputed from the folds; undefined where any fold is."""
        return mean_or_none([fold.plcc for fold in self.folds])


_SETTINGS = (
    "epochs",
    "batch_size",
    "lr",
    "weight_decay",
    "num_codecs",
    "encoder_vocab_version",
    "codec_block_version",
    "streams_version",
)


def load_seed(path: UPath, seed: int) -> SeedScore:
    """Read one results file, ours or the fork's.

    Raises
    ------
    UnusableInput
        If it is missing, no regular file, larger than 64 MiB, not JSON, lacks ``seed``, ``folds``
        or ``mean_plcc``, or says that it belongs to another seed than its name.
    """
    data = read_bounded(path, f"the results of seed {seed}", _RESULTS_BYTES_MAX)
    return parse_seed(data, path, seed)


def parse_seed(data: bytes, path: UPath, seed: int) -> SeedScore:
    """The results in ``data``, which was read from ``path``; raises as :func:`load_seed`."""
    document = parse_json(data, str(path))
    if not isinstance(document, dict):
        raise UnusableInput(f"{path}: expected a JSON object, found {type(document).__name__}.")
    found_seed = _field(path, document, "seed", int)
    if found_seed != seed:
        raise UnusableInput(
            f"{path}: expected 'seed' to be {seed} as in its name, found {found_seed}; "
            "the file was renamed or mixed up."
        )
    folds = _load_folds(path, document)
    predictions = document.get("predictions")
    return SeedScore(
        seed=seed,
        folds=folds,
        mean_plcc=_correlation(path, document, "mean_plcc"),
        corpus=str(document.get("corpus", "")),
        corpus_sha256=_field(path, document, "corpus_sha256", str, required=False),
        n_rows=_field(path, document, "n_rows", int, required=False),
        settings=_settings(path, document),
        predictions_sha256=predictions.get("sha256") if isinstance(predictions, dict) else None,
        wall_time_s=_figure(path, document, "wall_time_s", required=False) or 0.0,
        sha256=sha256_of(data),
    )


def load_seed_result(folder: UPath, corpus: Corpus, score: SeedScore) -> SeedResult:
    """A seed's result, recomputed from its out-of-fold predictions on ``corpus``.

    Raises
    ------
    UnusableInput
        If the predictions are missing, are not the ones that ``score`` names, hold other rows or
        targets than the corpus, or give other folds or figures than ``score`` tells.
    """
    path = folder / predictions_file(score.seed)
    data = read_bytes(path, "out-of-fold predictions")
    if sha256_of(data) != score.predictions_sha256:
        raise UnusableInput(f"{path}: its results were computed from another file.")
    table = parse_parquet(data, path, "out-of-fold predictions")
    if not _same_rows(table, corpus):
        raise UnusableInput(f"{path}: holds other rows or targets than the corpus.")
    prediction = table.column("prediction").to_numpy()
    assignment = ENSEMBLE.plan.assign(rows_by_source(corpus))
    folds = measure_folds(corpus, prediction, assignment)
    given = [fold.held_out for fold in folds]
    told = [fold.held_out for fold in score.folds]
    if given != told:
        raise UnusableInput(f"{path}: holds out {_differing(given, told)}.")
    figures = [
        *(
            (f"fold {f.held_out}", t.plcc, f.agreement.plcc)
            for f, t in zip(folds, score.folds, strict=True)
        ),
        ("the mean", score.mean_plcc, mean_or_none([fold.agreement.plcc for fold in folds])),
    ]
    for name, tells, gives in figures:
        if not _same_figure(tells, gives):
            raise UnusableInput(f"{path}: gives PLCC {gives} in {name}, the results tell {tells}.")
    return SeedResult(score.seed, folds, prediction, score.wall_time_s)


def _differing(given: list[str], told: list[str]) -> str:
    pairs = zip_longest(given, told, fillvalue="no more")
    one, other = next((one, other) for one, other in pairs if one != other)
    counts = f"{len(given)} sources, the results {len(told)}"
    return f"{counts}, the first that differs '{shown(one)}', not '{shown(other)}'"


def recipe_record(recipe: Recipe) -> dict[str, Any]:
    """What our files record of the way in which a seed was trained."""
    versions = {"codec_block_version": CODEC_BLOCK_VERSION, "streams_version": STREAMS_VERSION}
    return asdict(recipe) | versions


def recipe_of(score: SeedScore) -> dict[str, Any]:
    """The same as a file tells it; ``None`` for what it leaves out."""
    return {name: score.settings.get(name) for name in recipe_record(CONTRACT_RECIPE)}


def _same_rows(table: pa.Table, corpus: Corpus) -> bool:
    keys = key_columns(corpus.frame)
    if not {*keys, "target", "prediction"} <= set(table.column_names):
        return False
    if table.num_rows != corpus.n_rows:
        return False
    frame = table.to_pandas()
    return np.array_equal(frame["target"].to_numpy(), corpus.target) and all(
        (frame[key].fillna("") == corpus.frame[key].fillna("")).all() for key in keys
    )


def _same_figure(told: float | None, recomputed: float | None) -> bool:
    if told is None or recomputed is None:
        return told is recomputed
    return abs(told - recomputed) <= _RECOMPUTED_TOLERANCE


def _settings(path: UPath, document: Mapping[str, Any]) -> dict[str, Any]:
    """What the file says of its recipe: at its top, as the contract has it, and in ours."""
    told = {name: document[name] for name in _SETTINGS if name in document}
    recipe = document.get("recipe")
    for name, value in (recipe if isinstance(recipe, dict) else {}).items():
        if told.setdefault(name, value) != value:
            raise UnusableInput(
                f"{path}: expected one value for '{name}', found {shown(told[name])} at the "
                f"top and {shown(value)} in 'recipe'; train the seed again with --force."
            )
    return told


def _load_folds(path: UPath, document: Mapping[str, Any]) -> tuple[FoldScore, ...]:
    listed = _field(path, document, "folds", list)
    folds = tuple(_load_fold(path, number, fold) for number, fold in enumerate(listed))
    n_folds = _field(path, document, "n_folds", int, required=False)
    if not folds or n_folds not in (None, len(folds)):
        raise UnusableInput(
            f"{path}: expected {n_folds or 'at least one'} fold in 'folds', found {len(folds)}."
        )
    times = Counter(fold.held_out for fold in folds)
    twice = next((name for name, count in times.items() if count > 1), None)
    if twice is not None:
        raise UnusableInput(
            f"{path}: expected each source held out once, found '{shown(twice)}' more than once."
        )
    return folds


def _load_fold(path: UPath, number: int, fold: Any) -> FoldScore:
    where = f"folds[{number}]"
    if not isinstance(fold, dict):
        raise UnusableInput(f"{path} {where}: expected an object, found {type(fold).__name__}.")
    return FoldScore(
        held_out=_field(path, fold, "held_out", str, required=False) or where,
        plcc=_correlation(path, fold, "plcc", where),
        srocc=_correlation(path, fold, "srocc", where, required=False),
        rmse=_figure(path, fold, "rmse", where, required=False),
    )


def _field(
    path: UPath, document: Mapping[str, Any], name: str, kind: type, required: bool = True
) -> Any:
    value = document.get(name)
    if value is None and not required:
        return None
    if not isinstance(value, kind) or isinstance(value, bool):
        found = "no such field" if name not in document else repr(value)[:40]
        raise UnusableInput(f"{path}: expected '{name}' of type {kind.__name__}, found {found}.")
    return value


def _figure(
    path: UPath, document: Mapping[str, Any], name: str, where: str = "", required: bool = True
) -> float | None:
    """A number, or ``None`` for null and for the NaN that the fork's files may hold."""
    value = document.get(name)
    at = f"{path} {where}".rstrip()
    if value is None and (name in document or not required):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        found = "no such field" if name not in document else repr(value)[:40]
        raise UnusableInput(f"{at}: expected '{name}' to be a number or null, found {found}.")
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError as error:
        raise UnusableInput(
            f"{at}: expected '{name}' to be a number, found too many digits."
        ) from error


def _correlation(
    path: UPath, document: Mapping[str, Any], name: str, where: str = "", required: bool = True
) -> float | None:
    value = _figure(path, document, name, where, required)
    if value is not None and abs(value) > 1 + _RECOMPUTED_TOLERANCE:
        at = f"{path} {where}".rstrip()
        raise UnusableInput(f"{at}: expected '{name}' between -1 and 1, found {value:g}.")
    return value
