"""Encode a clip and score what came of it, in one process and without raw video on disk.

ffmpeg encodes, decodes its own output at once and hands both to libvmaf. Frames meet by their
count: timestamps are replaced on both sides, and the number of scored frames must be the clip's.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fr_ensemble_assets.clips.ffmpeg import GENERAL, Children, Ffmpeg
from fr_ensemble_assets.encodes.grid import TEACHER, Cell
from fr_ensemble_assets.foundation.files import temporary_name
from fr_ensemble_assets.foundation.schema import CANONICAL_6, VMAF_MAX, VMAF_MIN

#: Encodes in one process: the clip is decoded once for both.
TOGETHER = 2
#: Where an encode that somebody waits for says how far it is.
PROGRESS_FILE = "progress.log"


@dataclass(frozen=True)
class Scored:
    """One encode, scored.

    Attributes
    ----------
    vmaf
        A score a frame, 0..100.
    features
        Six values a frame, canonical-6.
    enc_bytes
        Size of the encode with its container.
    enc_time_ms
        Wall time of the process that encoded it, scoring and what ran beside it included.
    command
        The arguments that ffmpeg got, with paths inside the working folder.
    """

    cell: Cell
    vmaf: tuple[float, ...]
    features: tuple[tuple[float, ...], ...]
    enc_bytes: int
    enc_time_ms: float
    command: tuple[str, ...]

    @property
    def problem(self) -> str:
        """Why these can't be the scores of the cell; empty where they can."""
        wanted = self.cell.frames
        if len(self.vmaf) != wanted or len(self.features) != wanted:
            return f"expected {wanted} scored frames, as the clip has, found {len(self.vmaf)}"
        if not all(VMAF_MIN <= score <= VMAF_MAX for score in self.vmaf):
            return f"expected scores from {VMAF_MIN:g} to {VMAF_MAX:g}, found others"
        if not all(math.isfinite(value) for row in self.features for value in row):
            return "expected finite features, found others"
        if self.enc_bytes <= 0 or not math.isfinite(self.enc_time_ms):
            return f"expected an encode, found one of {self.enc_bytes} bytes"
        return ""


@dataclass(frozen=True)
class Failed:
    """A cell that could not be encoded or scored, and ffmpeg's last words on it."""

    cell: Cell
    reason: str

    def __str__(self) -> str:
        return f"{self.cell.name}: {self.reason}"


def encode_and_score(
    ffmpeg: Ffmpeg, children: Children, cells: Sequence[Cell], scratch: Path
) -> list[Scored | Failed]:
    """Encode and score some cells of one clip and one encoder; one that fails stops no other."""
    try:
        with tempfile.TemporaryDirectory(prefix=temporary_name(""), dir=scratch) as folder:
            outcomes = _attempt(ffmpeg, children, cells, Path(folder))
    except OSError as error:
        return [Failed(cell, f"no room to encode: {error.strerror or error}") for cell in cells]
    if len(cells) > 1 and any(isinstance(outcome, Failed) for outcome in outcomes):
        # In one process they fail together: by themselves the sound ones come through.
        return [
            outcome
            for cell in cells
            for outcome in encode_and_score(ffmpeg, children, [cell], scratch)
        ]
    return outcomes


def encode_in(
    ffmpeg: Ffmpeg, children: Children, cell: Cell, folder: Path
) -> tuple[Scored | Failed, Path]:
    """Encode and score one cell in ``folder``, where the encode stays; and where it lies.

    How far it is, is written to :data:`PROGRESS_FILE` there meanwhile, as ffmpeg writes it.
    """
    (outcome,) = _attempt(ffmpeg, children, [cell], folder, ("-progress", PROGRESS_FILE))
    return outcome, folder / _encode_name(cell, 0)


def encoding_arguments(cell: Cell) -> tuple[str, ...]:
    """ffmpeg's arguments between input and output that make the encode of all the clip's frames."""
    filters = [*cell.clip.conversion, *_to_encoded(cell)]
    return (
        *("-map", "0:v:0", "-fps_mode", "passthrough"),
        *(("-vf", ",".join(filters)) if filters else ()),
        *cell.encoder.encoding(cell.quality, cell.clip.reference_format),
    )


def _attempt(
    ffmpeg: Ffmpeg,
    children: Children,
    cells: Sequence[Cell],
    folder: Path,
    lines: Sequence[str] = (),
) -> list[Scored | Failed]:
    started = time.perf_counter()
    commands = (
        [_in_one_process(cells)] if ffmpeg.loops_back else [_encoding(cells), _scoring(cells)]
    )
    for command in commands:
        done = children.run([str(ffmpeg.path), *lines, *command], cwd=folder)
        if done.returncode != 0:
            return [Failed(cell, done.last_words) for cell in cells]
        if command is commands[0]:
            wall_ms = (time.perf_counter() - started) * 1000
    arguments = tuple(argument for command in commands for argument in command)
    return [
        _outcome(cell, number, folder, wall_ms / len(cells), arguments)
        for number, cell in enumerate(cells)
    ]


def _in_one_process(cells: Sequence[Cell]) -> list[str]:
    clip = cells[0].clip
    loops: list[str] = []
    for number, cell in enumerate(cells):
        graph = _comparison(cell, f"[dec:{number}]", "[0:v:0]", number)
        loops += ["-dec", f"{number}:0", "-filter_complex", graph]
        loops += ["-map", f"[scored{number}]", "-f", "null", "-"]
    return [*_start(cells[0]), *clip.input, *_outputs(cells), *loops]


def _encoding(cells: Sequence[Cell]) -> list[str]:
    return [*_start(cells[0]), *cells[0].clip.input, *_outputs(cells)]


def _scoring(cells: Sequence[Cell]) -> list[str]:
    command = [*_start(cells[0]), *cells[0].clip.input]
    for number, cell in enumerate(cells):
        command += ["-i", _encode_name(cell, number)]
    for number, cell in enumerate(cells):
        graph = _comparison(cell, f"[{number + 1}:v:0]", "[0:v:0]", number)
        command += ["-filter_complex", graph, "-map", f"[scored{number}]", "-f", "null", "-"]
    return command


def _start(cell: Cell) -> list[str]:
    # A damaged clip stops it; decoders and filters get one thread, as cores are full of encodes.
    threads = ["-filter_threads", "1", "-filter_complex_threads", "1", "-threads", "1"]
    return [*GENERAL, "-xerror", *cell.encoder.device_arguments, *threads]


def _outputs(cells: Sequence[Cell]) -> list[str]:
    outputs: list[str] = []
    for number, cell in enumerate(cells):
        filters = [*_trimmed(cell), *_to_encoded(cell)]
        outputs += ["-map", "0:v:0", "-fps_mode", "passthrough", "-vf", ",".join(filters)]
        outputs += cell.encoder.encoding(cell.quality, cell.clip.reference_format)
        outputs.append(_encode_name(cell, number))
    return outputs


def _comparison(cell: Cell, encode: str, reference: str, number: int) -> str:
    """The filters that score one encode.

    Without ``settb`` and ``setpts=N`` a WebM at 29.97 frames a second is off by a frame; without
    ``shortest`` the last frame of the shorter side would be repeated.
    """
    by_count = "settb=1/25,setpts=N"
    to_reference = f"{by_count},format={cell.clip.reference_format}"
    scorer = (
        f"libvmaf=model=version={TEACHER}:n_threads=1:log_fmt=json:"
        f"log_path={_log_name(number)}:shortest=1"
    )
    return (
        f"{encode}{to_reference}[encode{number}];"
        f"{reference}{','.join((*_trimmed(cell), by_count))}[reference{number}];"
        f"[encode{number}][reference{number}]{scorer}[scored{number}]"
    )


def _trimmed(cell: Cell) -> tuple[str, ...]:
    return (f"trim=end_frame={cell.frames}", *cell.clip.conversion)


def _to_encoded(cell: Cell) -> tuple[str, ...]:
    """Filters from the reference format to the one that the encoder takes."""
    encoded = cell.encoder.encoded_format(cell.clip.reference_format)
    return ("scale", f"format={encoded}") if encoded != cell.clip.reference_format else ()


def _encode_name(cell: Cell, number: int) -> str:
    return f"encode{number}{cell.encoder.container}"


def _log_name(number: int) -> str:
    return f"scores{number}.json"


def _outcome(
    cell: Cell, number: int, folder: Path, wall_ms: float, command: tuple[str, ...]
) -> Scored | Failed:
    try:
        frames = json.loads((folder / _log_name(number)).read_bytes())["frames"]
        metrics = [frame["metrics"] for frame in frames]
        vmaf = tuple(float(metric["vmaf"]) for metric in metrics)
        features = tuple(tuple(_feature(m, name) for name in CANONICAL_6) for m in metrics)
        enc_bytes = (folder / _encode_name(cell, number)).stat().st_size
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Failed(cell, f"libvmaf left no scores that can be read ({error!r})")
    scored = Scored(cell, vmaf, features, enc_bytes, round(wall_ms, 1), command)
    problem = scored.problem
    return Failed(cell, problem) if problem else scored


def _feature(metrics: dict[str, float], name: str) -> float:
    """libvmaf's fixed-point features, which it prefixes, are the default since version 2."""
    return float(metrics[f"integer_{name}"] if f"integer_{name}" in metrics else metrics[name])
