"""The two ways in which work is refused, each with one sentence for the person who reads it."""

from __future__ import annotations

from fr_ensemble_assets.foundation.wording import MESSAGE_LIMIT, shown


class _Refusal(Exception):
    """One printable line, whatever the text was made of: the last guard before a terminal."""

    def __init__(self, message: object) -> None:
        super().__init__(shown(message, MESSAGE_LIMIT))


class UnusableInput(_Refusal):
    """Input that can't be worked with: the command line ends with exit code 2.

    The message is one sentence that says where, what was expected, what was found and what to do.
    """


class GateRefusal(_Refusal):
    """The gate does not let the ensemble through: the command line ends with exit code 1.

    Raised by whatever would build something that only a PROMOTE may build (ADR-0303).
    """
