"""What is encoded: cells, their identity, and the grid that they come from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from upath import UPath

from fr_ensemble_assets.clips.ffmpeg import Children, Ffmpeg
from fr_ensemble_assets.encodes.encoders import ENCODERS, SOFTWARE, usable_encoders
from fr_ensemble_assets.encodes.generate import generate
from fr_ensemble_assets.encodes.grid import Cell, Grid, cells_of, parse_qualities
from fr_ensemble_tests.video import FRAMES, X264, look


def test_cell_is_another_for_another_clip_quality_setting_or_ffmpeg(
    ffmpeg: Ffmpeg, clip_file: Path
) -> None:
    clip = look(ffmpeg, clip_file)
    cell = Cell(clip, X264, 25, FRAMES)
    others = [
        replace(cell, quality=26),
        replace(cell, frames=3),
        replace(cell, clip=replace(clip, sha256="0" * 64)),
        replace(cell, clip=replace(clip, rate="24")),
        replace(cell, encoder=replace(X264, arguments=("-threads", "2"))),
    ]
    digests = {cell.digest("9.0"), cell.digest("8.0"), *(o.digest("9.0") for o in others)}
    assert len(digests) == 7
    assert replace(cell, clip=replace(clip, src="renamed")).digest("9.0") == cell.digest("9.0")


def test_altered_cell_is_done_again(ffmpeg: Ffmpeg, clip_file: Path, tmp_path: Path) -> None:
    clip = look(ffmpeg, clip_file)
    grid = Grid({X264: (25.0,)})
    cells = UPath(tmp_path / "cells")

    def make() -> tuple[tuple[float, ...], int]:
        with Children() as children:
            made = generate(
                ffmpeg, children, [clip], grid, cells, scratch=tmp_path / "cells", workers=1
            )
        return made.scored[0].vmaf, made.reused

    first, _ = make()
    assert make() == (first, 1)
    (kept,) = cells.glob("*/*.json")
    kept.write_text(kept.read_text()[: kept.stat().st_size // 2])
    assert make() == (first, 0)
    whole = json.loads(kept.read_text())
    for altered in ({"vmaf": [12.5, *whole["vmaf"][1:]]}, {"enc_bytes": 10**400}, {"vmaf": "x"}):
        kept.write_text(json.dumps(whole | altered))
        assert make() == (first, 0)


def test_qualities_default_to_each_encoders_own_scale(ffmpeg: Ffmpeg) -> None:
    encoders = usable_encoders(ffmpeg, "")
    assert {encoder.name for encoder in encoders} == {encoder.name for encoder in SOFTWARE}
    default = parse_qualities("", encoders)
    assert default[ENCODERS["libx264"]] == (19, 25, 31, 37)
    assert default[ENCODERS["libsvtav1"]] == (31, 43, 55, 63)
    reference = parse_qualities("19,25,31,37", encoders)
    assert parse_qualities("19-37:6", encoders) == reference
    assert set(parse_qualities("22-24, 30", encoders).values()) == {(22.0, 23.0, 24.0, 30.0)}
    assert set(reference.values()) == {(19.0, 25.0, 31.0, 37.0)}


def test_hardware_encoders_are_told_what_they_need() -> None:
    told = {
        name: " ".join((*e.device_arguments, *e.encoding(25, "yuv420p")))
        for name, e in ENCODERS.items()
        if e.hardware
    }
    assert told["hevc_nvenc"] == (
        "-c:v hevc_nvenc -preset p4 -cq 25 -rc vbr -b:v 0 -pix_fmt +yuv420p"
    )
    assert told["av1_qsv"] == "-c:v av1_qsv -preset medium -global_quality 25 -pix_fmt +yuv420p"
    assert told["h264_videotoolbox"] == (
        "-c:v h264_videotoolbox -q:v 25 -allow_sw 1 -pix_fmt +yuv420p"
    )


def test_slow_encoders_go_first(ffmpeg: Ffmpeg, clip_file: Path) -> None:
    grid = Grid(parse_qualities("", SOFTWARE))
    cells = cells_of(look(ffmpeg, clip_file), grid)
    assert cells[0].encoder.name == "libvvenc"
    assert len(cells) == grid.size == 20
