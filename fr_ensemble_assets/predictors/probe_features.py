"""What one cheap probe encode that is not scored tells of a clip, measured with ffmpeg.

The same function serves training and use, so that what is served is what was trained on. Sizes
are those of the probe, never of the encode whose score is asked for.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

from fr_ensemble_assets.clips.clip import Clip
from fr_ensemble_assets.clips.ffmpeg import GENERAL, Children, Ffmpeg
from fr_ensemble_assets.encodes.encoders import ENCODERS, Encoder
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import temporary_name

#: A probe looks at no more of a clip than this.
MAX_PROBE_FRAMES = 240
_SIZES, _STATISTICS = "sizes.log", "luma.txt"
_ENCODED = re.compile(r"^out= *0 .* f_size= *(\d+) .* type= (\S)", re.MULTILINE)
_LUMA = re.compile(r"^lavfi\.signalstats\.(YAVG|YDIF|YHIGH|YLOW)=([\d.]+)$", re.MULTILINE)


@dataclass(frozen=True)
class ProbeSetting:
    """How an encoder's probe is made: as cheaply as its presets go."""

    preset: str
    quality: float


#: Qualities are the fork's adapters'; presets the fast end of each encoder's own list.
PROBE_SETTINGS: Mapping[str, ProbeSetting] = MappingProxyType(
    {
        "libx264": ProbeSetting("ultrafast", 23),
        "libx265": ProbeSetting("ultrafast", 28),
        "libsvtav1": ProbeSetting("10", 35),
        "libvvenc": ProbeSetting("faster", 32),
        "libvpx-vp9": ProbeSetting("5", 32),
    }
)


@dataclass(frozen=True)
class ProbeFeatures:
    """One unscored probe of one clip, in the order of the inputs 1 to 9 of its consumer.

    Attributes
    ----------
    bitrate_kbps
        Of the probe's frames, without a container.
    i_bytes, p_bytes, b_bytes
        Mean size of its frames of each type; 0 where there are none, or where the encoder doesn't
        tell ffmpeg the type, as libvvenc.
    saliency_mean, saliency_var
        0: saliency needs a network that this project doesn't have.
    frame_diff_mean, y_avg, y_var
        Mean over the clip's frames of signalstats' YDIF, YAVG, and of YHIGH and YLOW together.
    """

    bitrate_kbps: float
    i_bytes: float
    p_bytes: float
    b_bytes: float
    saliency_mean: float
    saliency_var: float
    frame_diff_mean: float
    y_avg: float
    y_var: float

    @property
    def values(self) -> tuple[float, ...]:
        """In the order of :data:`~fr_ensemble_assets.predictors.cell_schema.PROBE_FEATURES`."""
        return (
            *(self.bitrate_kbps, self.i_bytes, self.p_bytes, self.b_bytes),
            *(self.saliency_mean, self.saliency_var),
            *(self.frame_diff_mean, self.y_avg, self.y_var),
        )


def probe_clip(
    ffmpeg: Ffmpeg, children: Children, clip: Clip, encoder: str, scratch: Path
) -> ProbeFeatures:
    """Encode up to 240 frames of ``clip`` cheaply, and look at its luma.

    Raises
    ------
    UnusableInput
        If no probe is defined for the encoder, or ffmpeg fails.
    """
    setting = PROBE_SETTINGS.get(encoder)
    if setting is None:
        raise UnusableInput(
            f"{encoder}: expected an encoder with a probe ({', '.join(PROBE_SETTINGS)})."
        )
    with tempfile.TemporaryDirectory(prefix=temporary_name(""), dir=scratch) as folder:
        command = _command(clip, ENCODERS[encoder], setting)
        done = children.run([str(ffmpeg.path), *command], cwd=Path(folder))
        if done.returncode != 0:
            raise UnusableInput(f"{clip.path}: expected a probe with {encoder}: {done.last_words}")
        sizes = (Path(folder) / _SIZES).read_text(errors="replace")
        luma = (Path(folder) / _STATISTICS).read_text(errors="replace")
    return _features(clip, encoder, sizes, luma)


def _command(clip: Clip, encoder: Encoder, setting: ProbeSetting) -> list[str]:
    cheap = replace(encoder, default_preset=setting.preset)
    frames = [f"trim=end_frame={min(clip.frames, MAX_PROBE_FRAMES)}", *clip.conversion]
    encoded = encoder.encoded_format(clip.reference_format)
    # The encoder gets the frames as they are: signalstats only looks. A second output for it would
    # write into the file of sizes too, and under load their lines run into each other.
    before = [
        *frames,
        *("signalstats", f"metadata=mode=print:file={_STATISTICS}"),
        *(["scale", f"format={encoded}"] if encoded != clip.reference_format else []),
    ]
    return [
        *(*GENERAL, "-xerror", "-filter_threads", "1", "-threads", "1", *clip.input),
        *("-map", "0:v:0", "-fps_mode", "passthrough", "-vf", ",".join(before)),
        *(*cheap.encoding(setting.quality, clip.reference_format), "-vstats_file", _SIZES),
        *("-f", "null", "-"),
    ]


def _features(clip: Clip, encoder: str, sizes: str, luma: str) -> ProbeFeatures:
    encoded = [(int(size), kind) for size, kind in _ENCODED.findall(sizes)]
    found: dict[str, list[float]] = {name: [] for name in ("YAVG", "YDIF", "YHIGH", "YLOW")}
    for name, value in _LUMA.findall(luma):
        found[name].append(float(value))
    wanted = min(clip.frames, MAX_PROBE_FRAMES)
    if len(encoded) != wanted or len(found["YAVG"]) != wanted:
        raise UnusableInput(
            f"{clip.path}: expected {wanted} frames of a probe with {encoder}, found "
            f"{len(encoded)} encoded and {len(found['YAVG'])} looked at."
        )
    seconds = wanted / float(Fraction(clip.rate))
    bits = 8 * sum(size for size, _ in encoded)
    return ProbeFeatures(
        bitrate_kbps=bits / seconds / 1000,
        i_bytes=_mean([size for size, kind in encoded if kind == "I"]),
        p_bytes=_mean([size for size, kind in encoded if kind == "P"]),
        b_bytes=_mean([size for size, kind in encoded if kind == "B"]),
        saliency_mean=0.0,
        saliency_var=0.0,
        frame_diff_mean=_mean(found["YDIF"]),
        y_avg=_mean(found["YAVG"]),
        y_var=_mean([*found["YHIGH"], *found["YLOW"]]),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
