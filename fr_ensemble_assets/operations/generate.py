"""From reference clips to a corpus file, without Dagster."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from upath import UPath

from fr_ensemble_assets.clips.clip import SUFFIXES, raw_video
from fr_ensemble_assets.clips.ffmpeg import Children, find_ffmpeg
from fr_ensemble_assets.clips.inventory import clip_files, take_inventory
from fr_ensemble_assets.encodes.encoders import usable_encoders
from fr_ensemble_assets.encodes.generate import generate
from fr_ensemble_assets.encodes.grid import Grid, parse_qualities
from fr_ensemble_assets.encodes.output import provenance_file, require_writable, write_rows
from fr_ensemble_assets.foundation.cores import cores
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.foundation.progress import Progress
from fr_ensemble_assets.foundation.schema import MIN_ROWS, MIN_SOURCES


@dataclass(frozen=True)
class Order:
    """What ``fr-ensemble generate`` was asked for, as it was typed."""

    clips: tuple[str, ...]
    out: UPath
    encoders: str
    qualities: str
    ffmpeg: str
    workers: int
    frames: int
    every: int
    size: str
    rate: str
    pixel_format: str
    qsv_device: str
    keep_going: bool


@dataclass(frozen=True)
class Delivery:
    """What came of it.

    Attributes
    ----------
    cells, cells_wanted, reused
        Encodes that are scored, that were asked for, that were done before.
    problems
        A sentence for each clip that can't be used and each cell that failed.
    ignored
        Files that are no clips by their ending.
    written, provenance, rows
        The corpus, the note beside it, its size; ``None`` where nothing was written.
    trainable
        Whether it has enough rows and sources for ``run``.
    """

    cells: int
    cells_wanted: int
    reused: int
    problems: tuple[str, ...]
    ignored: tuple[str, ...]
    written: str | None
    provenance: str | None
    rows: int
    trainable: bool

    @property
    def complete(self) -> bool:
        return not self.problems


def generate_corpus(home: Home, order: Order, progress: Progress) -> Delivery:
    """Look into the clips, encode and score what isn't done, write the corpus.

    Raises
    ------
    UnusableInput
        If an option makes no sense, ffmpeg can't do what is asked, or no clip can be used.
    """
    require_writable(order.out)
    raw = raw_video(order.size, order.rate, order.pixel_format)
    ffmpeg = find_ffmpeg(order.ffmpeg)
    ffmpeg.require_libvmaf()
    encoders = usable_encoders(ffmpeg, order.encoders, order.qsv_device)
    qualities = parse_qualities(order.qualities, encoders)
    grid = Grid(qualities, order.frames, order.every)
    if not all(order.clips):
        raise UnusableInput("--clips: expected a folder or clips, found nothing.")
    files, ignored = clip_files([Path(text) for text in order.clips])
    if not files:
        raise UnusableInput(
            f"{', '.join(order.clips)}: expected clips named *{', *'.join(SUFFIXES)}, found "
            f"{len(ignored)} other entries."
        )
    home.require_room()
    home.prepare()
    home.sweep()
    workers = order.workers or cores()
    with Children() as children:
        inventory = take_inventory(
            ffmpeg, children, files, raw, order.rate, workers, progress.report("clips")
        )
        if not inventory.clips:
            raise UnusableInput("; ".join(inventory.refused))
        made = generate(
            *(ffmpeg, children, inventory.clips, grid, home.cells, home.scratch, workers),
            progress.report("encodes"),
        )
    inventory = replace(inventory, ignored=ignored)
    problems = (*inventory.refused, *map(str, made.failed))
    written = made.scored and (order.keep_going or not problems)
    rows = write_rows(order.out, ffmpeg, inventory, grid, made) if written else 0
    return Delivery(
        cells=len(made.scored),
        cells_wanted=grid.size * len(inventory.clips),
        reused=made.reused,
        problems=problems,
        ignored=ignored,
        written=str(order.out) if written else None,
        provenance=str(provenance_file(order.out)) if written else None,
        rows=rows,
        trainable=rows >= MIN_ROWS and len({s.cell.clip.src for s in made.scored}) >= MIN_SOURCES,
    )
