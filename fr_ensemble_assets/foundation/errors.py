"""The two ways in which work is refused, each with one sentence for the person who reads it."""

from __future__ import annotations


class UnusableInput(Exception):
    """Input that can't be worked with: the command line ends with exit code 2.

    The message is one sentence that says where, what was expected, what was found and what to do.
    """


class GateRefusal(Exception):
    """The gate does not let the ensemble through: the command line ends with exit code 1.

    Raised by whatever would build something that only a PROMOTE may build (ADR-0303).
    """
