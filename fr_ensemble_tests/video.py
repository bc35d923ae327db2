"""Small real clips, and ffmpeg called by hand."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from fr_ensemble_assets.clips.clip import Clip, RawVideo, read_clip
from fr_ensemble_assets.clips.ffmpeg import Children, Ffmpeg
from fr_ensemble_assets.encodes.encoders import ENCODERS

FRAMES = 12
X264 = ENCODERS["libx264"]
MakeClip = Callable[..., Path]


def call(ffmpeg: Ffmpeg, *arguments: str) -> None:
    command = [str(ffmpeg.path), "-nostdin", "-y", "-loglevel", "error", *arguments]
    subprocess.run(command, check=True)


def look(ffmpeg: Ffmpeg, path: Path, raw: RawVideo | None = None, rate: str = "") -> Clip:
    with Children() as children:
        return read_clip(ffmpeg, children, path, raw, rate)
