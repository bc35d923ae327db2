"""From scored encodes to cells: every frame pooled; and cells as a file."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
import pandas as pd
from upath import UPath

from fr_ensemble_assets.encodes.score import Scored
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.schema import CANONICAL_6
from fr_ensemble_assets.predictors.cell_schema import CELL_COLUMNS, PROBE_FEATURES
from fr_ensemble_assets.predictors.cells import Cells

#: The forms in which cells are written.
CELL_ENDINGS = (".csv", ".csv.gz")


def pool(
    scored: Sequence[Scored], probes: Mapping[tuple[str, str], Sequence[float]] | None = None
) -> Cells:
    """One cell an encode. ``probes`` holds :data:`PROBE_FEATURES` by source and encoder."""
    rows = [pooled([encode]) for encode in scored]
    for row in rows:
        known = (probes or {}).get((str(row["src"]), str(row["encoder"])))
        row.update(zip(PROBE_FEATURES, known, strict=True) if known is not None else ())
    return Cells.of(pd.DataFrame(rows).reindex(columns=list(CELL_COLUMNS)))


def pooled(parts: Sequence[Scored]) -> dict[str, str | float | None]:
    """The cell of one encode, or of the encodes of several samples of one clip, as a row."""
    cell = parts[0].cell
    features = np.mean(np.concatenate([part.features for part in parts]), axis=0)
    return {
        "src": cell.clip.src,
        "encoder": cell.encoder.name,
        "cq": float(cell.quality),
        "vmaf": float(np.mean(np.concatenate([part.vmaf for part in parts]))),
        **dict(zip(CANONICAL_6, features.tolist(), strict=True)),
        "enc_bytes": sum(part.enc_bytes for part in parts),
        # An odd edge is cropped before it is encoded.
        "width": float(cell.clip.width // 2 * 2),
        "height": float(cell.clip.height // 2 * 2),
        "frames": float(sum(part.cell.frames for part in parts)),
        "fps": float(Fraction(cell.clip.rate)),
        "preset": cell.encoder.default_preset or None,
    }


def write_cells(path: UPath, cells: Cells) -> None:
    """CSV, gzipped where ``path`` ends so; the same cells give the same bytes."""
    data = cells_bytes(cells)
    store.put(path, gzip.compress(data, mtime=0) if path.name.endswith(".gz") else data)


def cells_bytes(cells: Cells) -> bytes:
    """Cells as CSV; the same cells give the same bytes."""
    text: str = cells.frame.to_csv(index=False, lineterminator="\n")
    return text.encode()
