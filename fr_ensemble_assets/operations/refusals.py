"""From Dagster's events back to our own errors, for those who started the run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from fr_ensemble_assets.doors.refusals import REFUSAL, TROUBLE, UNUSABLE_INPUT
from fr_ensemble_assets.foundation.errors import GateRefusal, UnusableInput
from fr_ensemble_assets.foundation.trouble import StorageTrouble, trouble_in

if TYPE_CHECKING:
    import dagster as dg

#: As which Dagster reports a Ctrl-C that came during a step.
_INTERRUPTS = frozenset({"DagsterExecutionInterruptedError", "KeyboardInterrupt"})


def raise_refusals(events: Iterable[dg.DagsterEvent]) -> None:
    """Raise interrupts, what our code refused, and blocking checks on the corpus as our errors.

    Raises
    ------
    KeyboardInterrupt
        If a step was interrupted.
    UnusableInput
        If a step refused its input, or the corpus fails a blocking check.
    GateRefusal
        If a step refused to build what only a PROMOTE may build.
    StorageTrouble
        If disk or database failed under a step.
    """
    for event in events:
        if event.event_type_value == "STEP_FAILURE":
            _raise_failure(event)
        if event.event_type_value == "ASSET_CHECK_EVALUATION":
            _raise_check(event)


def first_failure(events: Iterable[dg.DagsterEvent]) -> str | None:
    """Dagster's account of the first step that failed."""
    for event in events:
        if event.event_type_value == "STEP_FAILURE" and event.step_failure_data.error:
            return str(event.step_failure_data.error.to_string()).strip()
    return None


def _raise_failure(event: dg.DagsterEvent) -> None:
    failure = event.step_failure_data
    if failure.error is not None and failure.error.cls_name in _INTERRUPTS:
        raise KeyboardInterrupt
    told = failure.user_failure_data
    if told is not None and REFUSAL in told.metadata:
        if told.metadata[REFUSAL].value == TROUBLE:
            raise StorageTrouble(told.description)
        unusable = told.metadata[REFUSAL].value == UNUSABLE_INPUT
        raise (UnusableInput if unusable else GateRefusal)(told.description)
    trouble = trouble_in(failure.error.to_string()) if failure.error is not None else None
    if trouble is not None:
        raise trouble


def _raise_check(event: dg.DagsterEvent) -> None:
    check = event.asset_check_evaluation_data
    if check.asset_key.path == ["corpus"] and check.blocking and not check.passed:
        next_step = check.metadata["next_step"].value
        raise UnusableInput(f"corpus check '{check.check_name}': {check.description}; {next_step}.")
