"""What the predictors' files are called."""

from __future__ import annotations

from fr_ensemble_assets.contract.agreed import CODECS

#: Every codec's verdict.
REPORT_FILE = "predictors.json"

#: What the fork's consumer asks a codec's predictor for. ``libvpx-vp9`` is ours besides.
FORK_CODECS = (
    *("libx264", "libx265", "libsvtav1", "libaom-av1", "libvvenc"),
    *("h264_nvenc", "hevc_nvenc", "av1_nvenc", "h264_amf", "hevc_amf", "av1_amf"),
    *("h264_qsv", "hevc_qsv", "av1_qsv"),
)


def scored_probe_file(codec: str) -> str:
    """The predictor from one encode that was scored."""
    return f"predictor_{codec}_scored_probe.json"


def file_names(codec: str) -> dict[str, str]:
    """The kind ``probe``: names under which its consumer looks for them."""
    base = f"predictor_{codec}"
    return {
        "onnx": f"{base}.onnx",
        "sidecar": f"{base}.json",
        "calibration": f"{base}_calibration.json",
        "card": f"{base}_card.md",
    }


#: Every file that predictors may have, whatever codecs pass.
PREDICTOR_FILES = frozenset(
    {
        REPORT_FILE,
        *(scored_probe_file(codec) for codec in CODECS),
        *(name for codec in CODECS for name in file_names(codec).values()),
    }
)
