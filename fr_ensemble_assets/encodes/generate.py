"""All cells of some clips: what is done is taken as it is, the rest is encoded and scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pyarrow as pa
from upath import UPath

from fr_ensemble_assets.clips.clip import Clip
from fr_ensemble_assets.clips.ffmpeg import Children, Ffmpeg
from fr_ensemble_assets.clips.inventory import require_unchanged
from fr_ensemble_assets.encodes.grid import Cell, Grid, cells_of
from fr_ensemble_assets.encodes.score import TOGETHER, Failed, Scored, encode_and_score
from fr_ensemble_assets.encodes.store import load_cell, save_cell
from fr_ensemble_assets.foundation.progress import StepReport, report_nothing
from fr_ensemble_assets.foundation.schema import COLUMNS, column_type

#: Progress is counted in whole thousandths of the cost of a frame.
_GRAIN = 1000


@dataclass(frozen=True)
class Generated:
    """What became of the cells of some clips.

    Attributes
    ----------
    scored
        In the order of clips, encoders, qualities.
    failed
        Those that could not be encoded or scored.
    reused
        How many were done before.
    """

    scored: tuple[Scored, ...]
    failed: tuple[Failed, ...]
    reused: int


def generate(
    ffmpeg: Ffmpeg,
    children: Children,
    clips: Sequence[Clip],
    grid: Grid,
    cells: UPath,
    scratch: Path,
    workers: int,
    report: StepReport = report_nothing,
) -> Generated:
    """Encode and score every cell of ``clips`` that isn't done, ``workers`` processes at a time.

    A clip whose file changes in the meantime fails.

    A cell is kept in ``cells`` as soon as it is done, so that an interruption loses only what is
    under way; that lies in ``scratch``, on a disk. ``report`` weighs the cells that had to be done
    by what they cost.
    """
    wanted = [cell for clip in clips for cell in cells_of(clip, grid)]
    outcomes: dict[Cell, Scored | Failed] = {}
    for cell in wanted:
        kept = load_cell(cells, cell, ffmpeg.version)
        if kept is not None:
            outcomes[cell] = kept
    reused = len(outcomes)
    pending = [cell for cell in wanted if cell not in outcomes]
    done, whole = 0, sum(round(cell.work * _GRAIN) for cell in pending)
    scratch.mkdir(parents=True, exist_ok=True)
    stamps = {cell.clip: _stamp(cell.clip) for cell in pending}
    require_unchanged(list(stamps))

    def work(batch: Sequence[Cell]) -> list[Scored | Failed]:
        results = encode_and_score(ffmpeg, children, batch, scratch)
        clip = batch[0].clip
        if _stamp(clip) != stamps[clip]:
            return [Failed(cell, "the clip's file changed while it was encoded") for cell in batch]
        for result in results:
            if isinstance(result, Scored):
                save_cell(cells, result, ffmpeg.version)
        return results

    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(work, batch) for batch in _batches(pending)]
        try:
            for future in as_completed(futures):
                for result in future.result():
                    outcomes[result.cell] = result
                    done += round(result.cell.work * _GRAIN)
                report(done, whole)
        except BaseException:
            for future in futures:
                future.cancel()
            children.close()
            raise
    results = [outcomes[cell] for cell in wanted]
    return Generated(
        scored=tuple(result for result in results if isinstance(result, Scored)),
        failed=tuple(result for result in results if isinstance(result, Failed)),
        reused=reused,
    )


def _stamp(clip: Clip) -> tuple[int, ...]:
    """What changes when a file is replaced or written to; empty where it is gone."""
    try:
        found = Path(clip.path).stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _batches(cells: Sequence[Cell]) -> Iterator[list[Cell]]:
    """Cells of one clip and one encoder, as many as share a process."""
    for _, same in groupby(cells, key=lambda cell: (cell.clip.src, cell.encoder.name)):
        listed = list(same)
        for start in range(0, len(listed), TOGETHER):
            yield listed[start : start + TOGETHER]


def rows_of(scored: Sequence[Scored], every: int) -> pa.Table:
    """Canonical-6 rows, every so manyeth frame of each encode."""
    columns: dict[str, list[object]] = {name: [] for name in COLUMNS}
    for encode in scored:
        for frame in range(0, len(encode.vmaf), every):
            values = (
                *(encode.cell.clip.src, encode.cell.encoder.name, encode.cell.quality, frame),
                *(encode.vmaf[frame], *encode.features[frame]),
                *(encode.enc_bytes, encode.enc_time_ms, encode.cell.encoder.default_preset or None),
            )
            for column, value in zip(columns.values(), values, strict=True):
                column.append(value)
    return pa.table(columns, schema=_SCHEMA)


_ARROW_TYPES = {"string": pa.string(), "int": pa.int64(), "float": pa.float64()}
_SCHEMA = pa.schema([(name, _ARROW_TYPES[column_type(name)]) for name in COLUMNS])
