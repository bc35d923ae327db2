"""Cells by a formula, on which both kinds of predictor pass within a second."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fr_ensemble_assets.predictors.cell_schema import CELL_COLUMNS
from fr_ensemble_assets.predictors.cells import Cells

QUALITIES = tuple(float(quality) for quality in range(19, 38, 3))


def easy_cells(sources: int = 20, encoders: tuple[str, ...] = ("libx264",)) -> Cells:
    """Curves of one shape, each as high as its clip's probe is cheap."""
    rows = []
    for number in range(sources):
        ease = number / (sources - 1)
        for encoder in encoders:
            for quality in QUALITIES:
                level = 3.6 + 0.9 * ease
                vmaf = 100.0 / (1.0 + np.exp(-(level - 0.16 * (quality - 19))))
                rows.append(
                    {
                        "src": f"clip{number:02}",
                        "encoder": encoder,
                        "cq": quality,
                        "vmaf": vmaf,
                        **{f"vif_scale{scale}": vmaf / (110.0 - scale) for scale in range(4)},
                        "adm2": vmaf / 105.0,
                        "motion2": 3.0 - ease,
                        "enc_bytes": round(2e6 * np.exp(-0.12 * quality - 0.8 * ease)),
                        **{"width": 480.0, "height": 270.0, "frames": 40.0, "fps": 25.0},
                        "probe_bitrate_kbps": np.expm1(7.0 - ease),
                        **{f"probe_{kind}_frame_avg_bytes": 900.0 for kind in "ipb"},
                        **{"saliency_mean": 0.0, "saliency_var": 0.0},
                        **{"frame_diff_mean": 4.0, "y_avg": 100.0, "y_var": 120.0},
                    }
                )
    return Cells.of(pd.DataFrame(rows).reindex(columns=list(CELL_COLUMNS)))
