"""From reference clips to a corpus file, a file of planning cells, or both; without Dagster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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
from fr_ensemble_assets.foundation.alone import Taken, alone
from fr_ensemble_assets.foundation.cores import cores
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.foundation.progress import Progress
from fr_ensemble_assets.foundation.schema import MIN_ROWS, MIN_SOURCES
from fr_ensemble_assets.predictors.clip_cells import pooled_with_probes
from fr_ensemble_assets.predictors.pooling import CELL_ENDINGS, write_cells

_LOCK_FILE = "generate.lock"


@dataclass(frozen=True)
class Order:
    """What ``fr-ensemble generate`` was asked for, as it was typed.

    Attributes
    ----------
    out, cells_out
        The corpus and the planning cells to write; at least one of them.
    """

    clips: tuple[str, ...]
    out: UPath | None
    cells_out: UPath | None
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
        The corpus, the note beside it, its size; ``None`` where none was written.
    cells_written, cell_rows
        The planning cells and how many they are; ``None`` where none were written.
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
    cells_written: str | None
    cell_rows: int
    trainable: bool

    @property
    def complete(self) -> bool:
        return not self.problems


def generate_corpus(home: Home, order: Order, progress: Progress) -> Delivery:
    """Look into the clips, encode and score what isn't done, write what was asked for.

    Raises
    ------
    UnusableInput
        If an option makes no sense, ffmpeg can't do what is asked, or no clip can be used.
    """
    _require_places(order)
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
    with at_work(home), Children() as children:
        inventory = take_inventory(
            ffmpeg, children, files, raw, order.rate, workers, progress.report("clips")
        )
        if not inventory.clips:
            raise UnusableInput("; ".join(inventory.refused))
        made = generate(
            *(ffmpeg, children, inventory.clips, grid, home.cells, home.scratch, workers),
            progress.report("encodes"),
        )
        # The encodes are done; what is left for cells are the probes.
        pooled = None
        if order.cells_out is not None:
            pooled = pooled_with_probes(
                *(ffmpeg, children, inventory.clips, grid, made),
                *(home.cells, home.scratch, workers),
                progress.report("probes"),
            )
    inventory = replace(inventory, ignored=ignored)
    failed = map(str, made.failed) if pooled is None else pooled.problems
    problems = (*inventory.refused, *failed)
    writing = order.keep_going or not problems
    written = order.out if writing and made.scored else None
    rows = 0 if written is None else write_rows(written, ffmpeg, inventory, grid, made)
    cells_written = order.cells_out if writing and pooled is not None and pooled.cells else None
    cell_rows = 0
    if cells_written is not None and pooled is not None:
        cells = pooled.joined
        write_cells(cells_written, cells)
        cell_rows = len(cells.frame)
    return Delivery(
        cells=len(made.scored),
        cells_wanted=grid.size * len(inventory.clips),
        reused=made.reused,
        problems=problems,
        ignored=ignored,
        written=None if written is None else str(written),
        provenance=None if written is None else str(provenance_file(written)),
        rows=rows,
        cells_written=None if cells_written is None else str(cells_written),
        cell_rows=cell_rows,
        trainable=rows >= MIN_ROWS and len({s.cell.clip.src for s in made.scored}) >= MIN_SOURCES,
    )


@contextmanager
def at_work(home: Home) -> Iterator[None]:
    """Be the only ``generate`` in ``home`` while the block runs: two would do the work twice.

    Raises
    ------
    UnusableInput
        If another is at work.
    """
    with ExitStack() as held:
        try:
            held.enter_context(alone(home.dagster / _LOCK_FILE))
        except Taken as taken:
            process = f"process {taken.pid}" if taken.pid else "another process"
            raise UnusableInput(
                f"{home.root}: expected a home in which no other `generate` is at work, found one "
                f"({process}); wait until it ends and type the command again, which takes over "
                "what it encoded, or choose another --home."
            ) from None
        yield


def _require_places(order: Order) -> None:
    if order.out is None and order.cells_out is None:
        raise UnusableInput(
            "generate: expected --out FILE for a corpus or --cells FILE for planning cells, "
            "found neither."
        )
    if order.out is not None:
        require_writable(order.out)
    if order.cells_out is not None:
        require_writable(order.cells_out, CELL_ENDINGS, "--cells")
