"""One clip under two names: trained on while it is held out, it makes any figure look good.

Certain twins make a corpus unfit; likely ones are a warning. What is compared, and why it can't be
chance (``fr_ensemble_tests/corpus/test_twins.py`` shows each rate on the bundled corpus):

- **names**, after Unicode's NFKC and case folding, without white space, what doesn't print and a
  video's ending: two that a person takes for one must be told apart by their names too;
- **rows**: all but the name equal, VMAF included;
- **motion values**: ``motion2`` depends on the reference alone and is the same in all encodes of
  a source, so half of its values found again in another source, whatever the frames' numbers,
  encoders or qualities, is the same clip (no value of 273 is shared among the bundled sources);
- **features** in rows of the same encoder, quality and frame, but for noise (pairs of distinct
  bundled clips differ by 0.027 or more, by 0.0097 in the mildest encodes alone; twins by 0.005);
- **motion over time** (:mod:`~fr_ensemble_assets.corpus.trajectories`): the same at some lag is a
  twin; alike is a likely one: re-encoded, cropped, shifted. No pair of distinct bundled clips is.

What it can't tell: a clip that stands still in two disjoint sets of encodes, and rows made up so
that they differ.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from fr_ensemble_assets.corpus.trajectories import SOURCES_MAX, moving_alike
from fr_ensemble_assets.foundation.schema import CANONICAL_6, PRESET, TARGET
from fr_ensemble_assets.foundation.wording import shown

_MOTION = "motion2"
_PICTURE = tuple(feature for feature in CANONICAL_6 if feature != _MOTION)
#: What makes two sources the same rows.
_CONTENT = ("encoder", "cq", "frame_index", TARGET, *CANONICAL_6)
_ENDING = re.compile(
    r"\.(mkv|mp4|m4v|mov|avi|webm|y4m|yuv|ts|m2ts|mpg|mpeg|ivf|264|265|h264|h265|obu|hevc)$"
)

#: libvmaf writes six decimals; two values this near are one measurement, printed twice.
_VALUE_TOLERANCE = 5e-6
#: Values with fewer decimals were rounded, and coincide by chance.
_VALUE_DECIMALS = 4
_VALUES_MIN, _VALUES_SHARE, _VALUES_OVERLAP = 4, 0.5, 0.2
#: Root mean square difference of the five picture features, absolute and as a share of their
#: spread over the compared rows (distinct bundled clips: 0.26 or more).
_FEATURE_RMS, _FEATURE_SHARE = 0.005, 0.15
#: Features that vary less are saturated, and say nothing of the clip.
_FEATURE_SPREAD = 1e-3
_FEATURE_ROWS, _FEATURE_ROWS_SHARE = 8, 0.1
#: A row is held against so many neighbours of its own encoder, quality and frame.
_NEIGHBOURS = 3

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]
_Pairs = Iterable[tuple[int, int]]


@dataclass(frozen=True)
class Twin:
    """Two sources that are, or look like, one clip; ``how`` completes "'other' ... 'one'"."""

    one: str
    other: str
    how: str

    def describe(self) -> str:
        """The pair, and why it is one, as the end of a sentence."""
        one = f"'{shown(self.one)}'"
        return f"'{shown(self.other)}' {self.how.format(one)}"


@dataclass(frozen=True)
class Twins:
    """What was found.

    Attributes
    ----------
    certain
        Each source that is another one's copy, once.
    likely
        The same for what only looks like one.
    searched
        Whether likely ones were looked for: not among more than 2,000 sources.
    """

    certain: tuple[Twin, ...]
    likely: tuple[Twin, ...]
    searched: bool


def find_twins(frame: pd.DataFrame, sources: Sequence[str], source: npt.NDArray[np.int32]) -> Twins:
    """Look for sources that are one clip.

    Parameters
    ----------
    frame
        Valid rows of a corpus.
    sources, source
        The distinct names, and each row's number among them; shape (n_rows,).
    """
    code = source.astype(np.int64)
    by_value, by_overlap = _by_motion_values(*(moving := _motion_of_frames(frame, code)))
    matches = moving_alike(*moving, len(sources))
    groups = _Groups(sources)
    groups.join(_by_rows(frame, code), "is {} under another name")
    groups.join(_by_name(sources), "is {} but for case, white space or ending of its name")
    groups.join(by_value, "has the motion of {}, value for value")
    groups.join(_by_features(frame, code), "has the features of {} in the same encodes")
    groups.join(((m.one, m.other) for m in matches if m.same), "has the motion of {}")
    certain = groups.take()
    groups.join(by_overlap, "shares some of its motion with {}")
    groups.join(((m.one, m.other) for m in matches), "moves like {}")
    return Twins(certain, groups.take(), len(sources) <= SOURCES_MAX)


class _Groups:
    """Sources found to be one clip, joined step by step; tells each joining once."""

    def __init__(self, sources: Sequence[str]) -> None:
        self._sources = sources
        self._root = list(range(len(sources)))
        self._told: list[Twin] = []

    def join(self, pairs: _Pairs, how: str) -> None:
        for one, other in sorted(pairs):
            first, second = self._find(one), self._find(other)
            if first != second:
                self._root[max(first, second)] = min(first, second)
                self._told.append(Twin(self._sources[one], self._sources[other], how))

    def take(self) -> tuple[Twin, ...]:
        taken, self._told = tuple(self._told), []
        return taken

    def _find(self, number: int) -> int:
        while self._root[number] != number:
            self._root[number] = self._root[self._root[number]]
            number = self._root[number]
        return number


# --- names and rows --------------------------------------------------------------------------


def normal_name(name: str) -> str:
    """A name without what the eye passes over."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    seen = "".join(c for c in folded if c.isprintable() and not c.isspace())
    return _ENDING.sub("", seen) or name


def _by_name(sources: Sequence[str]) -> _Pairs:
    first: dict[str, int] = {}
    found = ((first.setdefault(normal_name(name), n), n) for n, name in enumerate(sources))
    return [(one, other) for one, other in found if one != other]


def _by_rows(frame: pd.DataFrame, code: _Ints) -> _Pairs:
    hashes = pd.util.hash_pandas_object(frame[[*_CONTENT]], index=False).to_numpy()
    sums = np.zeros(int(code.max()) + 1, dtype=np.uint64)
    np.add.at(sums, code, hashes)
    first: dict[tuple[int, int], int] = {}
    found = (
        (first.setdefault((int(rows), int(content)), n), n)
        for n, (rows, content) in enumerate(zip(np.bincount(code), sums, strict=True))
    )
    return [(one, other) for one, other in found if one != other]


# --- motion values ---------------------------------------------------------------------------


def _motion_of_frames(frame: pd.DataFrame, code: _Ints) -> tuple[_Ints, _Ints, _Floats]:
    """``motion2`` of each source's frames: the mean over its encodes, equal but for noise."""
    numbers, at = np.unique(frame["frame_index"].to_numpy(dtype=np.int64), return_inverse=True)
    cells, row = np.unique(code * len(numbers) + at, return_inverse=True)
    motion = frame[_MOTION].to_numpy(dtype=np.float64)
    sums = np.bincount(row, weights=motion, minlength=len(cells))
    first = np.zeros(len(cells))
    first[row[::-1]] = motion[::-1]
    # The mean of equal numbers may differ from them in its last digit.
    count = np.bincount(row, minlength=len(cells))
    mean = np.where(np.abs(sums / count - first) < _VALUE_TOLERANCE, first, sums / count)
    return cells // len(numbers), numbers[cells % len(numbers)], mean


def _by_motion_values(source: _Ints, _frame: _Ints, motion: _Floats) -> tuple[_Pairs, _Pairs]:
    """Pairs that share most of their values, and pairs that share some."""
    moving = motion > 0
    source, motion = source[moving], motion[moving]
    fine = np.abs(motion - motion.round(_VALUE_DECIMALS)) > 1e-9
    if not len(motion) or fine.mean() < 0.5:
        return [], []
    order = np.lexsort((motion, source))
    source, motion = source[order], motion[order]
    repeats = np.r_[False, (np.diff(source) == 0) & (np.diff(motion) <= _VALUE_TOLERANCE)]
    source, motion = source[~repeats], motion[~repeats]
    distinct = np.bincount(source)
    order = np.argsort(motion, kind="stable")
    source, motion = source[order], motion[order]
    shared: Counter[tuple[int, int]] = Counter()
    for k in range(1, _NEIGHBOURS + 1):
        near = (motion[k:] - motion[:-k] <= _VALUE_TOLERANCE) & (source[k:] != source[:-k])
        shared.update(_ordered(source[:-k][near], source[k:][near]))
    most: list[tuple[int, int]] = []
    some: list[tuple[int, int]] = []
    for (one, other), values in shared.items():
        share = values / min(distinct[one], distinct[other])
        if values >= _VALUES_MIN and share >= _VALUES_OVERLAP:
            (most if share >= _VALUES_SHARE else some).append((one, other))
    return most, some


def _ordered(one: _Ints, other: _Ints) -> Iterable[tuple[int, int]]:
    low, high = np.minimum(one, other).tolist(), np.maximum(one, other).tolist()
    return zip(low, high, strict=True)


# --- features --------------------------------------------------------------------------------


def _by_features(frame: pd.DataFrame, code: _Ints) -> _Pairs:
    """Pairs whose rows of the same encode and frame have the same picture features.

    Rows are sorted by encode, frame and the sum of their features, and held against their next
    neighbours alone: linear in rows. Pairs that meet so often enough are compared in full.
    """
    keys = ["encoder", "cq", "frame_index", *([PRESET] if PRESET in frame else [])]
    cell = frame.groupby(keys, sort=False, dropna=False).ngroup().to_numpy(dtype=np.int64)
    picture = frame[list(_PICTURE)].to_numpy(dtype=np.float64)
    order = np.lexsort((picture.sum(axis=1), cell))
    met: Counter[tuple[int, int]] = Counter()
    for k in range(1, _NEIGHBOURS + 1):
        a, b = order[:-k], order[k:]
        a, b = (side[(cell[a] == cell[b]) & (code[a] != code[b])] for side in (a, b))
        with np.errstate(invalid="ignore"):  # infinities are another check's to refuse
            near = (np.abs(picture[a] - picture[b]) <= _FEATURE_RMS).all(axis=1)
        met.update(_ordered(code[a[near]], code[b[near]]))
    rows = np.bincount(code)
    starts = np.r_[0, np.cumsum(rows)]
    by_source = np.argsort(code, kind="stable")
    found = []
    for (one, other), meetings in met.items():
        if meetings >= max(3, _FEATURE_ROWS_SHARE * min(rows[one], rows[other])):
            i, j = (by_source[starts[n] : starts[n + 1]] for n in (one, other))
            _, at_i, at_j = np.intersect1d(cell[i], cell[j], return_indices=True)
            if _same_picture(picture[i[at_i]], picture[j[at_j]]):
                found.append((one, other))
    return found


def _same_picture(one: _Floats, other: _Floats) -> bool:
    if len(one) < _FEATURE_ROWS:
        return False
    rms = float(np.sqrt(np.mean((one - other) ** 2)))
    spread = float(np.sqrt(np.mean(one.var(axis=0))))
    return spread >= _FEATURE_SPREAD and rms <= min(_FEATURE_RMS, _FEATURE_SHARE * spread)
