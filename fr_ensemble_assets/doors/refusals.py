"""Our refusals as Dagster failures: one sentence in the UI, and never a retry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from fr_ensemble_assets.foundation.errors import GateRefusal, UnusableInput

#: The metadata entry by which the command line tells refusals from crashes.
REFUSAL = "refusal"
UNUSABLE_INPUT = "unusable input"
GATE_HOLD = "gate says HOLD"


@contextmanager
def refusals_as_failures() -> Iterator[None]:
    """Turn :class:`UnusableInput` and :class:`GateRefusal` into failures without retry."""
    try:
        yield
    except (UnusableInput, GateRefusal) as error:
        kind = UNUSABLE_INPUT if isinstance(error, UnusableInput) else GATE_HOLD
        raise dg.Failure(
            description=str(error), metadata={REFUSAL: kind}, allow_retries=False
        ) from error
