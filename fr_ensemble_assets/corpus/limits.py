"""How much one file may hold: settings, so that a small file can't fill memory or take hours."""

from __future__ import annotations

import os
from dataclasses import dataclass

from upath import UPath

from fr_ensemble_assets.foundation.errors import UnusableInput

#: Up to this size a ratio says nothing: a few equal rows pack very well.
_RATIO_FROM_BYTES = 32 << 20


@dataclass(frozen=True)
class Limits:
    """Each can be set by the environment variable that is named beside it.

    Attributes
    ----------
    unpacked_mb
        ``FR_ENSEMBLE_MAX_UNPACKED_MB``. Of text in a gzip, or of columns in Parquet. 4 GB are some
        16 million rows, 500 times the larger reference corpus, and fill a machine's memory.
    gzip_ratio
        ``FR_ENSEMBLE_MAX_GZIP_RATIO``: unpacked to packed bytes. Real corpora have 8, one of black
        frames alone has 65; gzip's own limit, which zeros reach, is 1032.
    rows
        ``FR_ENSEMBLE_MAX_ROWS``, of any file.
    blank_lines
        ``FR_ENSEMBLE_MAX_BLANK_LINES``, of any file.
    """

    unpacked_mb: int = 4000
    gzip_ratio: int = 200
    rows: int = 20_000_000
    blank_lines: int = 1_000_000

    @classmethod
    def from_environment(cls) -> Limits:
        """The limits in force.

        Raises
        ------
        UnusableInput
            If a variable is no whole number from 1.
        """
        return cls(**{name: _number(_variable(name), getattr(cls, name)) for name in _NAMES})

    def require_unpacked(self, path: UPath, n_bytes: int) -> None:
        """Raise :class:`UnusableInput` if that much is too much."""
        if n_bytes > self.unpacked_mb * 10**6:
            raise _too_much(path, "MB unpacked", f"over {self.unpacked_mb}", self, "unpacked_mb")

    def require_ratio(self, path: UPath, unpacked: int, packed: int) -> None:
        """The same for what a gzip has unpacked to so far."""
        if unpacked > max(_RATIO_FROM_BYTES, self.gzip_ratio * packed):
            ratio = f"{unpacked / max(packed, 1):.0f}"
            raise _too_much(path, "times its packed size in a gzip", ratio, self, "gzip_ratio")

    def require_rows(self, path: UPath, n_rows: int) -> None:
        """The same for rows."""
        if n_rows > self.rows:
            raise _too_much(path, "rows", f"over {self.rows}", self, "rows")

    def require_blank_lines(self, path: UPath, n_lines: int) -> None:
        """The same for lines without a row."""
        if n_lines > self.blank_lines:
            raise _too_much(path, "blank lines", f"over {self.blank_lines}", self, "blank_lines")


_NAMES = tuple(Limits.__dataclass_fields__)


def _too_much(path: UPath, what: str, found: str, limits: Limits, name: str) -> UnusableInput:
    return UnusableInput(
        f"{path}: expected at most {getattr(limits, name)} {what}, found {found}; if the file is "
        f"meant to be so, cut it into shards or set {_variable(name)} higher."
    )


def _variable(name: str) -> str:
    return f"FR_ENSEMBLE_MAX_{name.upper()}"


def _number(variable: str, default: int) -> int:
    text = os.environ.get(variable)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and int(text[:18]) > 0):
        raise UnusableInput(f"{variable}: expected a whole number from 1, found {text[:40]!a}.")
    return int(text[:18])
