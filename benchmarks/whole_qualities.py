"""The truth for ``benchmarks.search``: every whole quality of each clip encoded and scored.

``.venv/bin/python -m benchmarks.whole_qualities CLIPS OUT [ENCODERS]`` makes cells from a folder of
clips. Twenty clips and all five software encoders are some 2,500 encodes, half an hour or more on
two cores; what was made is kept beside OUT, so that it goes on where it ended.
"""

from __future__ import annotations

import sys
from pathlib import Path

from rich.progress import Progress
from upath import UPath

from fr_ensemble_assets.clips.ffmpeg import Children, find_ffmpeg
from fr_ensemble_assets.clips.inventory import clip_files, take_inventory
from fr_ensemble_assets.encodes.encoders import Encoder, usable_encoders
from fr_ensemble_assets.encodes.generate import generate
from fr_ensemble_assets.encodes.grid import Grid
from fr_ensemble_assets.foundation.cores import cores
from fr_ensemble_assets.predictors.pooling import pool, write_cells
from fr_ensemble_assets.predictors.scope import JUDGED_RANGE


def whole_qualities(encoder: Encoder) -> tuple[float, ...]:
    """All that are judged or trained on by default, and all between."""
    least, most = JUDGED_RANGE[encoder.name]
    least, most = min(least, *encoder.qualities), max(most, *encoder.qualities)
    return tuple(float(quality) for quality in range(int(least), int(most) + 1))


def main() -> None:
    (files, _), out = clip_files([Path(sys.argv[1])]), UPath(sys.argv[2])
    ffmpeg = find_ffmpeg()
    encoders = usable_encoders(ffmpeg, sys.argv[3] if len(sys.argv) > 3 else "")
    qualities = {encoder: whole_qualities(encoder) for encoder in encoders}
    with Children() as children, Progress() as progress:
        inventory = take_inventory(ffmpeg, children, files, None, workers=cores())
        task = progress.add_task("encodes")
        made = generate(
            ffmpeg,
            children,
            inventory.clips,
            Grid(qualities),
            out.parent / f"{out.name}.encodes",
            cores(),
            lambda done, whole: progress.update(task, completed=done, total=whole),
        )
    for problem in (*inventory.refused, *made.failed):
        print(problem, file=sys.stderr)
    write_cells(out, pool(made.scored))
    print(f"{out}: {len(made.scored)} cells, {len(made.failed)} failed")


if __name__ == "__main__":
    main()
