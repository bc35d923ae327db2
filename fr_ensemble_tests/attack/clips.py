"""Clips: what ``generate`` and the clips folder are given."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from imageio_ffmpeg import get_ffmpeg_exe

from fr_ensemble_assets.clips.clip import raw_video
from fr_ensemble_assets.clips.ffmpeg import Children, Ffmpeg, find_ffmpeg
from fr_ensemble_assets.clips.inventory import Inventory, clip_files, take_inventory
from fr_ensemble_tests.attack import places
from fr_ensemble_tests.attack.case import Case, Flawed, Kind, Maker, flaw_of, rendered
from fr_ensemble_tests.attack.material import Material
from fr_ensemble_tests.attack.product import UnusableInput

_RAW = ("--size", "64x48", "--rate", "25", "--pixel-format", "yuv420p")
_ENDINGS = (".mkv", ".mp4", ".mov", ".avi", ".webm", ".y4m")


def _ffmpeg(*words: str | Path) -> None:
    command = [get_ffmpeg_exe(), "-nostdin", "-y", "-loglevel", "error", *map(str, words)]
    subprocess.run(command, check=True, capture_output=True)


def _bases(material: Material) -> list[Path]:
    return sorted(p for p in material.clips.iterdir() if p.suffix != ".yuv")


# --- an independent look -----------------------------------------------------------------------


def _frames_of(path: Path, *options: str) -> tuple[int, tuple[int, int]]:
    """Frames and size, by ffmpeg's own list of hashes."""
    command = [get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", *options, "-i", f"file:{path}"]
    how = ["-map", "0:v:0", "-fps_mode", "passthrough", "-f", "framemd5", "-"]
    told = subprocess.run([*command, *how], capture_output=True, check=False).stdout.decode()
    size = re.search(r"^#dimensions 0: (\d+)x(\d+)", told, re.MULTILINE)
    lines = [line for line in told.splitlines() if line and not line.startswith("#")]
    return len(lines), (int(size[1]), int(size[2])) if size else (0, 0)


def _as_decoded(target: Path, *options: str) -> Callable[[Inventory], str]:
    """One clip, whose frames and size are those that another look finds."""

    def ask(inventory: Inventory) -> str:
        if len(inventory.clips) != 1:
            return f"it is {len(inventory.clips)} clips"
        clip = inventory.clips[0]
        frames, size = _frames_of(target, *options)
        if not frames or (clip.frames, clip.width, clip.height) != (frames, *size):
            told = f"{clip.frames} frames of {clip.width}x{clip.height}"
            return f"it is taken for {told}, and is {frames} of {size[0]}x{size[1]}"
        return ""

    return ask


def _judged(target: Path, must: Any, why: str) -> Case:
    return Case(target, must, why, _as_decoded(target))


# --- makers ------------------------------------------------------------------------------------


def _whole(chance: random.Random, folder: Path, material: Material) -> Case:
    base = chance.choice(_bases(material))
    target = folder / base.name
    shutil.copyfile(base, target)
    return _judged(target, "accept", "it is whole")


def _truncated(chance: random.Random, folder: Path, material: Material) -> Case:
    base = chance.choice(_bases(material))
    data = base.read_bytes()
    target = folder / base.name
    target.write_bytes(
        data[: chance.choice((0, 1, 40, chance.randrange(len(data)), len(data) - 1))]
    )
    return _judged(target, "either", "what is there is what is told")


def _flipped(chance: random.Random, folder: Path, material: Material) -> Case:
    base = chance.choice(_bases(material))
    data = bytearray(base.read_bytes())
    for _ in range(chance.choice((1, 4, 100))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    target = folder / base.name
    target.write_bytes(bytes(data))
    return _judged(target, "either", "what is there is what is told")


def _cut(chance: random.Random, folder: Path, material: Material) -> Case:
    base = chance.choice(_bases(material))
    data = base.read_bytes()
    at = chance.randrange(len(data))
    target = folder / base.name
    junk = chance.choice((b"", bytes(100), chance.randbytes(30), data))
    target.write_bytes(data[:at] + junk + data[at + chance.choice((0, 1, 500)) :])
    return _judged(target, "either", "what is there is what is told")


_TEXTS = (
    "#EXTM3U\n#EXTINF:1,\nfile://{other}\n#EXT-X-ENDLIST\n",
    "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{other}\n",
    "ffconcat version 1.0\nfile '{other}'\n",
    "file '{other}'\n",
    "concat:{other}|{other}",
    "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    "<html><body>404</body></html>",
    "#!/bin/sh\ntouch {other}.run\n",
    "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    "\x00" * 5000,
    "just text\n" * 50,
    "<?xml version='1.0'?><MPD><Period><BaseURL>{other}</BaseURL></Period></MPD>",
    "[playlist]\nFile1={other}\n",
)


def _text(chance: random.Random, folder: Path, material: Material) -> Case:
    """A playlist, a script or a text under a clip's name."""
    other = folder / "other.bin"
    shutil.copyfile(chance.choice(_bases(material)), other)
    target = folder / f"x{chance.choice(_ENDINGS)}"
    target.write_text(chance.choice(_TEXTS).replace("{other}", str(other)))
    return Case(target, "refuse", "it is no video itself")


def _odd_video(chance: random.Random, folder: Path, _: Material) -> Case:
    """Videos that decode, in formats that clips rarely have."""
    source = chance.choice(("testsrc2", "mandelbrot", "color"))
    size = chance.choice(("63x47", "18x18", "17x64", "64x17", "16x16", "2x2", "300x20"))
    form = chance.choice(
        ("yuv420p", "yuv444p", "yuv420p10le", "yuvj420p", "gray", "bgr0", "yuva420p")
    )
    rate = chance.choice(("25", "30000/1001", "1", "240", "1000", "1/10"))
    target = folder / "odd.mkv"
    frames = str(chance.choice((1, 2, 7)))
    drawn = f"{source}=size={size}:rate={rate}"
    _ffmpeg(
        "-f", "lavfi", "-i", drawn, "-frames:v", frames, "-c:v", "ffv1", "-pix_fmt", form, target
    )
    small = min(map(int, size.split("x"))) < 18
    if small:
        return Case(target, "refuse", f"{size} is too small for libvmaf")
    return _judged(target, "either", "what is there is what is told")


def _other_streams(chance: random.Random, folder: Path, material: Material) -> Case:
    """Audio alone, audio too, two videos, subtitles, a cover."""
    target = folder / "x.mkv"
    tone = ("-f", "lavfi", "-i", "sine=duration=1")
    video = ("-i", str(material.clips / "ffv1.mkv"))
    how = chance.randrange(4)
    if how == 0:
        _ffmpeg(*tone, "-c:a", "pcm_s16le", target)
        return Case(target, "refuse", "it has no video")
    if how == 1:
        _ffmpeg(*tone, *video, "-c:v", "copy", "-c:a", "pcm_s16le", target)
    elif how == 2:
        more = ("-i", str(material.clips / "plain.y4m"))
        _ffmpeg(*video, *more, "-map", "0", "-map", "1", "-c:v", "ffv1", target)
    else:
        (folder / "s.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nhello\n")
        _ffmpeg(*video, "-i", folder / "s.srt", "-c:v", "copy", "-c:s", "srt", target)
        (folder / "s.srt").unlink()
    return _judged(target, "either", "its first video is what is told")


def _lying_ending(chance: random.Random, folder: Path, material: Material) -> Case:
    base = chance.choice(_bases(material))
    target = (
        folder / f"x{chance.choice(('.mkv', '.mp4', '.webm', '.txt', '', '.yuv', '.MKV', '.gif'))}"
    )
    shutil.copyfile(base, target)
    if target.suffix.lower() not in _ENDINGS:
        return Case(target, "refuse", "its name is no clip's, or it is raw without a size")
    return _judged(target, "either", "its content is what is told")


def _picture(chance: random.Random, folder: Path, material: Material) -> Case:
    """A picture or an animation under a clip's name."""
    kind = chance.choice(("png", "gif", "jpg", "bmp"))
    made = folder / f"made.{kind}"
    _ffmpeg("-i", material.clips / "ffv1.mkv", "-frames:v", "1", made)
    target = folder / f"x{chance.choice(_ENDINGS)}"
    made.rename(target)
    return Case(target, "refuse", f"it is a {kind}")


def _raw(chance: random.Random, folder: Path, material: Material) -> Case:
    """Raw video: whole, mismatched, with options that make no sense."""
    data = (material.clips / "raw.yuv").read_bytes()
    target = folder / "raw.yuv"
    how = chance.randrange(5)
    options = list(_RAW)
    if how == 0:
        target.write_bytes(data)
        oracle = _as_decoded(target, "-f", "rawvideo", "-video_size", "64x48")
        return Case(target, "accept", "it is whole", oracle, _RAW)
    if how == 1:
        target.write_bytes(data[:-1] if chance.random() < 0.5 else data + b"x")
        return Case(target, "refuse", "it is no whole number of frames", None, _RAW)
    target.write_bytes(data)
    if how == 2:
        return Case(target, "refuse", "nobody says its size", None)
    if how == 3:
        options[1] = chance.choice(
            ("64x47", "0x0", "x", "99999x99999", "64x48;rm", "-1x4", "٦٤x48")
        )
    else:
        options[5] = chance.choice(("rgb24", "nosuch", "yuv420p -i x", "", "\x1b[31m"))
    return Case(target, "refuse", f"{options[1]} {options[5]!a} doesn't fit", None, tuple(options))


def _y4m_header(chance: random.Random, folder: Path, material: Material) -> Case:
    data = (material.clips / "plain.y4m").read_bytes()
    header, _, rest = data.partition(b"\n")
    odd = chance.choice(
        (
            b"YUV4MPEG2 W100000 H100000 F25:1 C420jpeg",
            b"YUV4MPEG2 W64 H48 F0:0 C420jpeg",
            b"YUV4MPEG2 W64 H48 F1000:1 C420jpeg",
            b"YUV4MPEG2 W64 H48 F25:1 C999",
            b"YUV4MPEG2 W64 H-48 F25:1 C420jpeg",
            b"YUV4MPEG2 W64 F25:1",
            b"YUV4MPEG2",
            b"YUV4MPEG2 W32 H48 F25:1 C420jpeg",
            header + b" X" + b"A" * 3000,
            header + b" X\x1b[31m",
        )
    )
    target = folder / "x.y4m"
    target.write_bytes(odd + b"\n" + rest)
    return _judged(target, "either", "what is there is what is told")


def _place(chance: random.Random, folder: Path, _: Material) -> Case:
    target = folder / f"x{chance.choice(_ENDINGS)}"
    kind = places.put(chance, target)
    return Case(target, "refuse", f"the clip is a {kind}")


_NAMES = (
    *("a\nb.mkv", "\x1b[31mx.mkv", "a...b.mkv", "...mkv", " .mkv", "-i.mkv", "%03d.mkv", "a|b.mkv"),
    *(
        "concat:x.mkv",
        "\u202e.mkv",
        "é.mkv",
        "e\u0301.mkv",
        "x" * 240 + ".mkv",
        "'x'.mkv",
        "\\x.mkv",
    ),
    *(os.fsdecode(b"\xff\xfe.mkv"), "[b]x.mkv", "$(touch x).mkv", "x;y.mkv", "pipe:0.mkv", "*.mkv"),
)


def _name(chance: random.Random, folder: Path, material: Material) -> Case:
    target = folder / chance.choice(_NAMES)
    data = (material.clips / "ffv1.mkv").read_bytes()
    target.write_bytes(data if chance.random() < 0.7 else data[:200])
    return _judged(target, "either", "what is there is what is told")


def _folder(chance: random.Random, folder: Path, material: Material) -> Case:
    """A good clip with odd company: it is taken, and the company is told."""
    target = folder / "clips"
    target.mkdir()
    shutil.copyfile(material.clips / "ffv1.mkv", target / "good.mkv")
    company = target / chance.choice(("x.mkv", "notes.txt", "x.MP4", ".hidden.mkv", "\x1b[31m.mkv"))
    how = chance.randrange(5)
    if how == 0:
        kind = places.put(chance, company)
        if not os.path.lexists(company):
            company.write_text(kind)
    elif how == 1:
        company.write_text("no clip")
    elif how == 2:
        company.mkdir()
    elif how == 3:
        shutil.copyfile(material.clips / "ffv1.mkv", company)
    else:
        (target / "good.mp4").write_bytes((material.clips / "x264.mp4").read_bytes())

    def ask(inventory: Inventory) -> str:
        if [clip.src for clip in inventory.clips] != ["good"]:
            return f"it is taken for {[clip.src for clip in inventory.clips]!a}"
        told = (*inventory.ignored, *inventory.refused)
        hidden = company.name.startswith(".")
        if not hidden and os.path.lexists(company) and not any(_names(t, company) for t in told):
            return f"{company.name!a} is silently left out"
        return ""

    return Case(target, "either", "the good clip is taken, the other one is told", ask)


def _names(told: str, company: Path) -> bool:
    return company.name in told or "x1b" in told


def _twins(chance: random.Random, folder: Path, material: Material) -> Case:
    """One content under two names, or two clips under one."""
    target = folder / "clips"
    target.mkdir()
    shutil.copyfile(material.clips / "ffv1.mkv", target / "a.mkv")
    how = chance.randrange(4)
    if how == 0:
        shutil.copyfile(material.clips / "ffv1.mkv", target / "b.mkv")
    elif how == 1:
        shutil.copyfile(material.clips / "x264.mp4", target / "a.mp4")
    elif how == 2:
        (target / "b.mkv").symlink_to(target / "a.mkv")
    else:
        os.link(target / "a.mkv", target / "b.mkv")
    return Case(target, "refuse", "two clips have one name or one content")


def _joined(chance: random.Random, folder: Path, material: Material) -> Case:
    """Two files in one, of one kind or of two."""
    one, other = (chance.choice(_bases(material)) for _ in range(2))
    target = folder / one.name
    target.write_bytes(one.read_bytes() + other.read_bytes())
    return _judged(target, "either", "what is there is what is told")


# --- asked -------------------------------------------------------------------------------------


@cache
def _tool() -> Ffmpeg:
    return find_ffmpeg()


def _attempt(case: Case, _: Path, __: Material) -> Inventory:
    options = dict(zip(case.options[::2], case.options[1::2], strict=True))
    raw = raw_video(*(options.get(name, "") for name in ("--size", "--rate", "--pixel-format")))
    files, ignored = clip_files([case.target])
    with Children() as children:
        found = take_inventory(_tool(), children, files, raw)
    for sentence in found.refused:
        if flaw := flaw_of(rendered(sentence)):
            raise Flawed(f"refused with {flaw}: {sentence}")
    if not found.clips:
        raise UnusableInput("; ".join((*found.refused, *ignored)) or "no clip is there")
    return Inventory(found.clips, found.refused, ignored)


def _command(case: Case, out: Path, _: Material) -> list[str]:
    words = ["generate", "--clips", str(case.target), "--out", str(out / "x.jsonl"), *case.options]
    grid = ["--encoders", "libx264", "--qualities", "30", "--frames", "2", "--workers", "1"]
    return [*words, *grid, "--home", str(out / "home"), "--keep-going"]


_MAKERS: list[tuple[str, Maker]] = [
    ("whole", _whole),
    ("truncated", _truncated),
    ("flipped bits", _flipped),
    ("cut and mended", _cut),
    ("playlist or text", _text),
    ("odd video", _odd_video),
    ("other streams", _other_streams),
    ("lying ending", _lying_ending),
    ("picture", _picture),
    ("raw", _raw),
    ("odd Y4M", _y4m_header),
    ("odd place", _place),
    ("odd name", _name),
    ("odd company", _folder),
    ("twins", _twins),
    ("joined", _joined),
    ("flipped bits again", _flipped),
    ("truncated again", _truncated),
]

# The command says 1 where it left something out, and told so.
KIND = Kind("clips", _MAKERS, _attempt, _command, same=False, accepting=(0, 1))
