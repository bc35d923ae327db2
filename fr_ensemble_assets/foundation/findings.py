"""What a rule of any room finds; the doors show it as a check's result."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One rule, held against what there is.

    Attributes
    ----------
    passed
        Whether the rule holds.
    observed
        What was measured, with its unit: "96 rows".
    threshold
        What the rule asks for, in the same words.
    next_step
        What a person does about it.
    """

    passed: bool
    observed: str
    threshold: str
    next_step: str
