"""Door: ``planning_cells`` and ``planning_corpus``, and the codecs' predictors that follow."""

import warnings
from collections.abc import Sequence

import dagster as dg

from fr_ensemble_assets.clips.clip import Clip
from fr_ensemble_assets.clips.ffmpeg import Children
from fr_ensemble_assets.clips.inventory import inventory_file, load_inventory
from fr_ensemble_assets.clips.resources import CLIP_PARTITIONS, FfmpegResource
from fr_ensemble_assets.contract.agreed import CODECS
from fr_ensemble_assets.corpus.arrivals import unchanged_arrival
from fr_ensemble_assets.corpus.in_use import CELLS, sha256_in_use
from fr_ensemble_assets.doors.groups import PREDICTORS_GROUP
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.doors.metadata import (
    OWNERS,
    Cell,
    column_schema,
    folded,
    four_digits,
    in_home,
    table,
)
from fr_ensemble_assets.doors.progress import Watch
from fr_ensemble_assets.doors.refusals import refusals_as_failures
from fr_ensemble_assets.encodes.assets import ENCODING_POOL, GridResource, corpus_shards
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.digests import require_digest
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import parse_path, sha256_of
from fr_ensemble_assets.foundation.home import SHORT_SHA_LENGTH, Home
from fr_ensemble_assets.foundation.wording import listed, shown
from fr_ensemble_assets.predictors.cell_schema import CELL_COLUMNS, CELL_DESCRIPTIONS, CELL_TEXT
from fr_ensemble_assets.predictors.cell_store import load_cells, save_cells
from fr_ensemble_assets.predictors.cells import BUNDLED_CELLS, CellReading, Cells, read_cells
from fr_ensemble_assets.predictors.clip_cells import (
    any_clip_cells,
    cells_file,
    plan_cells,
    read_clip_cells,
    save_clip_cells,
)
from fr_ensemble_assets.predictors.gate import MISSING_ROWS, CodecVerdict
from fr_ensemble_assets.predictors.published import publish_predictors, write_report
from fr_ensemble_assets.predictors.results import (
    CodecVerdicts,
    judge_anew,
    judge_codec,
    load_results,
    results_folder,
    save_results,
)
from fr_ensemble_assets.training.resources import TRAINING_POOL, TrainingConfig

CODEC_PARTITIONS = dg.StaticPartitionsDefinition(list(CODECS))
_TAGS = {"domain": "video-quality"}
_COLUMNS = column_schema(
    {c: ("string" if c in CELL_TEXT else "float", CELL_DESCRIPTIONS[c]) for c in CELL_COLUMNS}
)
_RESULTS = column_schema(
    {
        "predicted": ("float", "VMAF of a judged encode, by a model that never saw its source"),
        "other_groupings": ("json", "How other dealings of the sources come out; no verdict"),
    }
)


class CellsConfig(dg.Config):
    """Where planning cells are read from: a file. Empty means the clips' or the bundled ones.

    ``arrival_sha256`` is set by the inbox' sensor: what was noticed is what must be read.
    """

    path: str = ""
    arrival_sha256: str = ""


with warnings.catch_warnings():
    # As for loso_results: one run takes all partitions that it was asked for.
    warnings.simplefilter("ignore", dg.BetaWarning)
    _by_clip = dg.asset(
        name="planning_cells",
        partitions_def=CLIP_PARTITIONS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=PREDICTORS_GROUP,
        owners=OWNERS,
        kinds={"ffmpeg", "csv"},
        tags=_TAGS,
        code_version="1",
        pool=ENCODING_POOL,
        # Whose encodes it takes: beside them nothing is left but the probes.
        deps=[corpus_shards],
        metadata=_COLUMNS,
    )
    _by_codec = dg.asset(
        name="predictor_results",
        partitions_def=CODEC_PARTITIONS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=PREDICTORS_GROUP,
        owners=OWNERS,
        kinds={"json"},
        tags=_TAGS,
        code_version="1",
        pool=TRAINING_POOL,
        deps=[CELLS.key],
        metadata=_RESULTS,
    )


@_by_clip
def planning_cells(
    context: dg.AssetExecutionContext,
    home: HomeResource,
    ffmpeg: FfmpegResource,
    grid: GridResource,
    watch: dg.ResourceParam[Watch],
) -> None:
    """Each clip's encodes with every frame pooled, a row an encode, and a probe an encoder.

    The grid is that of ``corpus_shards``, whose scored encodes are taken as they are. A probe that
    fails fails its clip's partition, and no other.
    """
    with refusals_as_failures():
        kept = home.open()
        found = ffmpeg.find()
        settings = grid.build(found)
        clips = _clips(load_inventory(inventory_file(kept)).clips, context.partition_keys)
        with Children() as children:
            made = plan_cells(
                *(found, children, clips, settings, kept.cells, kept.scratch, ffmpeg.at_a_time()),
                watch(context.log).report("encodes"),
            )
        for clip in clips:
            if clip.src in made.cells:
                cells = made.cells[clip.src]
                sha256 = save_clip_cells(kept.clip_cells, found, clip, settings, cells)
                path = cells_file(kept.clip_cells, clip.src)
                described = _of_clip(cells, sha256) | {
                    "stored_at": dg.MetadataValue.text(in_home(kept, path))
                }
                _tell(context, clip.src, described, complete=not made.problems)
        if made.problems:
            raise UnusableInput(
                f"{len(made.problems)} encodes or probes failed, the others are kept: "
                + listed(made.problems, separator="; ", limit=300)
            )


def _clips(known: Sequence[Clip], keys: Sequence[str]) -> list[Clip]:
    by_name = {clip.src: clip for clip in known}
    missing = [key for key in keys if key not in by_name]
    if missing:
        raise UnusableInput(
            f"planning_cells: expected clips of the inventory, found {listed(missing)}; "
            "materialise 'reference_clips' again."
        )
    return [by_name[key] for key in keys]


def _tell(
    context: dg.AssetExecutionContext,
    src: str,
    described: dict[str, dg.MetadataValue],
    complete: bool,
) -> None:
    """Metadata of a partition; where others fail, and the step with them, its own event too."""
    if complete:
        context.add_asset_metadata(described, partition_key=src)
    else:
        context.log_event(
            dg.AssetMaterialization(context.asset_key, partition=src, metadata=described)
        )


def _of_clip(cells: Cells, sha256: str) -> dict[str, dg.MetadataValue]:
    rows: list[dict[str, Cell]] = [
        {"encoder": str(encoder), "quality": quality, "vmaf": vmaf, "bytes": size}
        for encoder, quality, vmaf, size in zip(
            *(cells.frame[name].tolist() for name in ("encoder", "cq", "vmaf", "enc_bytes")),
            strict=True,
        )
    ]
    return {
        "cells": table(rows),
        "dagster/row_count": dg.MetadataValue.int(len(rows)),
        "file_sha256": dg.MetadataValue.text(sha256[:SHORT_SHA_LENGTH]),
    }


@dg.asset(
    group_name=PREDICTORS_GROUP,
    owners=OWNERS,
    kinds={"csv"},
    tags=_TAGS,
    code_version="1",
    deps=[planning_cells],
    metadata=_COLUMNS,
)
def planning_corpus(config: CellsConfig, home: HomeResource) -> dg.MaterializeResult[None]:
    """Cells, one row an encode: read, validated, and kept under the sha256 of their content.

    Takes a file that arrived ready-made (JSON Lines or CSV, plain or gzipped), else the planning
    cells of all clips, else the bundled ones. Its sha256 is the data version, and every predictor
    is kept under it.
    """
    with refusals_as_failures():
        kept = home.open()
        reading, origin, files = _read(config, kept)
        save_cells(kept, reading, origin, files)
        sha256 = reading.cells.sha256
    by_encoder: list[dict[str, Cell]] = [
        {
            "encoder": name,
            "encodes": len(rows := reading.cells.of_encoder(name)),
            "sources": rows["src"].nunique(),
            "qualities": listed(f"{q:g}" for q in sorted(rows["cq"].unique())),
        }
        for name in reading.cells.encoders
    ]
    return dg.MaterializeResult(
        data_version=dg.DataVersion(sha256),
        metadata={
            "dagster/row_count": len(reading.cells.frame),
            "sources": len(reading.cells.sources),
            "encoders": table(by_encoder),
            "rows_read": reading.rows_read,
            "repeats_dropped": reading.repeats_dropped,
            "failed_dropped": reading.failed_dropped,
            "extra_keys": listed(reading.extra_keys) or "none",
            "read_from": shown(origin),
            "cells_sha256": sha256[:SHORT_SHA_LENGTH],
            "stored_at": in_home(kept, kept.cells_dir(sha256)),
        },
    )


def _read(config: CellsConfig, home: Home) -> tuple[CellReading, str, list[str]]:
    """The cells that were asked for, where they came from in words, and the files' names."""
    if config.path:
        path = parse_path(config.path)
        if not config.arrival_sha256:
            return read_cells(path), config.path, [path.name]
        with unchanged_arrival(path, require_digest(config.arrival_sha256, "arrival_sha256")):
            return read_cells(path), config.path, [path.name]
    known = inventory_file(home)
    inventory = load_inventory(known) if store.exists(known) else None
    if inventory is not None and any_clip_cells(home.clip_cells, inventory):
        reading = read_clip_cells(home.clip_cells, inventory)
        names = [cells_file(home.clip_cells, clip.src).name for clip in inventory.clips]
        return reading, f"the planning cells of {len(names)} clips", names
    without = " (no clip has planning cells)" if inventory is not None and inventory.clips else ""
    return read_cells(BUNDLED_CELLS), f"the bundled cells{without}", [BUNDLED_CELLS.name]


@_by_codec
def predictor_results(
    context: dg.AssetExecutionContext,
    config: TrainingConfig,
    home: HomeResource,
    watch: dg.ResourceParam[Watch],
) -> None:
    """Five folds of whole sources for each codec: fitted on four, the fifth predicted.

    Both kinds of predictor: from one encode that was scored, and from one cheap probe that wasn't.
    A codec that is done for these cells isn't trained again unless ``force`` is set; one without
    cells says so, and has no results.
    """
    with refusals_as_failures():
        kept = home.open()
        cells = load_cells(kept, sha256_in_use(context, CELLS))
        report = watch(context.log).report("codecs")
        for done, codec in enumerate(context.partition_keys, start=1):
            judged, reused = _evaluated(kept, cells, codec, config.force)
            context.add_asset_metadata(
                _of_codec(judged)
                | {
                    "reused": reused,
                    "cells_sha256": dg.MetadataValue.text(cells.sha256[:SHORT_SHA_LENGTH]),
                },
                partition_key=codec,
            )
            report(done, len(context.partition_keys))


def _evaluated(home: Home, cells: Cells, codec: str, force: bool) -> tuple[CodecVerdicts, bool]:
    """The codec's verdicts, and whether its stored results were taken."""
    folder = results_folder(home, cells, codec)
    if not force:
        try:
            return load_results(folder, cells, codec), True
        except UnusableInput:
            pass  # none yet, or altered: trained again
    judged = judge_anew(cells, codec) if force else judge_codec(cells, codec)
    if codec in cells.encoders:
        save_results(folder, cells, judged)
    return judged, False


def _of_codec(judged: CodecVerdicts) -> dict[str, dg.MetadataValue]:
    folds: list[dict[str, Cell]] = [
        {
            "kind": verdict.kind,
            "fold": fold.index,
            "encodes": fold.n_val,
            "plcc": fold.agreement.plcc,
            "srocc": fold.agreement.srocc,
            "rmse": fold.agreement.rmse,
            "held_out": listed(fold.held_out),
        }
        for verdict in judged.kinds
        for fold in verdict.folds
    ]
    told: dict[str, dg.MetadataValue] = {
        "status": dg.MetadataValue.text(judged.scored.status),
        "reasons": dg.MetadataValue.text("; ".join(judged.scored.reasons) or "none"),
    }
    figures = figures_told(judged.scored)
    return (
        told
        | {name: dg.MetadataValue.float(four_digits(value)) for name, value in figures.items()}
        | {
            "status_of_unscored_probe": dg.MetadataValue.text(judged.unscored.status),
            "folds": table(folds),
        }
    )


def figures_told(verdict: CodecVerdict) -> dict[str, float]:
    """The figures of a verdict that are defined, by name."""
    lowest = [fold.agreement.plcc for fold in verdict.folds if fold.agreement.plcc is not None]
    named = {
        "mean_plcc": verdict.mean_plcc,
        "plcc_spread": verdict.plcc_spread,
        "lowest_plcc": min(lowest) if lowest else None,
        "rmse": verdict.rmse,
    }
    return {name: value for name, value in named.items() if value is not None}


@dg.asset(
    group_name=PREDICTORS_GROUP,
    owners=OWNERS,
    kinds={"json"},
    tags=_TAGS,
    code_version="1",
    deps=[
        planning_corpus,
        dg.AssetDep(predictor_results, partition_mapping=dg.AllPartitionMapping()),
    ],
)
def predictor_verdict(
    context: dg.AssetExecutionContext, home: HomeResource
) -> dg.MaterializeResult[None]:
    """PASS or HOLD for each codec: its folds against ADR-0303's gate.

    Mean PLCC >= 0.95, spread (max - min) <= 0.005, every fold >= 0.95. Writes ``predictors.json``
    beside the cells. How other groupings of the sources come out is told and chooses nothing.
    """
    with refusals_as_failures():
        kept = home.open()
        path, verdicts = write_report(kept, sha256_in_use(context, CELLS))
    without = [v.encoder for v in verdicts if v.scored.status == MISSING_ROWS]
    asked = [v for v in verdicts if v.encoder not in without]
    rows = [_row(verdict.scored) for verdict in asked]
    unscored = [_row(verdict.unscored) for verdict in asked]
    passing = [verdict.encoder for verdict in asked if verdict.scored.passed]
    held = [verdict.scored for verdict in asked if not verdict.scored.passed]
    return dg.MaterializeResult(
        # In the order in which the page shows it.
        metadata={
            "passing": listed(passing) or "none",
            "held": ". ".join(map(_why_held, held)) or "none",
            "without_cells": listed(without) or "none",
            "codecs_passing": len(passing),
            "tables_of_codecs": folded(
                {"scored_probe": rows, "probe_that_is_not_scored": unscored}, path.name
            ),
            "stored_at": in_home(kept, path),
        }
    )


def _why_held(verdict: CodecVerdict) -> str:
    without = f"; passes without {listed(verdict.culprits)}" if verdict.culprits else ""
    return f"{verdict.encoder}: {'; '.join(verdict.reasons)}{without}"


def _row(verdict: CodecVerdict) -> dict[str, Cell]:
    figures = figures_told(verdict)
    others = [grouping.passes for grouping in verdict.others]
    return {
        "codec": verdict.encoder,
        "verdict": "PASS" if verdict.passed else "HOLD",
        **{name: figures.get(name) for name in ("mean_plcc", "plcc_spread", "lowest_plcc", "rmse")},
        "other_groupings_pass": f"{sum(others)} of {len(others)}" if others else "not asked",
        "reasons": "; ".join(verdict.reasons) or "none",
    }


@dg.asset(
    group_name=PREDICTORS_GROUP,
    owners=OWNERS,
    kinds={"onnx", "json"},
    tags=_TAGS,
    code_version="1",
    pool=TRAINING_POOL,
    deps=[planning_corpus, predictor_results, predictor_verdict],
)
def predictors(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult[None]:
    """The files of every codec that passes, fitted to all its sources; none for the others.

    Judged again from the cells: stored predictions must be those that fitting again gives. The
    kind ``probe`` (ONNX) is made where it passes by itself. The next registry candidate takes
    what lies here.
    """
    with refusals_as_failures():
        kept = home.open()
        folder, files = publish_predictors(kept, sha256_in_use(context, CELLS))
    rows: list[dict[str, Cell]] = [
        {"file": name, "bytes": len(data), "sha256": sha256_of(data)}
        for name, data in sorted(files.items())
    ]
    return dg.MaterializeResult(
        metadata={
            "files": table(rows),
            "stored_at": in_home(kept, folder),
        }
    )
