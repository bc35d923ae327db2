"""``generate`` as its users type it: from clips to a corpus, and what stops it."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result
from upath import UPath

from fr_ensemble_assets.cli.main import app
from fr_ensemble_assets.clips.ffmpeg import Ffmpeg
from fr_ensemble_assets.corpus.reader import read_corpus
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.operations.generate import at_work
from fr_ensemble_assets.predictors.cell_schema import PROBE_FEATURES
from fr_ensemble_assets.predictors.cells import read_cells
from fr_ensemble_tests.video import FRAMES, MakeClip, call


@pytest.fixture
def typed(tmp_path: Path) -> Callable[..., Result]:
    def type_command(*arguments: str | Path) -> Result:
        words = ["generate", "--home", str(tmp_path / "home"), *map(str, arguments)]
        return CliRunner().invoke(app, words)

    return type_command


Typed = Callable[..., Result]


@pytest.fixture
def clips(tmp_path: Path, make_clip: MakeClip) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    make_clip(folder / "moving.mkv")
    make_clip(folder / "zoom.y4m", "-pix_fmt", "yuv420p", source="mandelbrot")
    (folder / "notes.txt").write_text("no clip")
    return folder


def test_folder_of_clips_becomes_a_corpus_in_any_format(
    typed: Typed, clips: Path, tmp_path: Path
) -> None:
    encoders = ("--encoders", "libx264,libx265", "--qualities", "libx264=19,25,37;libx265=19,37")
    kinds = ("rows.jsonl", "rows.jsonl.gz", "rows.parquet")
    results = [typed("--clips", clips, "--out", tmp_path / kind, *encoders) for kind in kinds]
    assert [result.exit_code for result in results] == [0, 0, 0], results[0].stderr
    assert "encodes:   10 of 10 (0 done before)" in results[0].stdout
    assert "encodes:   10 of 10 (10 done before)" in results[1].stdout
    assert "ignored:   notes.txt" in results[0].stdout
    read = [read_corpus(UPath(tmp_path / kind)).corpus for kind in kinds]
    assert len({corpus.sha256 for corpus in read}) == 1
    assert read[0].n_rows == 2 * 5 * FRAMES
    assert read[0].sources == ("moving", "zoom")
    assert set(read[0].frame["preset"]) == {"medium"}
    again = (tmp_path / "rows.jsonl.gz").read_bytes()
    typed("--clips", clips, "--out", tmp_path / "rows.jsonl.gz", *encoders)
    assert (tmp_path / "rows.jsonl.gz").read_bytes() == again
    told = json.loads((tmp_path / "rows.jsonl.gz.provenance.json").read_text())
    assert told["rows"] == 120
    assert {clip["src"] for clip in told["clips"]} == {"moving", "zoom"}


def test_second_generate_in_a_home_says_that_another_is_at_work(
    typed: Typed, clips: Path, tmp_path: Path
) -> None:
    asked = ("--clips", clips, "--encoders", "libx264", "--qualities", "30", "--out")
    home = Home.at(tmp_path / "home")
    home.prepare()
    with at_work(home):
        second = typed(*asked, tmp_path / "second.jsonl")
    assert second.exit_code == 2
    assert f"found one (process {os.getpid()}); wait until it ends" in second.stderr
    assert typed(*asked, tmp_path / "third.jsonl").exit_code == 0


def test_planning_cells_are_written_beside_a_corpus_or_instead(
    typed: Typed, clips: Path, tmp_path: Path
) -> None:
    grid = ("--encoders", "libx264,libsvtav1", "--qualities", "25,35")
    alone = typed("--clips", clips, "--cells", tmp_path / "cells.csv.gz", *grid)
    assert alone.exit_code == 0, alone.stderr
    assert "(8 encodes)" in alone.stdout
    cells = read_cells(UPath(tmp_path / "cells.csv.gz")).cells
    assert cells.sources == ("moving", "zoom")
    assert cells.frame["frames"].eq(FRAMES).all()
    assert cells.frame[list(PROBE_FEATURES)].notna().any(axis=1).all()

    both = typed(
        *("--clips", clips, "--out", tmp_path / "o.jsonl", "--every", "4"),
        *("--cells", tmp_path / "again.csv", *grid),
    )
    assert "encodes:   8 of 8 (8 done before)" in both.stdout
    assert read_cells(UPath(tmp_path / "again.csv")).cells.sha256 == cells.sha256
    frames = pd.read_json(tmp_path / "o.jsonl", lines=True)
    of_moving = frames[(frames["src"] == "moving") & (frames["encoder"] == "libx264")]
    assert set(of_moving["frame_index"]) == set(range(0, FRAMES, 4))


def test_probe_that_fails_leaves_its_clip_out_of_the_cells(
    typed: Typed, clips: Path, tmp_path: Path, ffmpeg: Ffmpeg
) -> None:
    """It is told; without --keep-going nothing is written."""
    twist = 'case "$*" in *moving*signalstats*) echo "out of luck" >&2; exit 9;; esac'
    flaky = script(tmp_path / "ffmpeg", ffmpeg, twist)
    asked = ("--clips", clips, "--encoders", "libx264", "--qualities", "30", "--ffmpeg", flaky)
    cells = tmp_path / "cells.csv"
    refused = typed(*asked, "--cells", cells)
    assert refused.exit_code == 1
    assert "out of luck" in refused.stderr
    assert not cells.exists()
    assert typed(*asked, "--cells", cells, "--keep-going").exit_code == 1
    assert read_cells(UPath(cells)).cells.sources == ("zoom",)


def test_what_to_write_must_be_said(typed: Typed, clips: Path, tmp_path: Path) -> None:
    assert "expected --out FILE for a corpus or --cells FILE" in typed("--clips", clips).stderr
    wrong = typed("--clips", clips, "--cells", tmp_path / "cells.jsonl")
    assert wrong.exit_code == 2
    assert "expected a name ending in .csv, .csv.gz" in wrong.stderr


def test_every_and_frames_thin_the_corpus_out(typed: Typed, clips: Path, tmp_path: Path) -> None:
    x264 = ("--encoders", "libx264", "--qualities", "30")
    typed("--clips", clips, "--out", tmp_path / "a.jsonl", *x264, "--every", "5")
    typed("--clips", clips, "--out", tmp_path / "b.jsonl", *x264, "--frames", "4")
    kept = [
        [json.loads(line)["frame_index"] for line in (tmp_path / name).open()]
        for name in ("a.jsonl", "b.jsonl")
    ]
    assert kept == [[0, 5, 10] * 2, [0, 1, 2, 3] * 2]


def test_names_with_spaces_and_odd_characters(
    typed: Typed, make_clip: MakeClip, tmp_path: Path
) -> None:
    names = ["a b", "it's 100%d", "x:y,[z];=1", "-dash", "über…é", "$HOME"]
    for name in names:
        make_clip(tmp_path / "plain.mkv").rename(tmp_path / f"{name}.mkv")
    out = tmp_path / "odd names.jsonl"
    files = [f"--clips={tmp_path / name}.mkv" for name in names]
    result = typed(*files, "--out", out, "--encoders", "libx264", "--qualities", "30")
    assert result.exit_code == 0, result.stderr
    assert {json.loads(line)["src"] for line in out.open()} == set(names)


def test_file_that_is_no_video_stops_no_other(typed: Typed, clips: Path, tmp_path: Path) -> None:
    (clips / "text.mp4").write_text("hello")
    asked = ("--clips", clips, "--out", tmp_path / "o.jsonl", "--encoders", "libx264")
    result = typed(*asked)
    assert result.exit_code == 1
    assert "text.mp4: expected a video, found none that ffmpeg can read" in result.stderr
    assert "encodes:   8 of 8" in result.stdout
    assert not (tmp_path / "o.jsonl").exists()
    assert typed(*asked, "--keep-going").exit_code == 1
    assert len((tmp_path / "o.jsonl").read_text().splitlines()) == 2 * 4 * FRAMES
    alone = typed("--clips", clips / "text.mp4", "--out", tmp_path / "o.jsonl")
    assert alone.exit_code == 2


def script(path: Path, ffmpeg: Ffmpeg, twist: str) -> Path:
    """An ffmpeg that is the real one but for a twist in shell."""
    path.write_text(f'#!/bin/sh\n{twist}\nexec "{ffmpeg.path}" "$@"\n')
    path.chmod(0o755)
    return path


def test_failing_cell_is_named_and_stops_no_other(
    typed: Typed, clips: Path, tmp_path: Path, ffmpeg: Ffmpeg
) -> None:
    twist = 'case "$*" in *moving*"-crf 37"*) echo "out of luck" >&2; exit 9;; esac'
    flaky = script(tmp_path / "ffmpeg", ffmpeg, twist)
    asked = ("--clips", clips, "--encoders", "libx264", "--ffmpeg", flaky)
    result = typed(*asked, "--out", tmp_path / "o.jsonl")
    assert result.exit_code == 1
    assert "moving libx264 37: out of luck" in result.stderr
    assert "encodes:   7 of 8" in result.stdout
    assert not (tmp_path / "o.jsonl").exists()
    kept = typed(*asked, "--out", tmp_path / "o.jsonl", "--keep-going")
    assert kept.exit_code == 1
    assert "encodes:   7 of 8 (7 done before)" in kept.stdout
    assert len((tmp_path / "o.jsonl").read_text().splitlines()) == 7 * FRAMES


def test_ffmpeg_without_libvmaf_is_refused(
    typed: Typed, clips: Path, tmp_path: Path, ffmpeg: Ffmpeg
) -> None:
    twist = f'case "$*" in *-filters*) "{ffmpeg.path}" "$@" | grep -v libvmaf; exit;; esac'
    blind = script(tmp_path / "ffmpeg", ffmpeg, twist)
    result = typed("--clips", clips, "--out", tmp_path / "o.jsonl", "--ffmpeg", blind)
    assert result.exit_code == 2
    assert "expected an ffmpeg with the filter libvmaf" in result.stderr


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (("--out", "o.csv"), "expected a name ending in .jsonl, .jsonl.gz, .parquet"),
        (("--encoders", "x264"), "expected some of libx264, libx265"),
        (("--encoders", "h264_nvenc"), "expected hardware for 'h264_nvenc'"),
        (("--encoders", "hevc_videotoolbox"), "expected encoders that"),
        (("--qualities", "abc"), "expected numbers such as 19,25,31,37 or ranges"),
        (("--qualities", "24-22"), "expected a range from the smaller to the larger"),
        (("--qualities", "20-40:0"), "by a step above 0, found '20-40:0'"),
        (("--qualities", "0-999999999"), "expected libx264's between 0 and 51, found 52"),
        (("--qualities", "19,19"), "expected each once"),
        (("--qualities", "60"), "expected libx264's between 0 and 51, found 60"),
        (("--qualities", "libx265=60"), "expected libx265's between 0 and 51"),
        (("--qualities", "libx266=1"), "expected some of libx264"),
        (("--qualities", "libx264=1;libx264=2"), "expected 'libx264' once"),
        (("--qualities", "libvvenc=30.5"), "expected whole numbers for libvvenc, found 30.5"),
        (("--qualities", "19,19.0000001"), "expected each once"),
        (("--qualities", ";"), "expected numbers"),
        (("--clips", ""), "expected a folder or clips, found nothing"),
        (("--out", "/proc/o.jsonl"), "expected to be able to write this file"),
        (("--rate", "1e99999999"), "--rate: expected frames a second"),
        (("--ffmpeg", "/nowhere"), "expected an ffmpeg that can be run, found none"),
        (("--ffmpeg", "sh"), "expected an ffmpeg, found a program that says"),
        (("--size", "160x120"), "expected all three for raw video"),
        (("--rate", "fast"), "--rate: expected frames a second"),
        (("--clips", "/nowhere"), "expected a clip or a folder of clips, found neither"),
    ],
)
def test_what_can_not_be_done_is_told_in_one_sentence(
    typed: Typed, clips: Path, tmp_path: Path, wrong: tuple[str, str], told: str
) -> None:
    result = typed("--clips", clips, "--out", tmp_path / "o.jsonl", *wrong)
    assert result.exit_code == 2
    assert told in result.stderr
    assert "Traceback" not in result.stderr


def test_two_clips_of_one_name_would_be_one_source(
    typed: Typed, clips: Path, make_clip: MakeClip, tmp_path: Path
) -> None:
    make_clip(clips / "moving.avi", "-c:v", "ffv1")
    result = typed("--clips", clips, "--out", tmp_path / "o.jsonl")
    assert result.exit_code == 2
    assert "found 'moving' 2 times; rename one" in result.stderr


def test_one_clip_under_two_names_would_be_in_training_while_held_out(
    typed: Typed, clips: Path, tmp_path: Path
) -> None:
    """All of them are named at once."""
    for name in ("other.mkv", "third.mkv"):
        (clips / name).symlink_to(clips / "moving.mkv")
    result = typed("--clips", clips, "--out", tmp_path / "o.jsonl")
    assert result.exit_code == 2
    named = " and ".join(str(clips / f"{name}.mkv") for name in ("moving", "other", "third"))
    assert f"{named}: expected clips that differ, found the same content" in result.stderr


def test_pipe_under_a_clips_name_is_left_alone(typed: Typed, clips: Path, tmp_path: Path) -> None:
    os.mkfifo(clips / "pipe.mkv")
    x264 = ("--encoders", "libx264", "--qualities", "30")
    result = typed("--clips", clips, "--out", tmp_path / "o.jsonl", *x264)
    assert result.exit_code == 0
    assert "pipe.mkv" in result.stdout
    note = json.loads((tmp_path / "o.jsonl.provenance.json").read_text())
    assert note["ignored_files"] == ["notes.txt", "pipe.mkv"]


def test_ffmpeg_by_a_relative_path(
    typed: Typed, clips: Path, tmp_path: Path, ffmpeg: Ffmpeg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    script(tmp_path / "mine", ffmpeg, "")
    x264 = ("--encoders", "libx264", "--qualities", "30", "--ffmpeg", "./mine")
    assert typed("--clips", clips, "--out", "o.jsonl", *x264).exit_code == 0


def test_clip_that_changes_while_it_is_encoded_fails(
    typed: Typed, clips: Path, tmp_path: Path, ffmpeg: Ffmpeg
) -> None:
    other = clips.parent / "other.y4m"
    other.write_bytes((clips / "zoom.y4m").read_bytes())
    twist = (
        f'case "$*" in *libvmaf*moving*|*moving*libvmaf*) cp "{other}" "{clips}/moving.mkv";; esac'
    )
    swapping = script(tmp_path / "ffmpeg", ffmpeg, twist)
    x264 = ("--encoders", "libx264", "--qualities", "30", "--ffmpeg", swapping)
    result = typed("--clips", clips, "--out", tmp_path / "o.jsonl", *x264)
    assert result.exit_code == 1
    assert "moving libx264 30: the clip's file changed while it was encoded" in result.stderr
    assert len(list((tmp_path / "home" / "cells").glob("[!.]*/*.json"))) == 1


@pytest.mark.parametrize("wrong", ["500.0", "NaN"])
def test_scores_that_can_not_be_are_a_failed_cell(
    typed: Typed, clips: Path, tmp_path: Path, ffmpeg: Ffmpeg, wrong: str
) -> None:
    twist = (
        f'"{ffmpeg.path}" "$@" || exit $?\n'
        f'[ -f scores0.json ] && sed -i \'s/"vmaf": [0-9][0-9.]*/"vmaf": {wrong}/\' scores0.json\n'
        "exit 0"
    )
    raving = script(tmp_path / "ffmpeg", ffmpeg, twist)
    x264 = ("--encoders", "libx264", "--qualities", "30", "--ffmpeg", raving)
    result = typed("--clips", clips, "--out", tmp_path / "o.jsonl", *x264)
    assert result.exit_code == 1
    assert "zoom libx264 30: expected scores from 0 to 100, found others" in result.stderr


def processes_under(folder: Path) -> list[str]:
    """Command lines of living processes that work in ``folder``."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink().is_relative_to(folder):
                found.append((entry / "cmdline").read_bytes().decode())
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="looks for orphans in /proc")
def test_killed_run_leaves_no_orphan_and_is_resumed(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    clip = tmp_path / "clip.mkv"
    drawn = ("-f", "lavfi", "-i", "testsrc2=size=640x360", "-frames:v", "40")
    call(ffmpeg, *drawn, "-c:v", "ffv1", "-pix_fmt", "yuv420p", str(clip))
    home, out = tmp_path / "home", tmp_path / "o.jsonl"
    command = [str(Path(sys.executable).with_name("fr-ensemble")), "generate"]
    command += ["--clips", str(clip), "--out", str(out), "--home", str(home), "--workers", "1"]
    command += ["--encoders", "libx264,libvvenc"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    done: list[Path] = []
    deadline = time.monotonic() + 300
    while not (done and processes_under(home / "cells")) and time.monotonic() < deadline:
        time.sleep(0.02)
        done = list((home / "cells").glob("[!.]*/*.json"))
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.5)
    assert done
    assert processes_under(home / "cells") == []
    assert not out.exists()
    before = {path: path.read_bytes() for path in done}
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "encodes:   8 of 8 (0 done" not in again.stdout
    assert {path: path.read_bytes() for path in done} == before
    assert list((home / "cells").glob(".tmp*")) == []
    assert len(out.read_text().splitlines()) == 8 * 40


def test_gzip_holds_the_same_lines(typed: Typed, clips: Path, tmp_path: Path) -> None:
    x264 = ("--encoders", "libx264", "--qualities", "30")
    typed("--clips", clips, "--out", tmp_path / "a.jsonl", *x264)
    typed("--clips", clips, "--out", tmp_path / "a.jsonl.gz", *x264)
    unpacked = gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes())
    assert unpacked == (tmp_path / "a.jsonl").read_bytes()
