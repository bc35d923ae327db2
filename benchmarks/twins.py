"""How many copies of real clips are found by their motion: mirrored, cropped, re-encoded, shifted.

    python benchmarks/twins.py CLIPS_FOLDER [EVERY]

Makes each copy with ffmpeg, measures ``motion2`` of clip and copy by libvmaf (each against itself),
keeps every third frame (or EVERY), and prints for each kind how many copies are certain twins, how
many are likely ones, and how many pairs of distinct clips are either.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from itertools import combinations
from pathlib import Path

import numpy as np

from fr_ensemble_assets.clips.ffmpeg import find_ffmpeg
from fr_ensemble_assets.corpus.trajectories import moving_alike

KINDS = {
    "as it is": ("null", ()),
    "mirrored": ("hflip", ()),
    "brighter": ("eq=brightness=0.06", ()),
    "scaled to 320": ("scale=320:-2", ()),
    "cropped by 10 %": ("crop=iw*0.9:ih*0.9", ()),
    "cropped by 20 %": ("crop=iw*0.8:ih*0.8", ()),
    "shifted by 3": ("trim=start_frame=3,setpts=PTS-STARTPTS", ()),
    "shifted by 6": ("trim=start_frame=6,setpts=PTS-STARTPTS", ()),
    "encoded, CRF 30": ("null", ("-c:v", "libx264", "-crf", "30")),
    "encoded, CRF 40": ("null", ("-c:v", "libx264", "-crf", "40")),
}


def motion_of(clip: Path, ffmpeg: str, graph: str, codec: tuple[str, ...]) -> list[float]:
    """``motion2`` of each frame of a copy."""
    with tempfile.TemporaryDirectory() as folder:
        copy, log = Path(folder) / "copy.mkv", Path(folder) / "log.json"
        lossless = codec or ("-c:v", "ffv1")
        quiet = [ffmpeg, "-v", "error", "-y"]
        subprocess.run([*quiet, "-i", clip, "-vf", graph, *lossless, copy], check=True)
        measure = f"split[a][b];[a][b]libvmaf=log_fmt=json:log_path={log}"
        subprocess.run(
            [*quiet, "-i", copy, "-filter_complex", measure, "-f", "null", "-"], check=True
        )
        frames = json.loads(log.read_text())["frames"]
    return [next(v for k, v in f["metrics"].items() if k.endswith("motion2")) for f in frames]


def compared(one: list[float], other: list[float], every: int) -> str:
    """``certain``, ``likely`` or nothing."""
    kept = [values[::every] for values in (one, other)]
    source = np.repeat([0, 1], [len(values) for values in kept])
    frame = np.concatenate([np.arange(len(values)) for values in kept])
    matches = moving_alike(source, frame, np.concatenate(kept), 2)
    if any(match.same for match in matches):
        return "certain"
    return "likely" if matches else ""


def main() -> None:
    clips = sorted(Path(sys.argv[1]).glob("*.mkv"))
    every = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    ffmpeg = str(find_ffmpeg().path)
    originals = {clip: motion_of(clip, ffmpeg, "null", ()) for clip in clips}
    pairs = [compared(a, b, every) for a, b in combinations(originals.values(), 2)]
    print(f"{len(pairs)} pairs of distinct clips: {sum(map(bool, pairs))} found")
    for kind, (graph, codec) in KINDS.items():
        found = [
            compared(originals[clip], motion_of(clip, ffmpeg, graph, codec), every)
            for clip in clips
        ]
        print(
            f"{kind:16} {found.count('certain'):3} certain, {found.count('likely'):3} likely "
            f"of {len(clips)}"
        )


if __name__ == "__main__":
    main()
