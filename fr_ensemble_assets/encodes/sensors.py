"""Door: the sensor that watches the clips folder."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from fr_ensemble_assets.clips.clip import Clip
from fr_ensemble_assets.clips.resources import CLIP_PARTITIONS
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.encodes.arrivals import Memory, look_into, remember_scored
from fr_ensemble_assets.foundation.errors import UnusableInput

if TYPE_CHECKING:
    from fr_ensemble_assets.doors.dagster_internals import UnresolvedAssetJobDefinition

_SECONDS_BETWEEN_LOOKS = 10


def clips_sensor(
    list_job: "UnresolvedAssetJobDefinition", score_job: "UnresolvedAssetJobDefinition"
) -> dg.SensorDefinition:
    """A sensor that looks into the clips when they change, and scores those without a shard."""

    @dg.sensor(
        name="clips_folder",
        jobs=[list_job, score_job],
        minimum_interval_seconds=_SECONDS_BETWEEN_LOOKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Makes the shards of clips that appear in the clips folder.",
    )
    def clips_folder(context: dg.SensorEvaluationContext, home: HomeResource) -> dg.SensorResult:
        memory = Memory.from_text(context.cursor)
        try:
            look = look_into(home.open(), memory)
        except UnusableInput as error:
            return dg.SensorResult(skip_reason=str(error), cursor=memory.to_text())
        memory, requests = look.memory, []
        if look.listing is not None:
            requests.append(dg.RunRequest(run_key=look.listing, job_name=list_job.name))
        order = context.instance.get_dynamic_partitions(str(CLIP_PARTITIONS.name))
        clips = [clip for clip in look.unscored if clip.src in order]
        if clips:
            memory = remember_scored(memory, clips)
            requests += _score_requests(score_job.name, clips, order, memory.asked)
        told = "; ".join(look.remarks) or "nothing new"
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else told,
            cursor=memory.to_text(),
        )

    return clips_folder


def _score_requests(
    job_name: str, clips: Sequence[Clip], order: Sequence[str], asked: int
) -> list[dg.RunRequest]:
    """A run a range of neighbouring partitions: clips that came together are scored together."""
    ranges: list[list[str]] = []
    wanted = {clip.src for clip in clips}
    for before, src in zip([None, *order], order, strict=False):
        if src in wanted:
            if ranges and ranges[-1][-1] == before:
                ranges[-1].append(src)
            else:
                ranges.append([src])
    return [
        dg.RunRequest(
            run_key=f"shards-{asked}-{part[0]}",
            job_name=job_name,
            tags={
                "dagster/asset_partition_range_start": part[0],
                "dagster/asset_partition_range_end": part[-1],
            },
        )
        for part in ranges
    ]
