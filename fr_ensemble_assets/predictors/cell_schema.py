"""A cell: one encode of one clip, pooled over all its frames; its columns and what is valid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fr_ensemble_assets.foundation.rows import RowRules
from fr_ensemble_assets.foundation.schema import (
    CANONICAL_6,
    DESCRIPTIONS,
    MAX_EXACT_INTEGER,
    PRESET,
    TARGET,
    VMAF_MAX,
    VMAF_MIN,
)

if TYPE_CHECKING:
    import pandas as pd

#: What identifies a cell. A codec has one preset, so that it isn't part of the key.
CELL_KEY = ("src", "encoder", "cq")
SIZE = "enc_bytes"
#: Of the clip, not of the encode.
GEOMETRY = ("width", "height", "frames", "fps")
#: What one probe encode that is not scored tells, in the order of its consumer's inputs 1 to 9.
PROBE_FEATURES = (
    "probe_bitrate_kbps",
    "probe_i_frame_avg_bytes",
    "probe_p_frame_avg_bytes",
    "probe_b_frame_avg_bytes",
    "saliency_mean",
    "saliency_var",
    "frame_diff_mean",
    "y_avg",
    "y_var",
)
CELL_REQUIRED = (*CELL_KEY, TARGET, *CANONICAL_6, SIZE, *GEOMETRY)
CELL_OPTIONAL = (PRESET, *PROBE_FEATURES)
CELL_COLUMNS = (*CELL_REQUIRED, *CELL_OPTIONAL)
#: Rows of encodes that failed say so; they are counted and left out.
EXIT_STATUS = "exit_status"
#: Marks rows of frames, of which a cell is the mean.
FRAME_INDEX = "frame_index"

CELL_TEXT = frozenset({"src", "encoder", PRESET})
_WHOLE = frozenset({SIZE, "width", "height", "frames"})

#: Other names under which corpora of encodes carry the same columns.
ALIASES = {
    "source": "src",
    "codec": "encoder",
    "crf": "cq",
    "q": "cq",
    "vmaf_score": TARGET,
    "framerate": "fps",
    "encode_size_bytes": SIZE,
    **{f"{name}_mean": name for name in CANONICAL_6},
}

#: In words, of the columns that frames don't have.
CELL_DESCRIPTIONS = {
    **{name: DESCRIPTIONS[name] for name in (*CELL_KEY, SIZE, PRESET)},
    TARGET: "Mean VMAF over all frames of the encode, 0..100",
    **{name: f"{DESCRIPTIONS[name]}, mean over all frames" for name in CANONICAL_6},
    "width": "Width of the clip in pixels",
    "height": "Height of the clip in pixels",
    "frames": "Frames of the clip, all of them encoded and scored",
    "fps": "Frames a second",
    "probe_bitrate_kbps": "Bitrate of the unscored probe in kb/s (optional)",
    "probe_i_frame_avg_bytes": "Mean size of the probe's I frames in bytes (optional)",
    "probe_p_frame_avg_bytes": "Mean size of the probe's P frames in bytes (optional)",
    "probe_b_frame_avg_bytes": "Mean size of the probe's B frames in bytes (optional)",
    "saliency_mean": "Mean saliency of the clip's centre frame, 0 where not computed (optional)",
    "saliency_var": "Variance of that saliency, 0 where not computed (optional)",
    "frame_diff_mean": "Mean difference of luma to the frame before, signalstats YDIF (optional)",
    "y_avg": "Mean luma, signalstats YAVG (optional)",
    "y_var": "Mean of signalstats YHIGH and YLOW: a level, despite its name (optional)",
}


def cell_expected(column: str) -> str:
    """What a value of ``column`` must be, in words for an error message."""
    if column == TARGET:
        return f"a number from {VMAF_MIN:g} to {VMAF_MAX:g}"
    if column in CELL_TEXT:
        return "text that is not empty"
    if column in _WHOLE:
        return "a whole number of 1 or more"
    if column == "fps":
        return "a number above 0"
    if column in PROBE_FEATURES:
        return "a finite number of 0 or more"
    return "a finite number"


def _valid(column: str, values: pd.Series) -> pd.Series:
    """Per value, whether it is as :func:`cell_expected`."""
    import numpy as np

    valid: pd.Series
    if column in CELL_TEXT:
        valid = values.str.len() > 0
    elif column == TARGET:
        valid = values.between(VMAF_MIN, VMAF_MAX)
    elif column in _WHOLE:
        valid = (values >= 1) & (values <= MAX_EXACT_INTEGER) & (values == np.floor(values))
    elif column == "fps":
        valid = (values > 0) & np.isfinite(values)
    elif column in PROBE_FEATURES:
        valid = (values >= 0) & np.isfinite(values)
    else:
        valid = np.isfinite(values)
    return valid


#: The rules for a frame of cells whose columns already have their types.
CELL_RULES = RowRules(
    CELL_REQUIRED,
    CELL_OPTIONAL,
    {column: CELL_DESCRIPTIONS[column] for column in CELL_COLUMNS},
    cell_expected,
    _valid,
)
