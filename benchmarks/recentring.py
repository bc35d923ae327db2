"""What recentring members on their own training rows is worth, for four draws of five seeds.

``.venv/bin/python -m benchmarks.recentring FOLDER`` takes the draws from FOLDER, or trains them
(:mod:`benchmarks.draws`). Everything is measured on sources left out. Then the same intervals for
the members of another draw than the one that they were calibrated on: that is what a user meets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from benchmarks.draws import by_unit, draws, out_of_fold
from fr_ensemble_assets.calibration.coverage import UNITS, leave_one_source_out
from fr_ensemble_assets.calibration.interpolation import (
    interpolation_tables,
    leave_one_quality_out,
)
from fr_ensemble_assets.calibration.pooling import OutOfFold, pool_encodes
from fr_ensemble_assets.calibration.rules import (
    RECENTRED_FLOOR,
    REPORTED_LEVELS,
    SIGMA_FLOOR,
    WeightedScores,
    bounds,
    normalised_scores,
)
from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS, read_corpus
from fr_ensemble_assets.training.recentre import RIDGE

RIDGES = (0.01, RIDGE, 1.0, 10.0)
FLOORS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)

Floats = npt.NDArray[np.float64]


def quantile(rows: OutOfFold, level: float, floor: float, without: int) -> float:
    weighted = WeightedScores.of(
        normalised_scores(rows.residual, rows.sigma, floor), rows.source_index
    )
    return float(weighted.quantiles(np.array([level]), without=without)[0])


def tried_on(rows: OutOfFold, source: int, quantile: float, floor: float) -> tuple[float, float]:
    """Share of one source that is covered, and mean width."""
    mine = rows.source_index == source
    lower, upper = bounds(rows.mu[mine], rows.sigma[mine], quantile, floor)
    target = rows.target[mine]
    return float(np.mean((lower <= target) & (target <= upper))), float(np.mean(upper - lower))


def coverage_table(draws: Mapping[str, OutOfFold], title: str, floor: float) -> Table:
    """Coverage, worst source and width of rule ``source`` for each draw."""
    table = Table("per", "draw", "RMSE", *(f"{level:.0%}" for level in REPORTED_LEVELS))
    table.title = title
    for draw, frames in draws.items():
        for unit, rows in by_unit(frames):
            found = leave_one_source_out(rows, unit, rules=("source",), floor=floor)
            cells = [
                f"{c.coverage:.1%} ± {2 * c.standard_error:.1%}, {c.lowest.coverage:.0%}, "
                f"{c.width:.2f}"
                for c in found
            ]
            table.add_row(unit, draw, f"{np.sqrt(np.mean(rows.residual**2)):.3f}", *cells)
    return table


def other_draw_table(draws: Mapping[str, OutOfFold], title: str, floor: float) -> Table:
    """Members of one draw, under the quantiles of each other draw; the source left out of both."""
    table = Table("per", "members", *(f"{level:.0%}" for level in REPORTED_LEVELS))
    table.title = f"{title}, calibrated with another draw"
    pooled = {draw: dict(by_unit(frames)) for draw, frames in draws.items()}
    for unit in UNITS:
        for draw in draws:
            cells = []
            for level in REPORTED_LEVELS:
                found = [
                    tried_on(
                        pooled[draw][unit],
                        source,
                        quantile(pooled[other][unit], level, floor, source),
                        floor,
                    )
                    for other in draws
                    if other != draw
                    for source in range(len(draws[draw].sources))
                ]
                shares, widths = np.array(found).T
                cells.append(f"{shares.mean():.1%}, {shares.min():.0%}, {widths.mean():.2f}")
            table.add_row(unit, draw, *cells)
    return table


def nested_table(draws: Mapping[str, OutOfFold], level: float = 0.95) -> Table:
    """The floor chosen by width without the source on which it is then tried."""
    table = Table("draw", "floors chosen", "frames", "encodes", title=f"floor, nested, {level:.0%}")
    for draw, frames in draws.items():
        pooled = [rows for _, rows in by_unit(frames)]
        chosen, found = [], []
        for source in range(len(frames.sources)):
            floor = min(FLOORS, key=lambda f: overall_width(pooled, f, source))
            chosen.append(floor)
            found.append(
                [tried_on(r, source, quantile(r, level, floor, source), floor) for r in pooled]
            )
        shares, widths = np.array(found).transpose(2, 1, 0)
        cells = [
            f"{s.mean():.1%}, {s.min():.0%}, {w.mean():.2f}"
            for s, w in zip(shares, widths, strict=True)
        ]
        table.add_row(draw, ", ".join(f"{f:g}: {n}" for f, n in Counter(chosen).items()), *cells)
    return table


def overall_width(pooled: list[OutOfFold], floor: float, without: int) -> float:
    """Geometric mean of the widths at 90 and 95 % over all sources but one."""
    widths = []
    for rows in pooled:
        others = rows.source_index != without
        counts = np.bincount(rows.source_index)
        for level in (0.9, 0.95):
            lower, upper = bounds(rows.mu, rows.sigma, quantile(rows, level, floor, without), floor)
            of_source = np.bincount(rows.source_index, (upper - lower) * others) / counts
            widths.append(of_source.sum() / (len(counts) - 1))
    return float(np.exp(np.mean(np.log(widths))))


def interpolation_table(frames: OutOfFold) -> Table:
    """The error at a quality left out, against the quality value and along the mean curve."""
    table = Table("curve", "mean error", "95 % of errors", "greatest", "share at 95 %")
    encodes = pool_encodes(frames)
    for name, along in (("over the quality value", False), ("along the mean curve", True)):
        left_out = leave_one_quality_out(encodes, along)
        error = left_out.error
        share = interpolation_tables(left_out)["any"].at(0.95).quantile
        figures = (error.mean(), np.quantile(error, 0.95), error.max(), share)
        table.add_row(name, *(f"{figure:.3f}" for figure in figures))
    return table


def main() -> None:
    console, corpus = Console(width=140), read_corpus(BUNDLED_CORPUS).corpus
    scores = {draw.name: draw.scores for draw in draws(corpus)}
    raw = {draw: out_of_fold(corpus, s, None) for draw, s in scores.items()}
    recentred = {
        ridge: {draw: out_of_fold(corpus, s, ridge) for draw, s in scores.items()}
        for ridge in RIDGES
    }
    console.print("cells: covered ± two standard errors, worst source, mean width in VMAF")
    console.print(coverage_table(raw, "raw members", SIGMA_FLOOR))
    for ridge, found in recentred.items():
        console.print(coverage_table(found, f"recentred, ridge {ridge:g}", RECENTRED_FLOOR))
    console.print(other_draw_table(raw, "raw members", SIGMA_FLOOR))
    console.print(other_draw_table(recentred[RIDGE], "recentred", RECENTRED_FLOOR))
    console.print(nested_table(recentred[RIDGE]))
    console.print(interpolation_table(raw["0-4"]))


if __name__ == "__main__":
    main()
