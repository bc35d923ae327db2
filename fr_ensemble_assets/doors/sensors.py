"""The sensor that notices failed runs, whatever they were about."""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg

from fr_ensemble_assets.doors.fixed import TreatAsResourceParam
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.doors.refusals import REFUSAL
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.notices import Notice, post_notice, write_notice

#: The environment variable that names a webhook.
WEBHOOK_VARIABLE = "FR_ENSEMBLE_WEBHOOK"
_WILL_RETRY_TAG = "dagster/will_retry"
_EVENTS = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.ASSET_CHECK_EVALUATION}


@dataclass(frozen=True)
class NoticesResource(TreatAsResourceParam):
    """``webhook``: where failure notices are POSTed as JSON; empty for nowhere."""

    webhook: str = ""


def failures_sensor() -> dg.SensorDefinition:
    """A sensor that writes a line for every failed run, and calls the webhook if one is set."""

    @dg.run_failure_sensor(
        name="run_failures",
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Writes every failed run to logs/failures.log, and to a webhook.",
    )
    def run_failures(
        context: dg.RunFailureSensorContext, home: HomeResource, notices: NoticesResource
    ) -> None:
        notice = notice_of(context.instance, context.dagster_run, context.failure_event.message)
        context.log.error(notice.text)
        write_notice(home.open().failures_log, notice)
        if notices.webhook:
            try:
                post_notice(notices.webhook, notice)
            except UnusableInput as error:  # a notice that can't be sent must not stop the next
                context.log.error(str(error))

    return run_failures


def notice_of(instance: dg.DagsterInstance, run: dg.DagsterRun, message: str | None) -> Notice:
    """What a failed run has to say: our refusals, else the checks that failed, else Dagster."""
    refusals, checks = [], []
    for record in instance.get_records_for_run(run.run_id, of_type=_EVENTS).records:
        event = record.event_log_entry.get_dagster_event()
        if event.event_type_value == "STEP_FAILURE":
            told = event.step_failure_data.user_failure_data
            if told is not None and REFUSAL in told.metadata and told.description:
                refusals.append(told.description)
        elif not (found := event.asset_check_evaluation_data).passed and found.blocking:
            where = f"{found.asset_key.to_user_string()}: {found.check_name}"
            checks.append(f"{where}: {found.description}")
    reasons = tuple(refusals or checks or [message or "no reason was given"])
    retried = "; it is tried again" if run.tags.get(_WILL_RETRY_TAG) == "true" else ""
    text = f"{run.job_name} {run.run_id[:8]} failed: {'; '.join(reasons)}{retried}"
    return Notice(text, run.job_name, run.run_id, reasons)
