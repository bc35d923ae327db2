"""A clip's planning cells: its encodes over the grid, every frame pooled, and a probe an encoder.

``planning/clips/<src>.csv.gz``, and beside it what the cells were made from. Encodes are those of
the corpus shards, in ``cells/``: what one of the two has scored the other takes as it is.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from upath import UPath

from fr_ensemble_assets.clips.clip import Clip
from fr_ensemble_assets.clips.ffmpeg import Children, Ffmpeg
from fr_ensemble_assets.clips.inventory import Inventory
from fr_ensemble_assets.encodes.encoders import ENCODERS
from fr_ensemble_assets.encodes.generate import Generated, generate
from fr_ensemble_assets.encodes.grid import Grid
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import sha256_of
from fr_ensemble_assets.foundation.progress import StepReport, report_nothing
from fr_ensemble_assets.foundation.wording import listed, shown
from fr_ensemble_assets.predictors.cells import CellReading, Cells, joined, read_cells
from fr_ensemble_assets.predictors.pooling import cells_bytes, pool
from fr_ensemble_assets.predictors.probe_features import (
    MAX_PROBE_FRAMES,
    PROBE_SETTINGS,
    ProbeSetting,
    probe_clip,
)

#: Another way to probe must never pass for this one.
_PROBE_VERSION = 2


@dataclass(frozen=True)
class Planned:
    """What became of the planning cells of some clips.

    Attributes
    ----------
    cells
        By clip; only of clips all of whose encodes and probes succeeded.
    problems
        A sentence for each encode or probe that failed.
    reused
        How many encodes were done before.
    """

    cells: Mapping[str, Cells]
    problems: tuple[str, ...]
    reused: int

    @property
    def joined(self) -> Cells:
        """Those of all clips, as one file has them."""
        return Cells.of(pd.concat([cells.frame for cells in self.cells.values()]))


def plan_cells(
    ffmpeg: Ffmpeg,
    children: Children,
    clips: Sequence[Clip],
    grid: Grid,
    folder: UPath,
    scratch: Path,
    workers: int,
    report: StepReport = report_nothing,
) -> Planned:
    """Encode, score and probe whatever isn't done, and pool every frame of every encode.

    Parameters
    ----------
    grid
        Its encoders and qualities, and how many frames are encoded: all of those are pooled.
    folder
        Where scored encodes and probes are kept, each as soon as it is done.
    """
    made = generate(ffmpeg, children, clips, grid, folder, scratch, workers, report)
    return pooled_with_probes(ffmpeg, children, clips, grid, made, folder, scratch, workers)


def pooled_with_probes(
    ffmpeg: Ffmpeg,
    children: Children,
    clips: Sequence[Clip],
    grid: Grid,
    made: Generated,
    folder: UPath,
    scratch: Path,
    workers: int,
    report: StepReport = report_nothing,
) -> Planned:
    """Pool encodes that are ``made`` already, each clip's beside the probes of its encoders."""
    # A probe looks at what is encoded, and at no more.
    shots = [replace(clip, frames=grid.frames_of(clip)) for clip in clips]
    names = [encoder.name for encoder in grid.qualities if encoder.name in PROBE_SETTINGS]
    wanted = [(clip, name) for clip in shots for name in names]
    found: list[tuple[float, ...] | str] = []
    with ThreadPoolExecutor(workers) as pool_of_probes:
        try:
            for values in pool_of_probes.map(
                lambda one: _probed(ffmpeg, children, one[0], one[1], folder, scratch), wanted
            ):
                found.append(values)
                report(len(found), len(wanted))
        except BaseException:
            pool_of_probes.shutdown(cancel_futures=True, wait=False)
            children.close()
            raise
    probes = {
        (clip.src, name): values
        for (clip, name), values in zip(wanted, found, strict=True)
        if not isinstance(values, str)
    }
    unprobed = [problem for problem in found if isinstance(problem, str)]
    return Planned(
        cells=_by_clip(clips, made, probes, wanted),
        problems=(*map(str, made.failed), *unprobed),
        reused=made.reused,
    )


def _by_clip(
    clips: Sequence[Clip],
    made: Generated,
    probes: Mapping[tuple[str, str], Sequence[float]],
    wanted: Sequence[tuple[Clip, str]],
) -> dict[str, Cells]:
    failed = {one.cell.clip.src for one in made.failed}
    failed |= {clip.src for clip, name in wanted if (clip.src, name) not in probes}
    return {
        clip.src: pool([one for one in made.scored if one.cell.clip == clip], probes)
        for clip in clips
        if clip.src not in failed
    }


def _probed(
    ffmpeg: Ffmpeg, children: Children, clip: Clip, encoder: str, folder: UPath, scratch: Path
) -> tuple[float, ...] | str:
    """The probe's features, from an earlier probe where there is one; else why there are none."""
    made_from = _probe_identity(clip, encoder, PROBE_SETTINGS[encoder], ffmpeg.version)
    digest = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]
    path = folder / clip.sha256 / f"probe-{encoder}-{digest}.json"
    known = _kept_probe(path, made_from)
    if known is not None:
        return known
    try:
        values = probe_clip(ffmpeg, children, clip, encoder, scratch).values
    except UnusableInput as error:
        return str(error)
    store.put_json(path, {"made_from": made_from, "features": list(values)})
    return values


def _kept_probe(path: UPath, made_from: Mapping[str, Any]) -> tuple[float, ...] | None:
    from fr_ensemble_assets.foundation.documents import parse_document
    from fr_ensemble_assets.predictors.schema import ProbeDocument

    if not path.exists():
        return None
    try:
        found = parse_document(ProbeDocument, store.read(path, "a probe"), str(path))
    except UnusableInput:
        return None
    return found.features if found.made_from == made_from else None


def _probe_identity(
    clip: Clip, encoder: str, setting: ProbeSetting, ffmpeg_version: str
) -> dict[str, Any]:
    """Everything that a probe's features depend on."""
    cheap = replace(ENCODERS[encoder], default_preset=setting.preset)
    return {
        "probe_version": _PROBE_VERSION,
        "clip": clip.identity(),
        "encoder": encoder,
        "preset": setting.preset,
        "quality": setting.quality,
        "arguments": list(cheap.encoding(setting.quality, clip.reference_format)),
        "conversion": list(clip.conversion),
        "frames": min(clip.frames, MAX_PROBE_FRAMES),
        "ffmpeg": ffmpeg_version,
    }


def save_clip_cells(folder: UPath, ffmpeg: Ffmpeg, clip: Clip, grid: Grid, cells: Cells) -> str:
    """Keep a clip's cells, then what they were made from; returns the file's sha256."""
    data = gzip.compress(cells_bytes(cells), mtime=0)
    store.put(cells_file(folder, clip.src), data)
    # Which of the frames a corpus takes is nothing to a cell, which is the mean over all of them.
    made_from = _made_from(clip, replace(grid, every=1), ffmpeg)
    note = {"made_from": made_from, "sha256": sha256_of(data)}
    store.put_json(_note_file(folder, clip.src), note)
    return sha256_of(data)


def cells_file(folder: UPath, src: str) -> UPath:
    """Where a clip's planning cells are kept."""
    return folder / f"{src}.csv.gz"


def clip_cells_files(folder: UPath, src: str) -> tuple[UPath, UPath]:
    """All that is kept of a clip's planning cells."""
    return cells_file(folder, src), _note_file(folder, src)


def _note_file(folder: UPath, src: str) -> UPath:
    return folder / f"{src}.json"


def _made_from(clip: Clip, grid: Grid, ffmpeg: Ffmpeg) -> dict[str, Any]:
    return {"clip": clip.identity(), "grid": grid.to_json(), "ffmpeg": ffmpeg.version}


def any_clip_cells(folder: UPath, inventory: Inventory) -> bool:
    """Whether some clip of the inventory has planning cells."""
    return any(_note_file(folder, clip.src).exists() for clip in inventory.clips)


def read_clip_cells(folder: UPath, inventory: Inventory) -> CellReading:
    """The cells of all clips that the clips folder holds.

    Raises
    ------
    UnusableInput
        If a clip has none, or some of another content of it, or clips were encoded over different
        grids or by different versions of ffmpeg.
    """
    notes = {clip.src: _note(folder, clip.src) for clip in inventory.clips}
    missing = [src for src, note in notes.items() if note is None]
    stale = [
        clip.src
        for clip in inventory.clips
        if (note := notes[clip.src]) is not None and note["clip"] != clip.identity()
    ]
    for sources, found in ((missing, "none"), (stale, "those of another content")):
        if sources:
            raise UnusableInput(
                f"planning_cells: expected planning cells of every clip, found {found} for "
                f"{listed(sources)}; materialise 'planning_cells' for these partitions."
            )
    settings = {
        src: json.dumps([note["grid"], note["ffmpeg"]], sort_keys=True)
        for src, note in notes.items()
        if note is not None
    }
    first, *others = settings
    odd = [src for src in others if settings[src] != settings[first]]
    if odd:
        raise UnusableInput(
            f"planning_cells: expected all clips over one grid and by one ffmpeg, found "
            f"{listed(odd)} encoded otherwise than {shown(first)}; materialise 'planning_cells' "
            "for all partitions, what is done already is not done again."
        )
    return joined([read_cells(cells_file(folder, src)) for src in notes])


def _note(folder: UPath, src: str) -> dict[str, Any] | None:
    from fr_ensemble_assets.foundation.documents import parse_document
    from fr_ensemble_assets.predictors.schema import ClipCellsDocument

    path = _note_file(folder, src)
    if not path.exists():
        return None
    note = parse_document(ClipCellsDocument, store.read(path, "planning cells' note"), str(path))
    file = cells_file(folder, src)
    if sha256_of(store.read(file, "planning cells")) != note.sha256:
        raise UnusableInput(
            f"{file}: expected the cells that {path.name} names, found others; materialise "
            f"'planning_cells' for '{shown(src)}' again."
        )
    told: dict[str, Any] = {name: note.made_from.get(name) for name in ("clip", "grid", "ffmpeg")}
    return told
