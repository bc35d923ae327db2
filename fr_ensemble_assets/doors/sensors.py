"""The sensor that notices failed runs, whatever they were about."""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg

from fr_ensemble_assets.doors.fixed import TreatAsResourceParam
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.doors.naming import work_of
from fr_ensemble_assets.doors.refusals import REFUSAL
from fr_ensemble_assets.doors.workers import NAME_TAG
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.notices import Notice, post_notice, write_notice

#: The environment variable that names a webhook.
WEBHOOK_VARIABLE = "FR_ENSEMBLE_WEBHOOK"
#: The asset whose materialisation is a verdict, and the page on which it is read.
VERDICT_KEY = dg.AssetKey("ensemble_verdict")
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


def verdicts_sensor() -> dg.SensorDefinition:
    """A sensor that writes a line for every verdict that let its run succeed.

    A verdict that held its run fails it, and :func:`failures_sensor` tells why.
    """

    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        name="verdicts",
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Writes every PROMOTE to logs/verdicts.log.",
    )
    def verdicts(context: dg.RunStatusSensorContext, home: HomeResource) -> None:
        told = verdict_of(context.instance, context.dagster_run)
        if told is not None:
            context.log.info(told.text)
            write_notice(home.open().verdicts_log, told)

    return verdicts


def verdict_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Notice | None:
    """What ``run`` says of the verdict that it reached; ``None`` if it reached none."""
    reached = {dg.DagsterEventType.ASSET_MATERIALIZATION}
    for record in instance.get_records_for_run(run.run_id, of_type=reached).records:
        event = record.event_log_entry.asset_materialization
        if event is None or event.asset_key != VERDICT_KEY:
            continue
        found = {name: value.value for name, value in event.metadata.items()}
        on = f" of {run.tags[NAME_TAG]}" if NAME_TAG in run.tags else ""
        figures = [
            f"{words} {found[name]:.5f}"
            for name, words in (("mean_plcc", "mean PLCC"), ("plcc_spread", "spread"))
            if isinstance(found.get(name), float)
        ]
        told = f"{work_of(run)} {run.run_id[:8]}: {found.get('verdict')}{on}"
        return Notice(", ".join((told, *figures)), run.job_name, run.run_id, ())
    return None


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
    held = checks and not refusals and all(c.startswith(VERDICT_KEY.path[-1]) for c in checks)
    ended = "ended with HOLD" if held else "failed"
    text = f"{work_of(run)} {run.run_id[:8]} {ended}: {'; '.join(reasons)}{retried}"
    return Notice(text, run.job_name, run.run_id, reasons)
