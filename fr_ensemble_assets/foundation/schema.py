"""The canonical-6 corpus: its columns, its encoder vocabulary, and what makes a row valid.

A change of these columns, or of the vocabulary's order, needs a new ``ENCODER_VOCAB_VERSION``:
the order is the order of the network's inputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fr_ensemble_assets.foundation.rows import RowRules

if TYPE_CHECKING:
    import pandas as pd

#: The six libvmaf features of a frame, in the order of the network's inputs.
CANONICAL_6 = ("adm2", "vif_scale0", "vif_scale1", "vif_scale2", "vif_scale3", "motion2")
TARGET = "vmaf"
#: What identifies a row, with ``preset`` where the corpus records one.
KEY = ("src", "encoder", "cq", "frame_index")
PRESET = "preset"
REQUIRED = (*KEY, TARGET, *CANONICAL_6)
OPTIONAL = ("enc_bytes", "enc_time_ms", PRESET)
COLUMNS = (*REQUIRED, *OPTIONAL)

TEXT = frozenset({"src", "encoder", PRESET})
INTEGER = frozenset({"frame_index", "enc_bytes"})

ENCODER_VOCABULARY = (
    "libx264",
    "libx265",
    "libsvtav1",
    "libvvenc",
    "libvpx-vp9",
    "h264_nvenc",
    "hevc_nvenc",
    "av1_nvenc",
    "h264_qsv",
    "hevc_qsv",
    "av1_qsv",
    "unknown",
)
ENCODER_VOCAB_VERSION = 2
UNKNOWN_ENCODER = "unknown"

VMAF_MIN, VMAF_MAX = 0.0, 100.0
#: Below this a correlation over a held-out source says too little; such a corpus is refused.
MIN_ROWS = 100
#: The same of one source, which is held out by itself: over 10 rows, predictions that know nothing
#: correlate by 0.95 once in 78,000 (Student's t, 8 degrees of freedom); over 2, every other time.
MIN_ROWS_A_SOURCE = 10
#: Leave-one-source-out needs one source to hold out and one to train on.
MIN_SOURCES = 2
#: Whole numbers beyond this are not exact in float64, through which JSON numbers pass.
MAX_EXACT_INTEGER = 2**53

DESCRIPTIONS = {
    "src": "Reference source: the LOSO key",
    "encoder": "ffmpeg encoder name",
    "cq": "The encoder's quality knob: CRF, CQ or QP",
    "frame_index": "Frame number within the encode, from 0",
    "vmaf": "Teacher score of the frame, 0..100 (libvmaf, vmaf_v0.6.1)",
    "adm2": "libvmaf ADM2 feature",
    "vif_scale0": "libvmaf VIF, scale 0",
    "vif_scale1": "libvmaf VIF, scale 1",
    "vif_scale2": "libvmaf VIF, scale 2",
    "vif_scale3": "libvmaf VIF, scale 3",
    "motion2": "libvmaf motion2 feature; always 0 on the first frame",
    "enc_bytes": "Size of the encode in bytes (optional)",
    "enc_time_ms": "Encoding time in milliseconds (optional)",
    "preset": "The encoder's preset (optional)",
}


def column_type(column: str) -> str:
    """``string``, ``int`` or ``float``."""
    return "string" if column in TEXT else "int" if column in INTEGER else "float"


def expected(column: str) -> str:
    """What a value of ``column`` must be, in words for an error message."""
    if column == TARGET:
        return f"a number from {VMAF_MIN:g} to {VMAF_MAX:g}"
    if column in INTEGER:
        return "a whole number of 0 or more"
    if column in TEXT:
        return "text that is not empty"
    return "a finite number"


def valid_values(column: str, values: pd.Series) -> pd.Series:
    """Per value of ``column``, whose type is settled, whether it is as :func:`expected`."""
    import numpy as np

    valid: pd.Series
    if column == TARGET:
        valid = values.between(VMAF_MIN, VMAF_MAX)
    elif column in INTEGER:
        valid = (values >= 0) & (values <= MAX_EXACT_INTEGER) & (values == np.floor(values))
    elif column in TEXT:
        valid = values.str.len() > 0
    else:
        valid = np.isfinite(values)
    return valid


#: The rules for a frame of rows whose columns already have their types.
ROW_RULES = RowRules(
    REQUIRED, OPTIONAL, {column: DESCRIPTIONS[column] for column in COLUMNS}, expected, valid_values
)
