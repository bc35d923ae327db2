"""Door: the schedule that verifies the current candidate again."""

import dagster as dg


def reverify_schedule(job_name: str) -> dg.ScheduleDefinition:
    """Every morning at six; off until somebody switches it on."""
    return dg.ScheduleDefinition(
        name="reverify_candidate",
        job_name=job_name,
        cron_schedule="0 6 * * *",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Verifies the current candidate again: digests, gate, corpus, drift.",
    )
