"""Do the intervals hold for members under other seeds than those that they were calibrated on?

``.venv/bin/python -m benchmarks.other_seeds [FOLDER]`` takes four draws of five seeds from FOLDER,
or trains them (:mod:`benchmarks.draws`). Leave-one-source-out coverage is seen through one draw;
the members that ship are a draw of their own. So each source is left out, and the members of one
draw that never saw it are tried under quantiles that another draw gave on the other sources.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from benchmarks.draws import Draw, by_unit, draws
from fr_ensemble_assets.calibration.pooling import OutOfFold
from fr_ensemble_assets.calibration.rules import (
    REPORTED_LEVELS,
    WeightedScores,
    bounds,
    normal_quantile,
    normalised_scores,
)
from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS, read_corpus

LEVEL = 0.95

Floats = npt.NDArray[np.float64]
#: Share of a source that is covered, and mean width.
Tried = tuple[float, float]


def plain(calibrated: Draw, members: Draw, source: int) -> Iterator[tuple[str, Tried]]:
    """What consumers of the manifest compute, per frame: members as they are."""
    frames, rows = calibrated.predicted.raw, members.predicted.raw
    others, mine = frames.source_index != source, rows.source_index == source
    off = np.abs(frames.target - frames.mean)
    weighted = WeightedScores.of(
        normalised_scores(off, frames.sigma, 0.0)[others], frames.source_index[others]
    )
    level = np.array([LEVEL])
    units = float(frames.sigma[others].mean()) / members.sigma_seen(source)
    quantiles = {
        "raw mean ± 1.96 sigma": normal_quantile(LEVEL),
        "raw mean ± q·sigma, q of rule frame": float(weighted.frame_quantiles(level)[0]) * units,
        "raw mean ± q·sigma, q of rule source": float(weighted.quantiles(level)[0]) * units,
    }
    for name, quantile in quantiles.items():
        half = quantile * rows.sigma[mine]
        held = np.abs(rows.target - rows.mean)[mine] <= half
        yield name, (float(np.mean(held)), float(np.mean(2 * half)))


def ruled(calibrated: OutOfFold, rows: OutOfFold, source: int, level: float, rule: str) -> Tried:
    """One rule of ours, recentred members."""
    weighted = WeightedScores.of(
        normalised_scores(calibrated.residual, calibrated.sigma, calibrated.floor),
        calibrated.source_index,
    )
    find = weighted.quantiles if rule == "source" else weighted.frame_quantiles
    quantile, mine = float(find(np.array([level]), without=source)[0]), rows.source_index == source
    lower, upper = bounds(rows.mu[mine], rows.sigma[mine], quantile, rows.floor)
    held = (lower <= rows.target[mine]) & (rows.target[mine] <= upper)
    return float(np.mean(held)), float(np.mean(upper - lower))


def told(found: list[Tried]) -> list[str]:
    shares, widths = np.array(found).T
    return [f"{shares.mean():.1%}", f"{shares.min():.0%}", f"{widths.mean():.2f}"]


def main() -> None:
    console, corpus = Console(width=150), read_corpus(BUNDLED_CORPUS).corpus
    every, sources = draws(corpus), range(len(corpus.sources))
    table = Table("interval", "members", "covered", "worst source", "width", title=f"{LEVEL:.0%}")
    for members in every:
        tried: dict[str, list[Tried]] = {}
        for calibrated in every:
            if calibrated is not members:
                for source in sources:
                    for name, one in plain(calibrated, members, source):
                        tried.setdefault(name, []).append(one)
        for name, found in tried.items():
            table.add_row(name, members.name, *told(found))
    console.print(table)
    rules = Table("per", "rule", "members", *(f"{level:.0%}" for level in REPORTED_LEVELS))
    rules.title = "recentred: covered, worst source, mean width"
    pooled = {draw.name: dict(by_unit(draw.predicted.recentred)) for draw in every}
    for unit in ("frame", "encode"):
        for rule in ("frame", "source"):
            for name in pooled:
                pairs = [(a, b) for a, b in permutations(pooled, 2) if b == name]
                cells = []
                for level in REPORTED_LEVELS:
                    found = [
                        ruled(pooled[a][unit], pooled[b][unit], source, level, rule)
                        for a, b in pairs
                        for source in sources
                    ]
                    cells.append(", ".join(told(found)))
                rules.add_row(unit, rule, name, *cells)
    console.print(rules)


if __name__ == "__main__":
    main()
