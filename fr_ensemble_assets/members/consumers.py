"""What consumers look for in sidecars and manifest beyond contracts section 5 (section 8).

libvmaf's reader searches a sidecar's text for ``name``, ``input_name``, ``output_name`` and
``onnx_opset``, and takes the first ``kind`` that it meets. Who has the manifest alone must be able
to build the codec block from it.
"""

from __future__ import annotations

from typing import Any

from fr_ensemble_assets.calibration.calibrate import Calibration
from fr_ensemble_assets.features.codec_block import (
    CODEC_BLOCK_LAYOUT,
    NEUTRAL,
    PRESET_SCALE,
    CodecBlock,
)
from fr_ensemble_assets.members.names import ENSEMBLE_ID, member_id
from fr_ensemble_assets.members.onnx_export import INPUT_NAMES, OPSET, OUTPUT_NAMES

#: ADR-0321: weights and sidecars are regenerated together.
PARENT_ADRS = ("ADR-0303", "ADR-0309", "ADR-0319", "ADR-0321")

#: What verdict and calibration are called beside the registry, where others lie too (ADR-0320).
VERDICT_IN_TREE = f"{ENSEMBLE_ID}_seed_flip_PROMOTE.json"
CALIBRATION_IN_TREE = f"{ENSEMBLE_ID}_calibration.json"
#: Interval widths between which a tuner neither takes the short cut nor searches in full.
THRESHOLDS_FILE = f"{ENSEMBLE_ID}_thresholds.json"

#: Of members, code and their registry alike.
LICENSE = "BSD-3-Clause-Plus-Patent"
#: Where the licence of their rows stands.
LICENSE_URL = "https://github.com/lusoris/vmaf/blob/master/LICENSE"
#: More than this of a sidecar their reader doesn't take.
SIDECAR_MAX_BYTES = 1 << 20


def sidecar_additions(seed: int) -> dict[str, Any]:
    """The end of a member's sidecar: what their reader looks for."""
    return {
        "name": member_id(seed),
        "input_name": INPUT_NAMES[0],
        "output_name": OUTPUT_NAMES[0],
        "onnx_opset": OPSET,
    }


def manifest_additions(codec: CodecBlock, calibration: Calibration, level: float) -> dict[str, Any]:
    """The end of the manifest: the 14 columns in order, what fills the last two, what q covers."""
    return {
        "codec_block_layout": list(CODEC_BLOCK_LAYOUT),
        "encoder_cq_range": {"min": codec.cq_min, "max": codec.cq_max},
        "encoder_cq_by_encoder": {
            encoder: {"min": seen.low, "max": seen.high}
            for encoder, seen in calibration.trained_on.qualities.items()
        },
        "presets": {encoder: dict(places) for encoder, places in codec.presets.items()},
        "codec_block_rule": (
            "One-hot of the encoder, 'unknown' for one that codec_vocab lacks; preset_norm from "
            f"presets, {NEUTRAL:g} where it isn't listed; crf_norm = (cq - min) / (max - min) of "
            f"encoder_cq_range, {NEUTRAL:g} where both are the same. {PRESET_SCALE}."
        ),
        "conformal_q_covers": q_covers(calibration, level),
        "calibration_file": CALIBRATION_IN_TREE,
    }


def q_covers(calibration: Calibration, level: float) -> str:
    """What ``conformal_q_residual`` is worth for the interval mu ± q·sigma, in words."""
    rule, n = calibration.plain_rule(level), len(calibration.sources)
    if rule is None:
        return "There is no conformal_q_residual: mu ± gaussian_z·sigma covers fewer than it says."
    whose = {
        "source": f"It aims at {level:.0%} of the frames of new sources like the {n} of the "
        "corpus, on average over such sources, not in each",
        "frame": f"It aims at {level:.0%} of frames like those of the {n} sources of the corpus; "
        "of a new source's it may cover far fewer, for which they are too few",
    }[rule]
    return (
        f"conformal_q_residual is the quantile of rule '{rule}' for mu ± q·sigma of the members as "
        "they are (sigma with ddof = 1, no floor, not brought into 0..100), in units of the "
        f"shipped members' sigma. {whose}. Nothing is proved of it, and nothing said of the mean "
        "of an encode: recentred members and rule 'source' of calibration_file are for that."
    )
