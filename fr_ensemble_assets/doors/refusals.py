"""Our refusals as Dagster failures: one sentence in the UI, and never a retry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from fr_ensemble_assets.foundation.errors import GateRefusal, UnusableInput
from fr_ensemble_assets.foundation.trouble import StorageTrouble

#: The metadata entry by which the command line tells refusals from crashes.
REFUSAL = "refusal"
UNUSABLE_INPUT = "unusable input"
GATE_HOLD = "gate says HOLD"
TROUBLE = "trouble that is nobody's input"
_KINDS: dict[type[Exception], str] = {UnusableInput: UNUSABLE_INPUT, GateRefusal: GATE_HOLD}


@contextmanager
def refusals_as_failures() -> Iterator[None]:
    """Turn our refusals, and troubles that have a sentence already, into failures without retry."""
    try:
        yield
    except (UnusableInput, GateRefusal, StorageTrouble) as error:
        kind = _KINDS.get(type(error), TROUBLE)
        raise dg.Failure(
            description=str(error), metadata={REFUSAL: kind}, allow_retries=False
        ) from error
