"""Which encodes are made of which clips: encoders times qualities, a cell each."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fr_ensemble_assets.clips.clip import Clip
from fr_ensemble_assets.encodes.encoders import Encoder
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.wording import shown

#: The teacher: what libvmaf calls it.
TEACHER = "vmaf_v0.6.1"
#: Part of a cell's identity: another way to encode or score must never pass for this one.
_CELL_VERSION = 1
_NUMBER = r"[0-9]{1,9}(\.[0-9]{1,9})?"
_RANGE = re.compile(rf"(?P<first>{_NUMBER})(-(?P<last>{_NUMBER})(:(?P<step>{_NUMBER}))?)?")
_WIDEST = 1000


@dataclass(frozen=True)
class Grid:
    """What is made of every clip.

    Attributes
    ----------
    qualities
        For each encoder, in the order in which they were asked for.
    frames
        Encode and score only so many from a clip's start; 0 for all.
    every
        Keep every so manyeth scored frame in the corpus: neighbours are nearly copies.
    """

    qualities: Mapping[Encoder, tuple[float, ...]]
    frames: int = 0
    every: int = 1

    def __post_init__(self) -> None:
        if self.frames < 0:
            raise UnusableInput(f"--frames: expected 1 or more, found {self.frames}.")
        if self.every < 1:
            raise UnusableInput(f"--every: expected 1 or more, found {self.every}.")

    @property
    def size(self) -> int:
        """Cells of one clip."""
        return sum(map(len, self.qualities.values()))

    def frames_of(self, clip: Clip) -> int:
        """How many of the clip's frames are encoded and scored."""
        return min(self.frames or clip.frames, clip.frames)

    def to_json(self) -> dict[str, Any]:
        return {
            "qualities": {encoder.name: list(q) for encoder, q in self.qualities.items()},
            "frames": self.frames,
            "every": self.every,
            "teacher": TEACHER,
        }


@dataclass(frozen=True)
class Cell:
    """One encode of one clip.

    Attributes
    ----------
    frames
        How many are encoded and scored.
    """

    clip: Clip
    encoder: Encoder
    quality: float
    frames: int

    @property
    def name(self) -> str:
        """As people are told of it."""
        return f"{self.clip.src} {self.encoder.name} {self.quality:g}"

    @property
    def work(self) -> float:
        """How much it costs, in frames of x264 at 576x324."""
        pixels = self.clip.width * self.clip.height / (576 * 324)
        return self.encoder.cost * self.frames * pixels

    def identity(self, ffmpeg_version: str) -> dict[str, Any]:
        """Everything that its rows depend on."""
        return {
            "cell_version": _CELL_VERSION,
            "clip": self.clip.identity(),
            "encoder": self.encoder.name,
            "quality": self.quality,
            "preset": self.encoder.default_preset,
            "arguments": list(self.encoder.encoding(self.quality, self.clip.reference_format)),
            "conversion": list(self.clip.conversion),
            "frames": self.frames,
            "teacher": TEACHER,
            "ffmpeg": ffmpeg_version,
        }

    def digest(self, ffmpeg_version: str) -> str:
        """Sixteen hex digits that tell this cell from any other."""
        text = json.dumps(self.identity(ffmpeg_version), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def cells_of(clip: Clip, grid: Grid) -> list[Cell]:
    """The clip's cells, encoder by encoder, slow ones first so that none is left for the end."""
    return [
        Cell(clip, encoder, quality, grid.frames_of(clip))
        for encoder in sorted(grid.qualities, key=lambda encoder: -encoder.cost)
        for quality in grid.qualities[encoder]
    ]


def parse_qualities(text: str, encoders: Sequence[Encoder]) -> Mapping[Encoder, tuple[float, ...]]:
    """``19,25,31`` for all encoders, or ``libx264=19,25;libsvtav1=43,55`` for some of them.

    A range is written ``22-24``, or with a step ``19-37:6``. Encoders that aren't named keep the
    qualities that suit their scale.

    Raises
    ------
    UnusableInput
        If a value is no number, lies outside an encoder's scale, occurs twice, or an encoder is
        named that isn't among ``encoders``.
    """
    chosen = {encoder.name: encoder.qualities for encoder in encoders}
    text = text.strip()
    named: set[str] = set()
    for part in text.removesuffix(";").split(";") if "=" in text else []:
        name, _, values = part.partition("=")
        if name.strip() in named:
            raise UnusableInput(f"--qualities: expected '{name.strip()}' once, found it twice.")
        named.add(name.strip())
        if name.strip() not in chosen:
            raise UnusableInput(
                f"--qualities: expected some of {', '.join(chosen)}, found '{name.strip()}'."
            )
        chosen[name.strip()] = _numbers(values)
    if text and "=" not in text:
        chosen = dict.fromkeys(chosen, _numbers(text))
    for encoder in encoders:
        least, most = encoder.scale
        for quality in chosen[encoder.name]:
            if not least <= quality <= most:
                raise UnusableInput(
                    f"--qualities: expected {encoder.name}'s between {least:g} and {most:g}, found "
                    f"{quality:g}."
                )
            if not encoder.fractions and quality != int(quality):
                raise UnusableInput(
                    f"--qualities: expected whole numbers for {encoder.name}, found {quality:g}."
                )
    return {encoder: chosen[encoder.name] for encoder in encoders}


def _numbers(text: str) -> tuple[float, ...]:
    """Numbers, and ranges of whole steps between commas: ``19,22-24,30-40:5``."""
    numbers = tuple(number for part in text.split(",") for number in _range(part.strip(), text))
    if len({f"{number:g}" for number in numbers}) < len(numbers):
        raise UnusableInput(f"--qualities: expected each once, found '{shown(text)}'.")
    return numbers


def _range(part: str, text: str) -> list[float]:
    match = _RANGE.fullmatch(part)
    if match is None:
        raise UnusableInput(
            "--qualities: expected numbers such as 19,25,31,37 or ranges such as 22-24 or 20-40:5, "
            f"found '{shown(text)}'."
        )
    first = float(match["first"])
    if match["last"] is None:
        return [first]
    last, step = float(match["last"]), float(match["step"] or 1)
    if last < first or step <= 0:
        raise UnusableInput(
            "--qualities: expected a range from the smaller to the larger by a step above 0, found "
            f"'{shown(part)}'."
        )
    # No scale is wider: what is beyond it is refused by name, and a huge range costs nothing.
    steps = min(int((last - first) / step + 1e-9), _WIDEST)
    return [first + number * step for number in range(steps + 1)]
