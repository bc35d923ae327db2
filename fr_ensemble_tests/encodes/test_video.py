"""From video to scores: real clips, real encoders, every trap of alignment and format."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fr_ensemble_assets.clips.clip import Clip, RawVideo
from fr_ensemble_assets.clips.ffmpeg import Children, Ffmpeg
from fr_ensemble_assets.encodes.encoders import ENCODERS, SOFTWARE, Encoder
from fr_ensemble_assets.encodes.grid import Cell
from fr_ensemble_assets.encodes.score import Failed, Scored, encode_and_score
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_tests.video import FRAMES, X264, MakeClip, call, look


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
