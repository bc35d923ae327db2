"""Door: ``corpus_shards``, a partition a clip."""

import os
import warnings

import dagster as dg

from fr_ensemble_assets.clips.assets import reference_clips
from fr_ensemble_assets.clips.clip import Clip
from fr_ensemble_assets.clips.ffmpeg import Children, Ffmpeg
from fr_ensemble_assets.clips.inventory import inventory_file, load_inventory
from fr_ensemble_assets.clips.resources import CLIP_PARTITIONS, FfmpegResource
from fr_ensemble_assets.doors.groups import CORPUS_GROUP
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.doors.metadata import OWNERS, Cell, column_schema, in_home, plot, table
from fr_ensemble_assets.doors.progress import Watch
from fr_ensemble_assets.doors.refusals import refusals_as_failures
from fr_ensemble_assets.encodes.encoders import usable_encoders
from fr_ensemble_assets.encodes.generate import Generated, generate
from fr_ensemble_assets.encodes.grid import Grid, parse_qualities
from fr_ensemble_assets.encodes.plots import rate_curves
from fr_ensemble_assets.encodes.score import Scored
from fr_ensemble_assets.encodes.shards import save_shard, shard_file
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import SHORT_SHA_LENGTH
from fr_ensemble_assets.foundation.schema import COLUMNS, DESCRIPTIONS, column_type
from fr_ensemble_assets.foundation.wording import listed

#: A device of Quick Sync, as ffmpeg names it: ``/dev/dri/renderD129``.
QSV_VARIABLE = "FR_ENSEMBLE_QSV_DEVICE"


class GridResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """What is made of every clip; empty and 0 mean the defaults of ``fr-ensemble generate``.

    Which Quick Sync device encodes says the environment (``FR_ENSEMBLE_QSV_DEVICE``).
    """

    encoders: str = ""
    qualities: str = ""
    frames: int = 0
    every: int = 1

    def build(self, ffmpeg: Ffmpeg) -> Grid:
        encoders = usable_encoders(ffmpeg, self.encoders, os.environ.get(QSV_VARIABLE, ""))
        return Grid(parse_qualities(self.qualities, encoders), self.frames, self.every)


#: The pool of what encodes, as TRAINING_POOL is that of what trains.
ENCODING_POOL = "encode"

with warnings.catch_warnings():
    # As for loso_results: one run takes all the clips that it was asked for.
    warnings.simplefilter("ignore", dg.BetaWarning)
    _partitioned_by_clip = dg.asset(
        name="corpus_shards",
        partitions_def=CLIP_PARTITIONS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=CORPUS_GROUP,
        owners=OWNERS,
        kinds={"ffmpeg", "parquet"},
        tags={"domain": "video-quality"},
        code_version="1",
        pool=ENCODING_POOL,
        deps=[reference_clips],
        metadata=column_schema({c: (column_type(c), DESCRIPTIONS[c]) for c in COLUMNS}),
    )


@_partitioned_by_clip
def corpus_shards(
    context: dg.AssetExecutionContext,
    home: HomeResource,
    ffmpeg: FfmpegResource,
    grid: GridResource,
    watch: dg.ResourceParam[Watch],
) -> None:
    """Each clip encoded over the grid of encoders and qualities, every frame scored with VMAF.

    An encode that is done for this clip, encoder, quality, settings and version of ffmpeg is not
    done again. If an encode fails, so does the partition of its clip, and no other.
    """
    with refusals_as_failures():
        kept = home.open()
        found = ffmpeg.find()
        settings = grid.build(found)
        clips = _clips(load_inventory(inventory_file(kept)).clips, context.partition_keys)
        with Children() as children:
            made = generate(
                *(found, children, clips, settings, kept.cells, kept.scratch, ffmpeg.at_a_time()),
                watch(context.log).report("encodes"),
            )
        whole = {clip.src for clip in clips} - {failed.cell.clip.src for failed in made.failed}
        for clip in clips:
            if clip.src in whole:
                scored = [one for one in made.scored if one.cell.clip == clip]
                sha256 = save_shard(kept.shards, found, clip, settings, scored)
                path = shard_file(kept.shards, clip.src)
                described = _describe(clip, scored, sha256) | {
                    "stored_at": dg.MetadataValue.text(in_home(kept, path))
                }
                _tell(context, clip.src, described, complete=not made.failed)
        _require_all(made)


def _clips(known: tuple[Clip, ...], keys: list[str] | tuple[str, ...]) -> list[Clip]:
    by_name = {clip.src: clip for clip in known}
    missing = [key for key in keys if key not in by_name]
    if missing:
        raise UnusableInput(
            f"corpus_shards: expected clips of the inventory, found {listed(missing)}; "
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


def _require_all(made: Generated) -> None:
    if made.failed:
        raise UnusableInput(
            f"{len(made.failed)} encodes failed, the others are kept: "
            + listed(made.failed, separator="; ", limit=300)
        )


def _describe(clip: Clip, scored: list[Scored], sha256: str) -> dict[str, dg.MetadataValue]:
    encodes: list[dict[str, Cell]] = [
        {
            "encoder": one.cell.encoder.name,
            "quality": one.cell.quality,
            "vmaf": round(sum(one.vmaf) / len(one.vmaf), 3),
            "bytes": one.enc_bytes,
            "arguments": " ".join(
                one.cell.encoder.encoding(one.cell.quality, clip.reference_format)
            ),
        }
        for one in scored
    ]
    return {
        "plot_of_encodes": plot(rate_curves(scored), f"VMAF of {clip.src}"),
        "encodes": table(encodes),
        "frames_scored": dg.MetadataValue.int(sum(len(one.vmaf) for one in scored)),
        "clip_sha256": dg.MetadataValue.text(clip.sha256[:SHORT_SHA_LENGTH]),
        "shard_sha256": dg.MetadataValue.text(sha256[:SHORT_SHA_LENGTH]),
    }
