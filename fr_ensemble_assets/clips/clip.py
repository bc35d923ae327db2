"""A reference clip: what is known of its frames, and how they become what is encoded and scored."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from fr_ensemble_assets.clips.ffmpeg import GENERAL, Children, Ffmpeg
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import sha256_of_file

RAW_SUFFIX = ".yuv"
SUFFIXES = (".y4m", ".mkv", ".mp4", ".webm", ".avi", ".mov", RAW_SUFFIX)

_EIGHT_BIT, _TEN_BIT = "yuv420p", "yuv420p10le"
#: Containers without a frame rate are read as having a thousand or more frames a second, which
#: would lead the encoders' rate control astray.
_RATE_MAX = 480

#: libvmaf crashes on frames that are smaller.
_SIDE_MIN = 18
#: A playlist or a script under a clip's name would bring frames that its sha256 doesn't cover.
KNOWN_FORMATS = (
    "-format_whitelist",
    "matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,avi,yuv4mpegpipe,rawvideo",
)
_STRICT = ("-xerror", "-err_detect", "+crccheck+bitstream")


@dataclass(frozen=True)
class RawVideo:
    """What a ``.yuv`` file doesn't say of itself.

    Attributes
    ----------
    size
        ``WIDTHxHEIGHT`` in pixels.
    rate
        Frames a second: ``25`` or ``30000/1001``.
    pixel_format
        ffmpeg's name of it.
    """

    size: str
    rate: str
    pixel_format: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[1-9]\d*x[1-9]\d*", self.size):
            raise UnusableInput(f"--size: expected WIDTHxHEIGHT, found '{self.size}'.")
        if not re.fullmatch(r"[a-z0-9_]+", self.pixel_format):
            raise UnusableInput(
                f"--pixel-format: expected a name of ffmpeg's such as yuv420p, found "
                f"'{self.pixel_format}'."
            )
        parse_rate(self.rate)


def parse_rate(text: str) -> Fraction:
    """``25``, ``29.97`` or ``30000/1001`` as a fraction."""
    known = re.fullmatch(r"\d{1,9}(/[1-9]\d{0,8}|\.\d{1,9})?", text)
    rate = Fraction(text) if known else Fraction(0)
    if not 0 < rate <= _RATE_MAX:
        raise UnusableInput(
            f"--rate: expected frames a second such as 25 or 30000/1001, up to {_RATE_MAX}, found "
            f"'{text}'."
        )
    return rate


def raw_video(size: str, rate: str, pixel_format: str) -> RawVideo | None:
    """What raw clips are, from options; ``None`` where nothing is said but perhaps the rate."""
    if not (size or pixel_format):
        if rate:
            parse_rate(rate)
        return None
    if not (size and rate and pixel_format):
        raise UnusableInput(
            "--size, --rate, --pixel-format: expected all three for raw video, found "
            f"'{size}', '{rate}', '{pixel_format}'."
        )
    return RawVideo(size, rate, pixel_format)


@dataclass(frozen=True)
class Clip:
    """One reference clip.

    Attributes
    ----------
    src
        Its name in the corpus: the file's name without ending.
    path
        The file.
    sha256
        Of the file's bytes.
    size_bytes, width, height, frames
        Sizes in bytes, pixels, frames.
    rate
        Frames a second, a fraction: the encoders' rate control depends on it, alignment doesn't.
    pixel_format, full_range
        As the file has them.
    reference_format
        The format in which it is encoded and scored: 4:2:0, limited range, 8 or 10 bit.
    raw
        Set for a file that doesn't say all this itself.
    """

    src: str
    path: str
    sha256: str
    size_bytes: int
    width: int
    height: int
    frames: int
    rate: str
    pixel_format: str
    full_range: bool
    reference_format: str
    raw: RawVideo | None = None

    @property
    def input(self) -> tuple[str, ...]:
        """How ffmpeg is told to read it: frame by frame at its rate, whatever its timestamps."""
        return (*_reading(self.raw), *KNOWN_FORMATS, "-r", self.rate, "-i", f"file:{self.path}")

    @property
    def conversion(self) -> tuple[str, ...]:
        """Filters that bring its frames into the reference format; nothing is ever scaled up."""
        filters = []
        if self.width % 2 or self.height % 2:
            filters.append("crop=trunc(iw/2)*2:trunc(ih/2)*2")
        if self.full_range or self.pixel_format != self.reference_format:
            source = "pc" if self.full_range else "auto"
            filters.append(f"scale=in_range={source}:out_range=tv")
            filters.append(f"format={self.reference_format}")
        return tuple(filters)

    def identity(self) -> dict[str, Any]:
        """What its frames depend on."""
        raw = asdict(self.raw) if self.raw else None
        return {"sha256": self.sha256, "rate": self.rate, "raw": raw}

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Clip:
        """Back from :meth:`to_json`; raises :class:`TypeError` for anything else."""
        raw = document.get("raw")
        return cls(**{**document, "raw": RawVideo(**raw) if raw else None})


def read_clip(
    ffmpeg: Ffmpeg, children: Children, path: Path, raw: RawVideo | None, rate: str = ""
) -> Clip:
    """Decode the whole file once to know what is in it.

    Raises
    ------
    UnusableInput
        If it can't be read, holds no video, is damaged, or is raw and not a whole number of frames.
    """
    src = source_name(path)
    described = raw if path.suffix.lower() == RAW_SUFFIX else None
    if path.suffix.lower() == RAW_SUFFIX and described is None:
        raise UnusableInput(
            f"{path}: expected --size, --rate and --pixel-format for raw video, found none; "
            "the file doesn't say them itself."
        )
    sha256 = file_sha256(path)
    size_bytes = path.stat().st_size
    look = [*_reading(described), *KNOWN_FORMATS, "-i", f"file:{path.absolute()}", "-map", "0:v:0"]
    first = children.run(
        [
            *(str(ffmpeg.path), "-nostdin", "-hide_banner", "-loglevel", "info", *look),
            *("-frames:v", "1", "-vf", "showinfo=checksum=0", "-f", "null", "-"),
        ]
    )
    # Only what the filter itself says: the file's name and tags are on stderr too.
    shown = "\n".join(re.findall(r"^\[Parsed_showinfo_0[^\]]*\] (.*)$", first.stderr, re.MULTILINE))
    frame = re.search(r"^n: *0 .*? fmt:(\S+) .*? s:(\d+)x(\d+) ", shown, re.MULTILINE)
    if first.returncode != 0 or frame is None:
        raise UnusableInput(
            f"{path}: expected a video, found none that ffmpeg can read: {first.last_words}"
        )
    pixel_format, width, height = frame[1], int(frame[2]), int(frame[3])
    if min(width, height) < _SIDE_MIN:
        raise UnusableInput(
            f"{path}: expected at least {_SIDE_MIN} pixels a side, which libvmaf needs, found "
            f"{width}x{height}."
        )
    counted = children.run(
        [
            *(str(ffmpeg.path), *GENERAL, *_STRICT, *look, "-fps_mode", "passthrough"),
            *("-progress", "pipe:1", "-f", "null", "-"),
        ]
    )
    counts = re.findall(r"^frame=(\d+)", counted.stdout, re.MULTILINE)
    # Decoders go on after damage, and only say so: a reference must give them nothing to say.
    if counted.returncode != 0 or counted.stderr.strip() or not counts:
        raise UnusableInput(
            f"{path}: expected a video whose every frame can be read, found damage: "
            f"{counted.last_words}; "
            + (
                "check --size and --pixel-format."
                if described
                else "make the clip again from its original."
            )
        )
    said = re.search(r"^config in .*frame_rate: (\d+/\d+)", shown, re.MULTILINE)
    return Clip(
        src=src,
        path=str(path.absolute()),
        sha256=sha256,
        size_bytes=size_bytes,
        width=width,
        height=height,
        frames=int(counts[-1]),
        rate=str(_rate_of(path, rate or (described.rate if described else ""), said)),
        pixel_format=pixel_format,
        full_range=pixel_format.startswith("yuvj") or "color_range:pc" in shown,
        reference_format=_TEN_BIT if ffmpeg.bit_depths.get(pixel_format, 8) > 8 else _EIGHT_BIT,
        raw=described,
    )


def file_sha256(path: Path) -> str:
    """Of the file's bytes; a file that can't be read is refused."""
    try:
        return sha256_of_file(path)
    except OSError as error:
        raise UnusableInput(
            f"{path}: expected a clip, found it unreadable ({error.strerror or error})."
        ) from error


def source_name(path: Path) -> str:
    """The clip's name in the corpus: the file's name without its ending."""
    try:
        path.stem.encode("utf-8")
    except UnicodeEncodeError:
        raise UnusableInput(
            f"{str(path)!r}: expected a name in UTF-8, since it becomes 'src' in the corpus; "
            "rename the file."
        ) from None
    if any(ord(letter) < ord(" ") for letter in path.stem) or "..." in path.stem:
        raise UnusableInput(
            f"{str(path)!r}: expected a name without control characters and without '...', since "
            "it becomes the name of a partition; rename the file."
        )
    return path.stem


def _reading(raw: RawVideo | None) -> tuple[str, ...]:
    if raw is None:
        return ()
    return (
        *("-f", "rawvideo", "-video_size", raw.size, "-framerate", raw.rate),
        *("-pixel_format", raw.pixel_format),
    )


def _rate_of(path: Path, rate: str, said: re.Match[str] | None) -> Fraction:
    if rate:
        return parse_rate(rate)
    try:
        return parse_rate(said[1] if said else "")
    except UnusableInput:
        raise UnusableInput(
            f"{path}: expected a frame rate of at most {_RATE_MAX}, found "
            f"{said[1] if said else 'none'}; give it with --rate."
        ) from None
