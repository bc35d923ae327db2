"""Door: ``reference_clips``."""

from dataclasses import replace

import dagster as dg

from fr_ensemble_assets.clips.clip import Clip, raw_video
from fr_ensemble_assets.clips.ffmpeg import Children
from fr_ensemble_assets.clips.inventory import (
    clip_files,
    inventory_file,
    save_inventory,
    take_inventory,
)
from fr_ensemble_assets.clips.resources import CLIP_PARTITIONS, FfmpegResource
from fr_ensemble_assets.doors.groups import CORPUS_GROUP
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.doors.metadata import OWNERS, Cell, column_schema, in_home, table
from fr_ensemble_assets.doors.refusals import refusals_as_failures
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.wording import listed


class ClipsConfig(dg.Config):
    """``size``, ``rate``, ``pixel_format``: what raw ``.yuv`` files don't say themselves."""

    size: str = ""
    rate: str = ""
    pixel_format: str = ""


@dg.asset(
    group_name=CORPUS_GROUP,
    owners=OWNERS,
    kinds={"ffmpeg"},
    tags={"domain": "video-quality"},
    code_version="1",
    metadata=column_schema(
        {
            "src": ("string", "The clip's name: the LOSO key of its rows"),
            "size": ("string", "Pixels"),
            "frames": ("int", "Decoded and counted"),
            "rate": ("string", "Frames a second"),
            "pixel_format": ("string", "As the file has it"),
            "scored_as": ("string", "The format in which it is encoded and scored"),
            "sha256": ("string", "Of the file's bytes"),
        }
    ),
)
def reference_clips(
    context: dg.AssetExecutionContext,
    config: ClipsConfig,
    home: HomeResource,
    ffmpeg: FfmpegResource,
) -> dg.MaterializeResult[None]:
    """What lies in the clips folder: every file decoded once, and a partition for each clip.

    An empty folder is no failure: the corpus is then the bundled one. A file that can't be used
    doesn't stop the others; the check ``clips_usable`` names it. Partitions of clips that are gone
    are removed.
    """
    with refusals_as_failures():
        kept = home.open()
        folder = kept.clips
        raw = raw_video(config.size, config.rate, config.pixel_format)
        files, ignored = clip_files([folder])
        with Children() as children:
            found = take_inventory(
                *(ffmpeg.find(), children, files, raw, config.rate),
                workers=ffmpeg.at_a_time(),
            )
        if found.refused and not found.clips:
            raise UnusableInput(listed(found.refused, separator="; ", limit=300))
        found = replace(found, ignored=ignored)
        save_inventory(inventory_file(kept), found)
    added, removed = _register(context.instance, [clip.src for clip in found.clips])
    return dg.MaterializeResult(
        data_version=dg.DataVersion(found.digest),
        metadata={
            "dagster/row_count": len(found.clips),
            "clips": table([_row(clip) for clip in found.clips]),
            "frames": sum(clip.frames for clip in found.clips),
            "bytes": sum(clip.size_bytes for clip in found.clips),
            "refused": len(found.refused),
            "ignored_files": listed(found.ignored) or "none",
            "new_partitions": listed(added) or "none",
            "removed_partitions": listed(removed) or "none",
            "folder": in_home(kept, folder),
        },
    )


def _register(instance: dg.DagsterInstance, sources: list[str]) -> tuple[list[str], list[str]]:
    """Make the partitions those of ``sources``; returns what was added and what removed."""
    name = CLIP_PARTITIONS.name
    assert name is not None
    known = set(instance.get_dynamic_partitions(name))
    added, removed = sorted(set(sources) - known), sorted(known - set(sources))
    instance.add_dynamic_partitions(name, added)
    for gone in removed:
        instance.delete_dynamic_partition(name, gone)
    return added, removed


def _row(clip: Clip) -> dict[str, Cell]:
    return {
        "src": clip.src,
        "size": f"{clip.width}x{clip.height}",
        "frames": clip.frames,
        "rate": clip.rate,
        "pixel_format": clip.pixel_format + (" (full range)" if clip.full_range else ""),
        "scored_as": clip.reference_format,
        "sha256": clip.sha256,
    }
