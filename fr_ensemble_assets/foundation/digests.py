"""What a sha256 looks like, wherever one enters: versions, tags, options, names of folders."""

from __future__ import annotations

import re

from fr_ensemble_assets.foundation.errors import UnusableInput

_DIGEST = re.compile(r"[0-9a-f]{64}")
_TOLD_CHARACTERS = 64


def is_digest(text: str) -> bool:
    """Whether it is 64 lowercase hex digits, and nothing else: it becomes part of a path."""
    return _DIGEST.fullmatch(text) is not None


def require_digest(text: str, where: str) -> str:
    """``text``, which is a sha256.

    Raises
    ------
    UnusableInput
        If it isn't; ``where`` says what it was to be.
    """
    if not is_digest(text):
        raise UnusableInput(
            f"{where}: expected a sha256, 64 of the digits 0-9a-f, found "
            f"{text[:_TOLD_CHARACTERS]!r}; name a corpus as `fr-ensemble status` shows it."
        )
    return text
