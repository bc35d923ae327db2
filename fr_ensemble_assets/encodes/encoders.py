"""The encoders: a small entry each, with everything that ffmpeg has to be told.

Threads are pinned to one an encode, because the output of x264, x265 and VP9 depends on their
number (and that of x265 with a pool of threads, on small frames, even on luck); cores are filled
with several encodes side by side, which also wastes less.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fr_ensemble_assets.clips.ffmpeg import Ffmpeg
from fr_ensemble_assets.foundation.errors import UnusableInput

_X26X_PRESETS = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast"),
    *("medium", "slow", "slower", "veryslow", "placebo"),
)
_NVENC_PRESETS = ("p1", "p2", "p3", "p4", "p5", "p6", "p7")
_QSV_PRESETS = ("veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
_NO_PRESETS = ("",)
_STEPS_OF_8 = (19, 25, 31, 37)
_STEPS_OF_64 = (31, 43, 55, 63)

#: Where Linux shows the first graphics device; QSV may be told another.
DEFAULT_QSV_DEVICE = "/dev/dri/renderD128"


@dataclass(frozen=True)
class Encoder:
    """How ffmpeg encodes with one encoder.

    Attributes
    ----------
    name
        ffmpeg's name, as the corpus records it.
    quality_option
        The option that sets its quality.
    scale
        Least and greatest quality that it knows.
    qualities
        What it is encoded at by default: chosen to span VMAF on its own scale.
    container
        Ending of the file that holds the encode.
    presets
        Its presets from fastest to slowest; ``("",)`` for an encoder without any.
    preset_option, default_preset
        How one is chosen, and which.
    cost
        CPU time of an encode, x264's being 1, as measured on a 576x324 clip at its default
        qualities: for the order of work and the estimate of the time left.
    arguments
        Everything else, threads pinned.
    ten_bit
        Set where it encodes in 10 bit whatever the clip has.
    fractions
        Set where its quality may lie between whole numbers; others would cut it silently.
    device_arguments
        What comes before the input, for hardware.
    hardware
        Whether it needs hardware that only a trial can find.
    """

    name: str
    quality_option: str
    scale: tuple[float, float]
    qualities: tuple[float, ...]
    container: str
    presets: tuple[str, ...]
    default_preset: str
    cost: float
    preset_option: str = "-preset"
    arguments: tuple[str, ...] = ()
    ten_bit: bool = False
    fractions: bool = False
    device_arguments: tuple[str, ...] = ()
    hardware: bool = False

    def encoded_format(self, pixel_format: str) -> str:
        """The format in which it encodes frames in ``pixel_format``."""
        return "yuv420p10le" if self.ten_bit else pixel_format

    def encoding(self, quality: float, pixel_format: str) -> tuple[str, ...]:
        """ffmpeg's arguments for one encode of frames in ``pixel_format``."""
        preset = (self.preset_option, self.default_preset) if self.default_preset else ()
        encoded = self.encoded_format(pixel_format)
        return (
            *("-c:v", self.name, *preset, self.quality_option, f"{quality:g}"),
            # With a plus ffmpeg refuses what the encoder can't take instead of taking another.
            *(*self.arguments, "-pix_fmt", f"+{encoded}"),
        )


def _nvenc(codec: str, qualities: tuple[float, ...], most: float) -> Encoder:
    return Encoder(
        name=f"{codec}_nvenc",
        quality_option="-cq",
        scale=(1, most),
        qualities=qualities,
        container=".mp4",
        presets=_NVENC_PRESETS,
        default_preset="p4",
        cost=0.5,
        arguments=("-rc", "vbr", "-b:v", "0"),
        hardware=True,
    )


def _qsv(codec: str) -> Encoder:
    return Encoder(
        name=f"{codec}_qsv",
        quality_option="-global_quality",
        scale=(1, 51),
        qualities=_STEPS_OF_8,
        container=".mp4",
        presets=_QSV_PRESETS,
        default_preset="medium",
        cost=0.5,
        hardware=True,
    )


def _videotoolbox(codec: str) -> Encoder:
    """On a Mac; its quality runs the other way, 100 is best. Shares the slot ``unknown``."""
    return Encoder(
        name=f"{codec}_videotoolbox",
        quality_option="-q:v",
        scale=(1, 100),
        qualities=(30, 45, 60, 75),
        container=".mp4",
        presets=_NO_PRESETS,
        default_preset="",
        cost=0.5,
        arguments=("-allow_sw", "1"),
        hardware=True,
    )


#: Those that run on any machine, then those that need hardware.
SOFTWARE = (
    Encoder(
        name="libx264",
        quality_option="-crf",
        scale=(0, 51),
        qualities=_STEPS_OF_8,
        container=".mp4",
        presets=_X26X_PRESETS,
        default_preset="medium",
        cost=1,
        fractions=True,
        arguments=("-threads", "1"),
    ),
    Encoder(
        name="libx265",
        quality_option="-crf",
        scale=(0, 51),
        qualities=_STEPS_OF_8,
        container=".mp4",
        presets=_X26X_PRESETS,
        default_preset="medium",
        cost=2,
        fractions=True,
        arguments=("-x265-params", "log-level=error:pools=none:wpp=0:frame-threads=1"),
    ),
    Encoder(
        name="libsvtav1",
        quality_option="-crf",
        scale=(1, 63),
        qualities=_STEPS_OF_64,
        container=".mp4",
        presets=tuple(str(preset) for preset in range(13, -1, -1)),
        default_preset="8",
        cost=1.5,
        arguments=("-svtav1-params", "lp=1"),
    ),
    Encoder(
        name="libvvenc",
        quality_option="-qp",
        scale=(0, 63),
        qualities=_STEPS_OF_8,
        container=".mp4",
        presets=("faster", "fast", "medium", "slow", "slower"),
        default_preset="faster",
        cost=6.5,
        arguments=("-threads", "1"),
        ten_bit=True,
    ),
    Encoder(
        name="libvpx-vp9",
        quality_option="-crf",
        scale=(0, 63),
        qualities=_STEPS_OF_64,
        container=".webm",
        presets=tuple(str(speed) for speed in range(8, -1, -1)),
        default_preset="4",
        cost=3,
        preset_option="-cpu-used",
        arguments=("-b:v", "0", "-deadline", "good", "-threads", "1"),
    ),
)
HARDWARE = (
    _nvenc("h264", _STEPS_OF_8, 51),
    _nvenc("hevc", _STEPS_OF_8, 51),
    _nvenc("av1", _STEPS_OF_64, 63),
    *map(_qsv, ("h264", "hevc", "av1")),
    *map(_videotoolbox, ("h264", "hevc")),
)
ENCODERS = {encoder.name: encoder for encoder in (*SOFTWARE, *HARDWARE)}


def preset_position(encoder: str, preset: str) -> float | None:
    """Where ``preset`` stands in the encoder's own list: 0 fastest, 1 slowest.

    ``None`` for a preset or an encoder that isn't listed.
    """
    known = ENCODERS.get(encoder)
    if known is None or preset not in known.presets or len(known.presets) < 2:
        return None
    return known.presets.index(preset) / (len(known.presets) - 1)


def usable_encoders(
    ffmpeg: Ffmpeg, names: str, qsv_device: str = "", option: str = "--encoders"
) -> tuple[Encoder, ...]:
    """The encoders named in a comma-separated list; all software encoders at hand for none.

    ``option`` is what a message calls the list.

    Raises
    ------
    UnusableInput
        If a name is unknown, compiled out, or needs hardware that isn't there.
    """
    if not names.strip():
        at_hand = tuple(encoder for encoder in SOFTWARE if encoder.name in ffmpeg.encoders)
        if not at_hand:
            raise UnusableInput(
                f"{ffmpeg.path}: expected an ffmpeg with software encoders "
                f"({', '.join(e.name for e in SOFTWARE)}), found none of them."
            )
        return at_hand
    wanted = list(dict.fromkeys(name.strip() for name in names.split(",")))
    return tuple(_usable(ffmpeg, name, qsv_device, option) for name in wanted)


def _usable(ffmpeg: Ffmpeg, name: str, qsv_device: str, option: str) -> Encoder:
    encoder = ENCODERS.get(name)
    if encoder is None:
        raise UnusableInput(
            f"{option}: expected some of {', '.join(ENCODERS)}, found '{name}'; "
            "mind the spelling of ffmpeg's names."
        )
    if name not in ffmpeg.encoders:
        at_hand = ", ".join(known for known in ENCODERS if known in ffmpeg.encoders)
        raise UnusableInput(
            f"{option}: expected encoders that {ffmpeg.path} has ({at_hand}), found '{name}'."
        )
    if name.endswith("_qsv") and qsv_device:
        device = ("-init_hw_device", f"qsv=hw,child_device={qsv_device}")
        encoder = replace(encoder, device_arguments=device)
    if encoder.hardware:
        quality = encoder.qualities[0]
        failure = ffmpeg.failure_to_open(
            (*encoder.device_arguments, *encoder.encoding(quality, "yuv420p"))
        )
        if failure:
            raise UnusableInput(
                f"{option}: expected hardware for '{name}', found none that works: {failure}"
            )
    return encoder
