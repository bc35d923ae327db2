"""``recommend --clip``: real clips, real encodes, and an answer that was measured."""

from __future__ import annotations

import csv
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner, Result

from fr_ensemble_assets.cli.main import app
from fr_ensemble_assets.clips.ffmpeg import Children, Ffmpeg
from fr_ensemble_assets.encodes.encoders import ENCODERS, SOFTWARE
from fr_ensemble_assets.encodes.grid import Cell
from fr_ensemble_assets.encodes.score import Scored, encode_and_score
from fr_ensemble_tests.video import MakeClip, call, look

NAMES = [encoder.name for encoder in SOFTWARE]


def recommend(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["recommend", *arguments])


def answers(result: Result) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(result.stdout)["answers"]
    return found


def score(ffmpeg: Ffmpeg, clip: Path, encoder: str, quality: float, scratch: Path) -> Scored:
    """What an encode scores, made by itself."""
    seen = look(ffmpeg, clip)
    with Children() as children:
        cell = Cell(seen, ENCODERS[encoder], quality, seen.frames)
        (scored,) = encode_and_score(ffmpeg, children, [cell], scratch)
    assert isinstance(scored, Scored)
    return scored


@pytest.mark.parametrize("encoder", NAMES)
def test_answer_is_an_encode_that_was_measured(
    encoder: str, clip_file: Path, ffmpeg: Ffmpeg, tmp_path: Path
) -> None:
    asked = ("--clip", str(clip_file), "--target", "80", "--encoder", encoder, "--json")
    result = recommend(*asked, "--exact", "--max-encodes", "40")
    assert result.exit_code == 0, result.stderr
    (found,) = answers(result)
    assert found["keeps"]
    assert isinstance(found["quality"], float)
    again = score(ffmpeg, clip_file, encoder, found["quality"], tmp_path)
    assert found["vmaf"] == pytest.approx(sum(again.vmaf) / len(again.vmaf), abs=1e-9)
    assert found["bytes"] == again.enc_bytes
    if found["why"] == "exact":
        finer = score(ffmpeg, clip_file, encoder, found["quality"] + 1, tmp_path)
        assert sum(finer.vmaf) / len(finer.vmaf) < 80


def test_line_that_is_told_makes_the_encode_that_is_kept(clip_file: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.mp4"
    asked = ("--clip", str(clip_file), "--target", "85", "--encoder", "libx264,libvvenc")
    result = recommend(*asked, "--keep", str(kept))
    assert result.exit_code == 0, result.stderr
    line = shlex.split(result.stdout.strip().splitlines()[-1])
    subprocess.run([os.path.abspath(line[0]), *line[1:-1], str(tmp_path / "made.mp4")], check=True)  # noqa: PTH100
    assert (tmp_path / "made.mp4").read_bytes() == kept.read_bytes()
    # Ranked by bytes: what is kept is the smaller one, which stands first.
    sizes = [line for line in result.stdout.splitlines() if line.startswith("- ")]
    assert line[line.index("-c:v") + 1] in sizes[0]


def test_kept_encode_may_have_another_container(clip_file: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.mkv"
    asked = ("--clip", str(clip_file), "--target", "80", "--encoder", "libx264")
    assert recommend(*asked, "--keep", str(kept)).exit_code == 0
    assert kept.read_bytes()[:4] == b"\x1a\x45\xdf\xa3"  # Matroska


def test_target_out_of_reach_is_an_answer(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    noise = tmp_path / "noise.mkv"
    drawn = "nullsrc=size=160x120:rate=25,geq=random(1)*255:128:128"
    call(ffmpeg, "-f", "lavfi", "-i", drawn, "-frames:v", "6", "-c:v", "ffv1", str(noise))
    kept = tmp_path / "kept.mp4"
    asked = ("--clip", str(noise), "--target", "100", "--encoder", "libx264")
    result = recommend(*asked, "--keep", str(kept))
    assert result.exit_code == 0, result.stderr
    assert "no quality searched keeps VMAF 100: the finest, CRF 13, scores" in result.stdout
    assert not kept.exists()
    assert "kept:      nothing" in result.stderr


def test_plan_stops_after_one_probe_and_tells_the_interval(clip_file: Path) -> None:
    asked = ("--clip", str(clip_file), "--target", "85", "--encoder", "libx264", "--plan-only")
    (found,) = answers(recommend(*asked, "--json"))
    assert found["encodes"] == 1
    plan = found["plan"]
    assert isinstance(plan, dict)
    assert (plan["confidence_asked"], plan["confidence"]) == (0.95, 0.95)
    assert plan["likely"]["quality"] >= plan["safe"]["quality"]
    assert plan["safe"]["lower"] >= 85
    result = recommend(*asked, "--confidence", "0.99")
    assert result.exit_code == 3  # 21 sources don't carry it, and the answer says at what level
    assert "at 95.4 %)" in result.stdout
    assert "can't carry 99 %; its plan is at 95.4 %" in " ".join(result.stderr.split())
    assert recommend(*asked, "--confidence", "0.99", "--allow-lower").exit_code == 0


def test_long_clip_is_probed_by_samples_and_says_so(ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    clip = tmp_path / "long.mkv"
    drawn = "testsrc2=size=160x120:rate=25:duration=8"
    call(ffmpeg, "-f", "lavfi", "-i", drawn, "-c:v", "ffv1", str(clip))
    asked = ("--clip", str(clip), "--target", "85", "--encoder", "libx264", "--json")
    sampled = (*asked, "--samples", "3", "--sample-seconds", "0.4")
    (found,) = answers(recommend(*sampled))
    assert (found["samples"], found["sample_seconds"]) == (3, 0.4)
    assert "in 3 samples of 0.4 s (the whole clip may be off by" in str(found["sentence"])
    whole = score(ffmpeg, clip, "libx264", float(str(found["quality"])), tmp_path)
    mean = sum(whole.vmaf) / len(whole.vmaf)
    assert abs(mean - float(str(found["vmaf"]))) < float(str(found["sampling_error"])) + 1
    assert 0.5 < float(str(found["bytes"])) / whole.enc_bytes < 2
    kept = tmp_path / "kept.mp4"
    (in_whole,) = answers(recommend(*sampled, "--keep", str(kept)))
    assert in_whole["bytes"] == kept.stat().st_size
    if in_whole["quality"] == found["quality"]:
        assert in_whole["vmaf"] == pytest.approx(mean)
    (not_sampled,) = answers(recommend(*asked))
    assert not_sampled["samples"] == 0


def test_folder_becomes_a_table_and_a_broken_clip_a_row(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    clips, out = tmp_path / "clips", tmp_path / "table.csv"
    clips.mkdir()
    make_clip(clips / "a.mkv")
    (clips / "b.mkv").write_text("no video")
    make_clip(clips / "c.mkv", source="testsrc")
    asked = ("--clip", str(clips), "--target", "80", "--encoder", "libx264", "--out", str(out))
    result = recommend(*asked)
    assert result.exit_code == 1
    with out.open() as handle:
        rows = list(csv.DictReader(handle))
    assert [Path(row["clip"]).name for row in rows] == ["a.mkv", "b.mkv", "c.mkv"]
    assert "expected a video" in rows[1]["problem"]
    assert all(float(rows[n]["vmaf"]) >= 80 and rows[n]["ffmpeg"] for n in (0, 2))


def test_held_codec_is_searched_and_said_to_be_held(clip_file: Path) -> None:
    asked = ("--clip", str(clip_file), "--target", "80")
    held = recommend(*asked, "--encoder", "libsvtav1")
    assert held.exit_code == 0
    assert "the predictor of libsvtav1 did not pass the gate (PLCC spread 0.0" in held.stderr
    assert "did not pass the gate" not in recommend(*asked, "--encoder", "libx265").stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--clip", "{folder}/none.mkv"), "expected a clip, found no such file"),
        (("--clip", "{folder}/text.mkv"), "expected a video, found none that ffmpeg can read"),
        (("--clip", "{folder}/raw.yuv"), "found raw video; put it into a container"),
        (("--clip", "{clip}", "--encoder", "libx266"), "--encoder: expected some of libx264"),
        (("--clip", "{clip}", "--encoder", "av1_nvenc"), "--encoder: expected "),
        (("--clip", "{clip}", "--target", "0"), "--target: expected a VMAF above 0"),
        (("--clip", "{clip}", "--max-encodes", "0"), "--max-encodes: expected 1 or more"),
        (("--clip", "{clip}", "--confidence", "2"), "--confidence: expected a share"),
        (("--clip", "{clip}", "--samples", "1"), "--samples: expected 2 or more"),
        (("--clip", "{clip}", "--keep", "{folder}/no/out.mp4"), "in a folder that is there"),
        (("--clip", "{clip}", "--keep", "{folder}/out.xyz"), "expected a video such as out.mp4"),
        (("--clip", "{clip}", "--keep", "{clip}"), "expected another file than the clip"),
        (("--clip", "{clip}", "--out", "{folder}/table.txt"), "expected a table named *.csv"),
        (("--clip", "{clip}", "--frames", "x.jsonl"), "--clip or --frames, found both"),
        ((), "--clip VIDEO or --frames ROWS, found neither"),
        (("--frames", "{clip}"), "found a video; ask about it with fr-ensemble recommend --clip"),
    ],
)
def test_what_cant_be_answered_is_one_sentence(
    arguments: tuple[str, ...], told: str, clip_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.mkv").write_text("no video")
    (tmp_path / "raw.yuv").write_bytes(bytes(64))
    typed = [a.format(folder=tmp_path, clip=clip_file) for a in ("--target", "80", *arguments)]
    result = recommend(*typed)
    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stderr.count("error:") == 1
    assert not list(tmp_path.glob("*.csv"))


def test_answering_imports_neither_dagster_nor_torch(clip_file: Path) -> None:
    asked = ["recommend", "--clip", str(clip_file), "--target", "80", "--encoder", "libx264"]
    program = (
        "import sys\nfrom fr_ensemble_assets.cli.main import app\n"
        f"try: app({asked!r})\nexcept SystemExit as end: assert not end.code, end.code\n"
        "print(sorted({'dagster', 'torch', 'onnx', 'numba'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_interrupt_leaves_no_ffmpeg_and_no_file(ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    clip, kept, scratch = tmp_path / "clip.mkv", tmp_path / "kept.mp4", tmp_path / "scratch"
    scratch.mkdir()
    drawn = "testsrc2=size=640x480:rate=25:duration=20"
    call(ffmpeg, "-f", "lavfi", "-i", drawn, "-c:v", "ffv1", str(clip))
    asked = ["recommend", "--clip", str(clip), "--target", "90", "--samples", "0"]
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("fr-ensemble")), *asked, "--keep", str(kept)],
        env={**os.environ, "TMPDIR": str(scratch)},
        stderr=subprocess.PIPE,
        text=True,
        # A suite started in the background ignores SIGINT, and what it starts inherits that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    running = psutil.Process(process.pid)
    deadline = time.monotonic() + 120
    while not list(scratch.rglob("progress.log")) and time.monotonic() < deadline:
        time.sleep(0.1)
    children = running.children(recursive=True)
    assert any("ffmpeg" in child.name() for child in children)
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=120)[1]
    assert process.returncode == 130
    assert "interrupted; no encode is kept" in told
    assert not any(child.is_running() for child in children)
    assert not kept.exists()
    assert not list(scratch.iterdir())
