"""Door: the sensor that watches the inbox."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg
from upath import UPath

from fr_ensemble_assets.corpus.arrivals import Arrival, Memory, look_into
from fr_ensemble_assets.corpus.store import name_of
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.doors.workers import NAME_TAG
from fr_ensemble_assets.foundation.wording import listed

if TYPE_CHECKING:
    from fr_ensemble_assets.doors.dagster_internals import UnresolvedAssetJobDefinition

#: By this tag a run names the content that it was started for.
ARRIVAL_TAG = "fr_ensemble/arrival_sha256"
_SECONDS_BETWEEN_LOOKS = 10


@dataclass(frozen=True)
class Taker:
    """What takes an arrival.

    Attributes
    ----------
    job, asset
        The job, and the asset in it that reads what arrived.
    partitions
        Those that the run is asked for, without gaps.
    endings
        Endings of files beyond those of corpora that it takes.
    takes
        Whether a file is for it.
    """

    job: "UnresolvedAssetJobDefinition"
    asset: str
    partitions: Sequence[str]
    endings: tuple[str, ...] = ()
    takes: Callable[[UPath], bool] = lambda _: True


def inbox_sensor(corpora: Taker, cells: Taker) -> dg.SensorDefinition:
    """A sensor that starts a job for every corpus that arrives, and another for cells."""

    @dg.sensor(
        name="corpus_inbox",
        jobs=[corpora.job, cells.job],
        minimum_interval_seconds=_SECONDS_BETWEEN_LOOKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Trains on every corpus or cells that appear in the inbox: noticed by content, "
        "once.",
    )
    def corpus_inbox(context: dg.SensorEvaluationContext, home: HomeResource) -> dg.SensorResult:
        memory = Memory.from_text(context.cursor)
        look = look_into(home.open().inbox, memory, also=cells.endings)
        for sentence in look.remarks:
            context.log.info(sentence)
        return dg.SensorResult(
            run_requests=[
                _request(arrival, cells if cells.takes(arrival.path) else corpora)
                for arrival in look.arrivals
            ],
            skip_reason=None if look.arrivals else _told(look.remarks),
            cursor=look.memory.to_text(),
        )

    return corpus_inbox


def _told(said: Sequence[str]) -> str:
    return listed(said, separator="; ", limit=300) or "nothing new"


def _request(arrival: Arrival, taker: Taker) -> dg.RunRequest:
    read = {"path": str(arrival.path), "arrival_sha256": arrival.sha256}
    return dg.RunRequest(
        run_key=arrival.sha256,
        job_name=taker.job.name,
        run_config={"ops": {taker.asset: {"config": read}}},
        tags={
            "dagster/asset_partition_range_start": taker.partitions[0],
            "dagster/asset_partition_range_end": taker.partitions[-1],
            ARRIVAL_TAG: arrival.sha256,
            NAME_TAG: name_of(str(arrival.path)),
        },
    )
