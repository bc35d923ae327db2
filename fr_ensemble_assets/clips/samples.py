"""Samples of a clip that is too long to be encoded whole while somebody waits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from fr_ensemble_assets.clips.clip import KNOWN_FORMATS, Clip, parse_rate, read_clip
from fr_ensemble_assets.clips.ffmpeg import GENERAL, Children, Ffmpeg
from fr_ensemble_assets.foundation.errors import UnusableInput

#: A clip is sampled if it is longer than the samples together by this factor.
_WORTH_SAMPLING = 2.0
_SHORTEST_S = 0.2


@dataclass(frozen=True)
class Sampling:
    """How a long clip is sampled; ``count`` 0 never samples."""

    count: int = 5
    seconds: float = 4.0

    def __post_init__(self) -> None:
        if self.count < 0 or self.count == 1:
            raise UnusableInput(
                f"--samples: expected 2 or more, or 0 for the whole clip, found {self.count}; "
                "one sample doesn't say how far off it is."
            )
        if not _SHORTEST_S <= self.seconds < float("inf"):
            raise UnusableInput(
                f"--sample-seconds: expected {_SHORTEST_S:g} or more, found {self.seconds:g}."
            )

    def samples(self, seconds: float | None) -> bool:
        """Whether a clip of so many seconds is sampled; one of unknown length never is."""
        if seconds is None or not self.count:
            return False
        return seconds > _WORTH_SAMPLING * self.count * self.seconds

    def starts(self, seconds: float) -> tuple[float, ...]:
        """Where samples begin: each in the middle of its part of the clip."""
        part = seconds / self.count
        return tuple((n + 0.5) * part - self.seconds / 2 for n in range(self.count))


def seconds_of(ffmpeg: Ffmpeg, children: Children, path: Path) -> float | None:
    """How long the container says that the clip is; ``None`` where it doesn't.

    Only decides about sampling: it is never taken for the number of frames.
    """
    said = _said(ffmpeg, children, path)
    found = re.search(r"^  Duration: (\d+):(\d\d):(\d\d\.\d+),", said, re.MULTILINE)
    return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3]) if found else None


def cut(
    ffmpeg: Ffmpeg, children: Children, path: Path, sampling: Sampling, seconds: float, folder: Path
) -> tuple[Clip, ...]:
    """The samples, cut without loss into ``folder``.

    Raises
    ------
    UnusableInput
        If ffmpeg can't read the clip there, or a sample turns out empty.
    """
    rate = re.search(
        r"^  Stream #0.*: Video: .*?, ([\d.]+) fps", _said(ffmpeg, children, path), re.M
    )
    clips = []
    for number, start in enumerate(sampling.starts(seconds)):
        target = folder / f"{path.stem}-{number}.mkv"
        done = children.run(
            [
                *(str(ffmpeg.path), *GENERAL, "-xerror", "-ss", f"{start:.3f}"),
                *(*KNOWN_FORMATS, "-i", f"file:{path.absolute()}", "-map", "0:v:0"),
                *("-t", f"{sampling.seconds:g}", "-fps_mode", "passthrough"),
                *("-c:v", "ffv1", "-level", "3", "-g", "1", str(target)),
            ]
        )
        if done.returncode != 0:
            raise UnusableInput(
                f"{path}: expected a video that can be sampled at {start:.1f} s, found that it "
                f"can't: {done.last_words}"
            )
        try:
            clips.append(read_clip(ffmpeg, children, target, None, _usable_rate(rate)))
        except UnusableInput as error:
            raise UnusableInput(f"{path}, sample at {start:.1f} s: {error}") from error
    return tuple(clips)


def _said(ffmpeg: Ffmpeg, children: Children, path: Path) -> str:
    asked = [str(ffmpeg.path), "-nostdin", "-hide_banner", *KNOWN_FORMATS]
    return children.run([*asked, "-i", f"file:{path.absolute()}"]).stderr


def _usable_rate(said: re.Match[str] | None) -> str:
    """The clip's rate, as text; empty where its samples have to say it themselves."""
    try:
        return str(parse_rate(said[1])) if said else ""
    except UnusableInput:
        return ""
