"""Door: the sensor that watches the inbox."""

from collections.abc import Sequence

import dagster as dg

from fr_ensemble_assets.corpus.arrivals import Arrival, Memory, look_into
from fr_ensemble_assets.corpus.store import name_of
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.doors.workers import NAME_TAG
from fr_ensemble_assets.foundation.wording import listed

#: By this tag a run names the content that it was started for.
ARRIVAL_TAG = "fr_ensemble/arrival_sha256"
_SECONDS_BETWEEN_LOOKS = 10


def inbox_sensor(job_name: str, seeds: tuple[int, ...]) -> dg.SensorDefinition:
    """A sensor that starts ``job_name`` over ``seeds`` for every corpus that arrives."""

    @dg.sensor(
        name="corpus_inbox",
        job_name=job_name,
        minimum_interval_seconds=_SECONDS_BETWEEN_LOOKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Trains on every corpus that appears in the inbox: noticed by content, once.",
    )
    def corpus_inbox(context: dg.SensorEvaluationContext, home: HomeResource) -> dg.SensorResult:
        look = look_into(home.open().inbox, Memory.from_text(context.cursor))
        for sentence in look.remarks:
            context.log.info(sentence)
        return dg.SensorResult(
            run_requests=[_request(arrival, seeds) for arrival in look.arrivals],
            skip_reason=None if look.arrivals else _told(look.remarks),
            cursor=look.memory.to_text(),
        )

    return corpus_inbox


def _told(said: Sequence[str]) -> str:
    return listed(said, separator="; ", limit=300) or "nothing new"


def _request(arrival: Arrival, seeds: tuple[int, ...]) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=arrival.sha256,
        run_config={
            "ops": {
                "corpus": {"config": {"path": str(arrival.path), "arrival_sha256": arrival.sha256}}
            }
        },
        tags={
            "dagster/asset_partition_range_start": str(min(seeds)),
            "dagster/asset_partition_range_end": str(max(seeds)),
            ARRIVAL_TAG: arrival.sha256,
            NAME_TAG: name_of(str(arrival.path)),
        },
    )
