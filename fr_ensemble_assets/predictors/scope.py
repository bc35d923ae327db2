"""What a predictor is judged on, fixed before anyone trains: range, probe, folds (ADR-0303).

Range and probe decide a verdict as much as the model does, so that they are no options.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

#: Least and greatest quality that is judged, by encoder: where people plan.
JUDGED_RANGE = {
    "libx264": (19.0, 37.0),
    "libx265": (19.0, 37.0),
    "libvvenc": (19.0, 40.0),
    "libsvtav1": (31.0, 59.0),
    "libvpx-vp9": (31.0, 59.0),
}
#: The probe is the quality of the grid whose mean VMAF over the corpus is nearest to this.
PROBE_VMAF = 84.0

MIN_SOURCES = 5
#: Encodes that are judged in a fold: a correlation over fewer says too little.
MIN_FOLD_ENCODES = 20


def judged_range(encoder: str) -> tuple[float, float]:
    """The range judged; all of the grid for an encoder whose range nobody has fixed."""
    return JUDGED_RANGE.get(encoder, (-math.inf, math.inf))


def in_judged_range(encoder: str, quality: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Per quality, whether it is judged; the probe's own is taken out elsewhere."""
    least, most = judged_range(encoder)
    return (quality >= least) & (quality <= most)


def probe_index(
    encoder: str, quality: npt.NDArray[np.float64], mean_vmaf: npt.NDArray[np.float64]
) -> int:
    """The position in ``quality`` at which the probe is encoded.

    Of two qualities that are equally near the finer one: its score says more of those above.
    """
    distance = np.where(in_judged_range(encoder, quality), np.abs(mean_vmaf - PROBE_VMAF), math.inf)
    return int(np.argmin(distance))
