"""``make bench-video``: the naive way from a clip to its scores against ours, in turn.

Naive: encode, decode to raw video on disk, score with one thread, a cell after the other, each
encoder with as many threads as it likes. Ours: what ``fr-ensemble generate`` does. Both run the
same clip over the same grid, in turn, since a shared machine drifts; what counts is the ratio
within a round.

Writes ``docs/benchmark-video.md``.
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table
from upath import UPath

from benchmarks.training import DOCS, cpu_name, spread
from fr_ensemble_assets.clips.clip import Clip, read_clip
from fr_ensemble_assets.clips.ffmpeg import Children, Ffmpeg, find_ffmpeg
from fr_ensemble_assets.encodes.encoders import usable_encoders
from fr_ensemble_assets.encodes.generate import generate
from fr_ensemble_assets.encodes.grid import Cell, Grid, cells_of, parse_qualities
from fr_ensemble_assets.foundation.cores import cores

ROUNDS = 3
FRAMES = 40
SIZE = "576x324"
#: A sharp zoom with some noise: encoders find work in it, as in a real picture.
PICTURE = f"mandelbrot=size={SIZE}:rate=25:end_scale=0.05,noise=alls=6:allf=t,format=yuv420p"
#: Pins that ours sets and that nobody types by hand.
PINS = (
    *(("-threads", "1"), ("-svtav1-params", "lp=1")),
    ("-x265-params", "log-level=error:pools=1:frame-threads=1"),
)


@dataclass(frozen=True)
class Turn:
    """Seconds for all cells of the clip, and for those of each encoder, the naive way; and ours."""

    naive: float
    ours: float


def call(ffmpeg: Ffmpeg, folder: Path, *arguments: str) -> None:
    command = [str(ffmpeg.path), "-nostdin", "-y", "-loglevel", "error", *arguments]
    subprocess.run(command, check=True, cwd=folder, capture_output=True)


def unpinned(arguments: Sequence[str]) -> list[str]:
    kept = list(arguments)
    for option, value in PINS:
        if option in kept and kept[kept.index(option) + 1] == value:
            del kept[kept.index(option) : kept.index(option) + 2]
    return ["yuv420p10le" if part == "+yuv420p10le" else part.lstrip("+") for part in kept]


def naive_cell(ffmpeg: Ffmpeg, clip: Clip, cell: Cell, folder: Path) -> None:
    encode = f"encode{cell.encoder.container}"
    encoding = unpinned(cell.encoder.encoding(cell.quality, clip.reference_format))
    if cell.encoder.name == "libvpx-vp9":
        encoding += ["-row-mt", "1"]  # without it VP9 would leave the second core idle
    call(ffmpeg, folder, "-i", clip.path, *encoding, encode)
    call(ffmpeg, folder, "-i", encode, "-f", "rawvideo", "-pix_fmt", clip.reference_format, "o.yuv")
    raw = ("-f", "rawvideo", "-video_size", f"{clip.width}x{clip.height}", "-framerate", "25")
    raw = (*raw, "-pixel_format", clip.reference_format, "-i", "o.yuv")
    graph = (
        "[0:v]settb=1/25,setpts=N[d];[1:v]settb=1/25,setpts=N[r];"
        "[d][r]libvmaf=n_threads=1:log_fmt=json:log_path=o.json:shortest=1"
    )
    call(ffmpeg, folder, *raw, "-i", clip.path, "-lavfi", graph, "-f", "null", "-")


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def turn(ffmpeg: Ffmpeg, clip: Clip, grid: Grid) -> Turn:
    cells = cells_of(clip, grid)
    with tempfile.TemporaryDirectory() as folder, Children() as children:
        naive = seconds(lambda: [naive_cell(ffmpeg, clip, cell, Path(folder)) for cell in cells])
        kept = UPath(folder) / "cells"
        made = (ffmpeg, children, [clip], grid, kept, Path(folder) / "cells", cores())
        ours = seconds(lambda: generate(*made))
    return Turn(naive, ours)


def drawn_clip(ffmpeg: Ffmpeg, path: Path) -> Path:
    picture = ("-f", "lavfi", "-i", PICTURE, "-frames:v", str(FRAMES), "-c:v", "ffv1")
    call(ffmpeg, path.parent, *picture, str(path))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="*", type=Path, help="clips instead of a drawn one")
    paths = parser.parse_args().clips
    ffmpeg = find_ffmpeg()
    grid = Grid(parse_qualities("", usable_encoders(ffmpeg, "")))
    with tempfile.TemporaryDirectory() as folder, Children() as children:
        paths = paths or [drawn_clip(ffmpeg, Path(folder) / "drawn.mkv")]
        clips = [read_clip(ffmpeg, children, path, raw=None) for path in paths]
        rounds = track(
            [clip for clip in clips for _ in range(ROUNDS)], "naive, ours, naive, ours …"
        )
        turns = [(clip, turn(ffmpeg, clip, grid)) for clip in rounds]
    lines = [
        "# What making a corpus costs",
        "",
        "For whoever wants to know how long a corpus takes.",
        "",
        f"`make bench-video`, {datetime.date.today()}, {cores()} cores of {cpu_name()}, "
        f"ffmpeg {ffmpeg.version}, {ROUNDS} rounds in turn; medians, and the range over the rounds "
        f"in brackets. Each clip over {grid.size} cells: "
        f"{', '.join(encoder.name for encoder in grid.qualities)} at four qualities each.",
        "",
        "| clip | naive, frames a second | ours, frames a second | **ours is faster by** |",
        "| --- | ---: | ---: | ---: |",
    ]
    for clip in clips:
        of_clip = [measured for other, measured in turns if other is clip]
        frames = clip.frames * grid.size
        ratio = [measured.naive / measured.ours for measured in of_clip]
        lines.append(
            f"| {clip.src}, {clip.width}x{clip.height} "
            f"| {statistics.median(frames / t.naive for t in of_clip):.0f} "
            f"| {statistics.median(frames / t.ours for t in of_clip):.0f} "
            f"| **{spread(ratio, 2)} times** |"
        )
    page = "\n".join([*lines, ""])
    (DOCS / "benchmark-video.md").write_text(page)
    table = Table("clip", "naive", "ours", "ratio")
    for line in lines[6:]:
        table.add_row(*(cell.strip(" *") for cell in line.strip("|").split("|")))
    Console().print(table)
    print(f"written: {DOCS / 'benchmark-video.md'}")


if __name__ == "__main__":
    main()
