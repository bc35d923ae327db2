"""Planning cells: a file in, valid cells in canonical order out, or one sentence why not."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from upath import UPath

from fr_ensemble_assets.contract.agreed import CODECS
from fr_ensemble_assets.corpus.identity import content_sha256
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.schema import (
    CANONICAL_6,
    PRESET,
    TARGET,
    VMAF_MAX,
)
from fr_ensemble_assets.predictors.cell_file import CellRow, read_rows
from fr_ensemble_assets.predictors.cell_schema import (
    CELL_COLUMNS,
    CELL_KEY,
    CELL_RULES,
    CELL_TEXT,
    GEOMETRY,
    SIZE,
    cell_expected,
)

# Part of what is hashed: another way to hash must never give the same name to other cells.
_DOMAIN = b"fr-ensemble planning cells, hash version 1\n"
#: Of the clips of the bundled corpus; see PROVENANCE.md beside it.
BUNDLED_CELLS = UPath(Path(__file__).parent / "bundled" / "planning_cells.csv.gz")


@dataclass(frozen=True)
class Cells:
    """Valid cells in canonical order: by source, encoder, quality.

    Attributes
    ----------
    sha256
        Over the canonical content, whatever file, order or format it came from.
    frame
        One row an encode: the contract's columns, optional ones only where some row has them.
    curves
        What was interpolated of these very cells, by encoder and sources: it takes a while, and is
        asked for again.
    """

    sha256: str
    frame: pd.DataFrame
    curves: dict[tuple[str, tuple[str, ...]], object] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Cells:
        """Valid rows, put in order and named by their content."""
        ordered = _canonical_order(frame)
        named = hashlib.sha256(_DOMAIN + content_sha256(ordered).encode())
        return cls(named.hexdigest(), ordered)

    @cached_property
    def encoders(self) -> tuple[str, ...]:
        """Encoders with cells, in the vocabulary's order."""
        found = set(self.frame["encoder"])
        return tuple(name for name in CODECS if name in found)

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """Distinct ``src``, sorted."""
        return tuple(sorted(self.frame["src"].unique()))

    def of_encoder(self, encoder: str) -> pd.DataFrame:
        """The encoder's rows, by source and quality."""
        return self.frame[self.frame["encoder"] == encoder].reset_index(drop=True)

    def without(self, sources: Sequence[str]) -> Cells:
        """The cells of all other sources."""
        return Cells.of(self.frame[~self.frame["src"].isin(sources)])

    def preset_of(self, encoder: str) -> str | None:
        """The one preset of the encoder's cells; ``None`` where it was not recorded."""
        if PRESET not in self.frame:
            return None
        known = self.of_encoder(encoder)[PRESET].dropna()
        return str(known.iloc[0]) if len(known) else None


@dataclass(frozen=True)
class CellReading:
    """Cells and what became of everything that was read for them.

    Attributes
    ----------
    cells
        What remains.
    rows_read
        Rows in the file.
    repeats_dropped
        Rows that repeat another one exactly.
    failed_dropped
        Rows of encodes that failed, by their exit status.
    extra_keys
        Keys outside the contract: kept out.
    """

    cells: Cells
    rows_read: int
    repeats_dropped: int
    failed_dropped: int
    extra_keys: tuple[str, ...]


def read_cells(path: UPath) -> CellReading:
    """Read JSON Lines or CSV, plain or gzipped, one row an encode.

    Raises
    ------
    UnusableInput
        Rows of frames, a missing column, a wrong type, NaN or infinity, VMAF outside 0..100, an
        encoder outside the vocabulary, two presets of one encoder, a clip with two sizes, the
        same encode with other values, one clip under two names, nothing left.
    """
    rows, extra = read_rows(path)
    sound = [row for row in rows if not row.failed]
    if not sound:
        raise UnusableInput(
            f"{path}: expected cells, found {len(rows)} rows, all of encodes that failed."
        )
    frame = pd.DataFrame([row.values for row in sound], columns=list(CELL_COLUMNS))
    for column in CELL_COLUMNS:
        frame[column] = frame[column].astype("str" if column in CELL_TEXT else "float64")
    _require_valid(frame, sound)
    _require_known_encoders(frame, sound)
    _require_one(frame, sound, ("encoder",), (PRESET,))
    _require_one(frame, sound, ("src",), GEOMETRY)
    kept = frame.drop_duplicates()
    clash = kept[kept.duplicated(list(CELL_KEY), keep=False)]
    _require_one(clash, sound, CELL_KEY, CELL_COLUMNS)
    _require_distinct_sources(kept, path)
    return CellReading(
        cells=Cells.of(kept),
        rows_read=len(rows),
        repeats_dropped=len(frame) - len(kept),
        failed_dropped=len(rows) - len(sound),
        extra_keys=tuple(sorted(extra)),
    )


def joined(readings: Sequence[CellReading]) -> CellReading:
    """The cells of several files that have no clip in common, as if they were one.

    Raises
    ------
    UnusableInput
        If an encoder has another preset in one of them, or one clip lies in two under two names.
    """
    frame = pd.concat([reading.cells.frame for reading in readings], ignore_index=True)
    rows = [
        CellRow(f"planning cells of '{src}'", {}, failed=False) for src in frame["src"].tolist()
    ]
    if PRESET in frame:
        _require_one(frame, rows, ("encoder",), (PRESET,))
    _require_distinct_sources(frame, "planning_cells")
    return CellReading(
        cells=Cells.of(frame),
        rows_read=sum(reading.rows_read for reading in readings),
        repeats_dropped=sum(reading.repeats_dropped for reading in readings),
        failed_dropped=sum(reading.failed_dropped for reading in readings),
        extra_keys=tuple(sorted({key for reading in readings for key in reading.extra_keys})),
    )


def _canonical_order(frame: pd.DataFrame) -> pd.DataFrame:
    kept = [c for c in CELL_COLUMNS if c in frame and not frame[c].isna().all()]
    ordered = frame[kept].sort_values(list(CELL_KEY), kind="stable").reset_index(drop=True)
    for column in kept:
        if column == SIZE:
            ordered[column] = ordered[column].astype("int64")
        elif column not in CELL_TEXT:
            ordered[column] = ordered[column] + 0.0  # -0.0 equals 0.0 and has other bytes
    return ordered


def _require_valid(frame: pd.DataFrame, rows: Sequence[CellRow]) -> None:
    broken = CELL_RULES.first_broken(frame)
    if broken is None:
        return
    row, column = broken
    raise UnusableInput(
        f"{rows[row].where}: expected column '{column}' to be {cell_expected(column)}, found "
        f"{frame[column].iloc[row]}."
    )


def _require_known_encoders(frame: pd.DataFrame, rows: Sequence[CellRow]) -> None:
    strange = np.flatnonzero(~frame["encoder"].isin(CODECS))
    if len(strange):
        raise UnusableInput(
            f"{rows[strange[0]].where}: expected an encoder of the vocabulary "
            f"({', '.join(CODECS)}), found '{frame['encoder'].iloc[strange[0]]}'."
        )


def _require_one(
    frame: pd.DataFrame, rows: Sequence[CellRow], key: Sequence[str], of: Sequence[str]
) -> None:
    """Within each ``key`` there is one value of each of ``of``; "not recorded" is one, too."""
    if len(frame[[*key, *of]].drop_duplicates()) == len(frame[[*key]].drop_duplicates()):
        return
    for name, group in frame.groupby(list(key), sort=True):
        for column in of:
            other = group[column].ne(group[column].iloc[0])
            other &= ~(group[column].isna() & pd.isna(group[column].iloc[0]))
            if other.any():
                first, second = group.index[0], group.index[other][0]
                raise UnusableInput(
                    f"{rows[second].where}: expected one '{column}' of "
                    f"{' '.join(str(part) for part in name)}, found "
                    f"{group[column].loc[second]} and, in {rows[first].where}, "
                    f"{group[column].loc[first]}; keep one of them."
                )


def _require_distinct_sources(frame: pd.DataFrame, path: UPath | str) -> None:
    """One clip under two names would be trained on and held out at once."""
    same = ["encoder", "cq", TARGET, *CANONICAL_6]
    # At 100 clips that are lossless alike may agree.
    told = frame[frame[TARGET] < VMAF_MAX]
    repeated = told[told.duplicated(same, keep=False)].sort_values([*same, "src"])
    if len(repeated):
        first, second = repeated.iloc[0], repeated.iloc[1]
        raise UnusableInput(
            f"{path}: expected distinct clips, found the scores and features of '{first['src']}' "
            f"with {first['encoder']} at {first['cq']:g} under the name '{second['src']}', too; "
            "drop one of them."
        )


def ladder(frame: pd.DataFrame, source: str) -> pd.DataFrame:
    """One source's rows of one encoder, by ascending quality."""
    return frame[frame["src"] == source].sort_values("cq", kind="stable")


def bits_per_pixel(frame: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Bits of the encode for each pixel of each frame; shape (n,)."""
    pixels = frame["width"] * frame["height"] * frame["frames"]
    return (frame[SIZE] * 8.0 / pixels).to_numpy(dtype=np.float64)
