"""From video to rows: real clips, real encoders, real scores, and every trap on the way."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result
from upath import UPath

from fr_ensemble_assets.cli.main import app
from fr_ensemble_assets.clips.clip import Clip, RawVideo, read_clip
from fr_ensemble_assets.clips.ffmpeg import Children, Ffmpeg, find_ffmpeg
from fr_ensemble_assets.corpus.reader import read_corpus
from fr_ensemble_assets.encodes.encoders import ENCODERS, SOFTWARE, Encoder, usable_encoders
from fr_ensemble_assets.encodes.generate import generate
from fr_ensemble_assets.encodes.grid import Cell, Grid, cells_of, parse_qualities
from fr_ensemble_assets.encodes.score import Failed, Scored, encode_and_score
from fr_ensemble_assets.foundation.errors import UnusableInput

FRAMES = 12
X264 = ENCODERS["libx264"]
MakeClip = Callable[..., Path]


@pytest.fixture(scope="session")
def ffmpeg() -> Ffmpeg:
    return find_ffmpeg()


@pytest.fixture(scope="session")
def make_clip(ffmpeg: Ffmpeg) -> MakeClip:
    """Make a small moving clip by one of ffmpeg's own sources."""

    def make(path: Path, *arguments: str, source: str = "testsrc2", rate: str = "25") -> Path:
        drawn = f"{source}=size=160x120:rate={rate}"
        lossless = arguments or ("-c:v", "ffv1", "-pix_fmt", "yuv420p")
        call(ffmpeg, "-f", "lavfi", "-i", drawn, "-frames:v", str(FRAMES), *lossless, str(path))
        return path

    return make


@pytest.fixture
def clip_file(tmp_path: Path, make_clip: MakeClip) -> Path:
    return make_clip(tmp_path / "clip.mkv")


def call(ffmpeg: Ffmpeg, *arguments: str) -> None:
    command = [str(ffmpeg.path), "-nostdin", "-y", "-loglevel", "error", *arguments]
    subprocess.run(command, check=True)


def look(ffmpeg: Ffmpeg, path: Path, raw: RawVideo | None = None, rate: str = "") -> Clip:
    with Children() as children:
        return read_clip(ffmpeg, children, path, raw, rate)


def score(ffmpeg: Ffmpeg, cells: Sequence[Cell], scratch: Path) -> list[Scored | Failed]:
    with Children() as children:
        return encode_and_score(ffmpeg, children, cells, scratch)


def score_one(
    ffmpeg: Ffmpeg, clip: Clip, scratch: Path, encoder: Encoder = X264, quality: float = 25
) -> Scored:
    (scored,) = score(ffmpeg, [Cell(clip, encoder, quality, clip.frames)], scratch)
    assert isinstance(scored, Scored), scored
    return scored


def scored_directly(
    ffmpeg: Ffmpeg, reference: Path, encoder: Encoder, quality: float, folder: Path
) -> list[float]:
    """What one gets by hand: encode to a file, then compare the two files."""
    encode = folder / f"by_hand{encoder.container}"
    encoded = encoder.encoded_format("yuv420p")
    by_hand = ["-vf", f"scale,format={encoded}", *encoder.encoding(quality, "yuv420p")]
    call(ffmpeg, "-i", str(reference), *by_hand, str(encode))
    graph = (
        "[0:v]settb=1/25,setpts=N,format=yuv420p[d];[1:v]settb=1/25,setpts=N[r];"
        f"[d][r]libvmaf=log_fmt=json:log_path={folder / 'by_hand.json'}:shortest=1"
    )
    call(ffmpeg, "-i", str(encode), "-i", str(reference), "-lavfi", graph, "-f", "null", "-")
    frames = json.loads((folder / "by_hand.json").read_text())["frames"]
    return [frame["metrics"]["vmaf"] for frame in frames]


# --- every encoder --------------------------------------------------------------------------


@pytest.mark.parametrize("encoder", SOFTWARE, ids=lambda encoder: encoder.name)
def test_scores_are_those_of_a_direct_call_of_ffmpeg(
    ffmpeg: Ffmpeg, clip_file: Path, tmp_path: Path, encoder: Encoder
) -> None:
    quality = encoder.qualities[2]
    scored = score_one(ffmpeg, look(ffmpeg, clip_file), tmp_path, encoder, quality)
    by_hand = scored_directly(ffmpeg, clip_file, encoder, quality, tmp_path)
    np.testing.assert_allclose(scored.vmaf, by_hand, atol=1e-4)
    assert scored.enc_bytes > 0
    assert scored.features[0][5] == 0  # motion2 of the first frame
    assert scored.features[1][5] > 0


@pytest.mark.parametrize("encoder", SOFTWARE, ids=lambda encoder: encoder.name)
def test_ten_bit_clips_are_encoded_and_scored_in_ten_bit(
    ffmpeg: Ffmpeg, make_clip: MakeClip, tmp_path: Path, encoder: Encoder
) -> None:
    deep = make_clip(tmp_path / "deep.mkv", "-c:v", "ffv1", "-pix_fmt", "yuv420p10le")
    clip = look(ffmpeg, deep)
    assert clip.reference_format == "yuv420p10le"
    scored = score_one(ffmpeg, clip, tmp_path, encoder, encoder.qualities[0])
    assert min(scored.vmaf) > 80


def test_encodes_that_share_a_process_are_those_made_one_by_one(
    ffmpeg: Ffmpeg, clip_file: Path, tmp_path: Path
) -> None:
    clip = look(ffmpeg, clip_file)
    cells = [Cell(clip, X264, quality, FRAMES) for quality in (25, 37)]
    together = score(ffmpeg, cells, tmp_path)
    alone = [score_one(ffmpeg, clip, tmp_path, X264, quality) for quality in (25, 37)]
    for one, other in zip(together, alone, strict=True):
        assert isinstance(one, Scored)
        assert (one.vmaf, one.features, one.enc_bytes) == (
            *(other.vmaf, other.features, other.enc_bytes),
        )


def test_ffmpeg_that_can_not_loop_back_gives_the_same_in_two_processes(
    ffmpeg: Ffmpeg, clip_file: Path, tmp_path: Path
) -> None:
    older = Ffmpeg(ffmpeg.path, ffmpeg.version)
    assert older.loops_back
    older.__dict__["loops_back"] = False
    clip = look(ffmpeg, clip_file)
    cells = [Cell(clip, X264, quality, FRAMES) for quality in (25, 37)]
    for one, two in zip(score(ffmpeg, cells, tmp_path), score(older, cells, tmp_path), strict=True):
        assert isinstance(one, Scored)
        assert isinstance(two, Scored)
        assert (one.vmaf, one.features) == (two.vmaf, two.features)


# --- right numbers --------------------------------------------------------------------------


@pytest.mark.parametrize("loops_back", [True, False], ids=["one process", "two processes"])
def test_webm_at_29_97_is_aligned_by_count(
    ffmpeg: Ffmpeg, make_clip: MakeClip, tmp_path: Path, loops_back: bool
) -> None:
    """Its timestamps are rounded to milliseconds; what is right is known from raw frames."""
    reference = make_clip(tmp_path / "ntsc.y4m", "-pix_fmt", "yuv420p", rate="30000/1001")
    clip = look(ffmpeg, reference)
    assert (clip.rate, clip.frames) == ("30000/1001", FRAMES)
    vp9 = ENCODERS["libvpx-vp9"]
    encode, raw = tmp_path / "encode.webm", tmp_path / "raw.y4m"
    call(ffmpeg, "-i", str(reference), *vp9.encoding(43, "yuv420p"), str(encode))
    call(ffmpeg, "-r", "25", "-i", str(encode), "-pix_fmt", "yuv420p", str(raw))
    pair = ("-r", "25", "-i", str(raw), "-r", "25", "-i", str(reference))
    log = f"libvmaf=log_fmt=json:log_path={tmp_path / 'raw.json'}"
    call(ffmpeg, *pair, "-lavfi", log, "-f", "null", "-")
    frames = json.loads((tmp_path / "raw.json").read_text())["frames"]
    right = [frame["metrics"]["vmaf"] for frame in frames]
    used = Ffmpeg(ffmpeg.path, ffmpeg.version)
    used.__dict__["loops_back"] = loops_back
    scored = score_one(used, clip, tmp_path, vp9, 43)
    np.testing.assert_allclose(scored.vmaf, right, atol=1e-4)


def test_webm_reference_is_aligned_by_count(
    ffmpeg: Ffmpeg, make_clip: MakeClip, tmp_path: Path
) -> None:
    lossless = ("-c:v", "libvpx-vp9", "-lossless", "1")
    webm = look(ffmpeg, make_clip(tmp_path / "ntsc.webm", *lossless, rate="30000/1001"))
    still = look(ffmpeg, make_clip(tmp_path / "same.y4m", "-pix_fmt", "yuv420p", rate="30000/1001"))
    assert (webm.rate, webm.frames) == (still.rate, still.frames)
    assert score_one(ffmpeg, webm, tmp_path).vmaf == score_one(ffmpeg, still, tmp_path).vmaf


def luma(ffmpeg: Ffmpeg, clip: Clip) -> np.ndarray:
    """The luma plane of the first frame that is encoded and scored."""
    command = [str(ffmpeg.path), "-nostdin", "-loglevel", "error", *clip.input]
    command += ["-vf", ",".join(clip.conversion or ("null",)), "-frames:v", "1"]
    raw = subprocess.run([*command, "-f", "rawvideo", "-"], check=True, capture_output=True).stdout
    assert len(raw) == clip.width * clip.height * 3 // 2
    return np.frombuffer(raw, np.uint8)[: clip.width * clip.height].astype(int)


FULL_RANGE = ("-color_range", "pc", "-c:v", "ffv1")


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p"])
def test_full_range_becomes_limited_range(
    ffmpeg: Ffmpeg, make_clip: MakeClip, tmp_path: Path, pixel_format: str
) -> None:
    """The same picture in full and in limited range has the same luma, but for rounding."""
    to_full = ("-vf", f"scale=out_range=pc,format={pixel_format}", *FULL_RANGE)
    full = look(ffmpeg, make_clip(tmp_path / "full.mkv", *to_full))
    limited = look(ffmpeg, make_clip(tmp_path / "limited.mkv"))
    assert (full.full_range, limited.full_range) == (True, False)
    np.testing.assert_allclose(luma(ffmpeg, full), luma(ffmpeg, limited), atol=2)
    assert min(score_one(ffmpeg, full, tmp_path, X264, 10).vmaf) > 94


@pytest.mark.parametrize("pixel_format", ["yuv444p", "yuv422p10le", "bgr0"])
def test_other_formats_are_converted_once_and_alike_on_both_sides(
    ffmpeg: Ffmpeg, make_clip: MakeClip, tmp_path: Path, pixel_format: str
) -> None:
    arguments = ("-c:v", "ffv1", "-pix_fmt", pixel_format)
    clip = look(ffmpeg, make_clip(tmp_path / "other.mkv", *arguments))
    assert clip.pixel_format == pixel_format
    assert clip.reference_format == ("yuv420p10le" if "10" in pixel_format else "yuv420p")
    assert min(score_one(ffmpeg, clip, tmp_path, X264, 10).vmaf) > 94


def test_odd_sizes_lose_a_line_and_are_never_scaled_up(ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    path = tmp_path / "odd.mkv"
    drawn = ("-f", "lavfi", "-i", "testsrc2,scale=161:121,format=yuv420p", "-frames:v", "5")
    call(ffmpeg, *drawn, "-c:v", "ffv1", str(path))
    clip = look(ffmpeg, path)
    assert (clip.width, clip.height) == (161, 121)
    assert min(score_one(ffmpeg, clip, tmp_path, X264, 10).vmaf) > 94


def test_scored_frames_must_be_as_many_as_the_clip_has(
    ffmpeg: Ffmpeg, clip_file: Path, tmp_path: Path
) -> None:
    clip = replace(look(ffmpeg, clip_file), frames=FRAMES + 3)
    (failed,) = score(ffmpeg, [Cell(clip, X264, 25, clip.frames)], tmp_path)
    assert str(failed) == ("clip libx264 25: expected 15 scored frames, as the clip has, found 12")


def test_encode_that_lost_frames_is_not_padded_with_repeats(
    ffmpeg: Ffmpeg, clip_file: Path, tmp_path: Path
) -> None:
    lossy = tmp_path / "ffmpeg"
    lossy.write_text(
        f"#!{sys.executable}\n"
        "import os, sys\n"
        "words = sys.argv[1:]\n"
        "if not any('libvmaf' in word for word in words):\n"
        "    at = words.index('-fps_mode')\n"
        "    words[at:at] = ['-frames:v', '9']\n"
        f"os.execv({str(ffmpeg.path)!r}, ['ffmpeg', *words])\n"
    )
    lossy.chmod(0o755)
    used = Ffmpeg(lossy, ffmpeg.version)
    used.__dict__["loops_back"] = False
    clip = look(ffmpeg, clip_file)
    (failed,) = score(used, [Cell(clip, X264, 25, FRAMES)], tmp_path)
    assert str(failed).endswith("expected 12 scored frames, as the clip has, found 9")


def test_raw_video_is_read_as_it_is_described(
    ffmpeg: Ffmpeg, clip_file: Path, tmp_path: Path
) -> None:
    call(ffmpeg, "-i", str(clip_file), "-f", "rawvideo", str(tmp_path / "raw.yuv"))
    described = RawVideo("160x120", "25", "yuv420p")
    raw = look(ffmpeg, tmp_path / "raw.yuv", described)
    assert raw.frames == FRAMES
    same = look(ffmpeg, clip_file)
    assert score_one(ffmpeg, raw, tmp_path).vmaf == score_one(ffmpeg, same, tmp_path).vmaf
    with pytest.raises(UnusableInput, match="check --size and --pixel-format"):
        look(ffmpeg, tmp_path / "raw.yuv", replace(described, size="160x102"))
    with pytest.raises(UnusableInput, match="expected --size, --rate and --pixel-format"):
        look(ffmpeg, tmp_path / "raw.yuv")


@pytest.mark.parametrize(("size", "pixel_format"), [("64x48", "yuv420p10le"), ("65x49", "yuv420p")])
def test_raw_video_of_odd_size_or_ten_bit(
    ffmpeg: Ffmpeg, tmp_path: Path, size: str, pixel_format: str
) -> None:
    drawn = ("-f", "lavfi", "-i", f"testsrc2,scale={size.replace('x', ':')}", "-frames:v", "7")
    call(ffmpeg, *drawn, "-pix_fmt", pixel_format, "-f", "rawvideo", str(tmp_path / "raw.yuv"))
    clip = look(ffmpeg, tmp_path / "raw.yuv", RawVideo(size, "25", pixel_format))
    assert clip.frames == 7
    assert len(score_one(ffmpeg, clip, tmp_path).vmaf) == 7


def test_tags_and_names_say_nothing_of_the_frames(
    ffmpeg: Ffmpeg, clip_file: Path, tmp_path: Path
) -> None:
    lying = tmp_path / "fmt:yuv444p s:33x33 color_range:pc.mkv"
    tag = ("-c", "copy", "-metadata", "comment=n: 0 color_range:pc fmt:yuv444p cl:x s:33x33 ")
    call(ffmpeg, "-i", f"file:{clip_file}", *tag, f"file:{lying}")
    clip = look(ffmpeg, lying)
    assert (clip.width, clip.height, clip.pixel_format) == (160, 120, "yuv420p")
    assert not clip.full_range


def test_playlist_under_a_clips_name_is_refused(
    ffmpeg: Ffmpeg, clip_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "list.mkv").write_text(f"ffconcat version 1.0\nfile '{clip_file.name}'\n")
    with pytest.raises(UnusableInput, match=r"list\.mkv: expected a video"):
        look(ffmpeg, tmp_path / "list.mkv")


def test_frames_too_small_for_libvmaf_are_refused(ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    drawn = ("-f", "lavfi", "-i", "testsrc2=size=16x16", "-frames:v", "3", "-c:v", "ffv1")
    call(ffmpeg, *drawn, str(tmp_path / "tiny.mkv"))
    with pytest.raises(UnusableInput, match="expected at least 18 pixels a side"):
        look(ffmpeg, tmp_path / "tiny.mkv")


def test_damaged_clip_is_refused(ffmpeg: Ffmpeg, clip_file: Path) -> None:
    data = bytearray(clip_file.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2000] = bytes(2000)
    clip_file.write_bytes(bytes(data))
    with pytest.raises(UnusableInput, match=r"clip\.mkv: expected a video whose every frame"):
        look(ffmpeg, clip_file)


# --- the command ----------------------------------------------------------------------------


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
        (("--qualities", "abc"), "expected numbers such as 19,25,31,37, found 'abc'"),
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
    (clips / "other.mkv").symlink_to(clips / "moving.mkv")
    result = typed("--clips", clips, "--out", tmp_path / "o.jsonl")
    assert result.exit_code == 2
    assert "expected clips that differ, found the same content" in result.stderr


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
    deadline = time.monotonic() + 60
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


# --- settings -------------------------------------------------------------------------------


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
            made = generate(ffmpeg, children, [clip], grid, cells, workers=1)
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


def test_gzip_holds_the_same_lines(typed: Typed, clips: Path, tmp_path: Path) -> None:
    x264 = ("--encoders", "libx264", "--qualities", "30")
    typed("--clips", clips, "--out", tmp_path / "a.jsonl", *x264)
    typed("--clips", clips, "--out", tmp_path / "a.jsonl.gz", *x264)
    unpacked = gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes())
    assert unpacked == (tmp_path / "a.jsonl").read_bytes()


def test_slow_encoders_go_first(ffmpeg: Ffmpeg, clip_file: Path) -> None:
    grid = Grid(parse_qualities("", SOFTWARE))
    cells = cells_of(look(ffmpeg, clip_file), grid)
    assert cells[0].encoder.name == "libvvenc"
    assert len(cells) == grid.size == 20
