"""What the intervals are worth on the bundled corpus, for four draws of five seeds.

``.venv/bin/python -m benchmarks.intervals [FOLDER]`` takes the draws from FOLDER, or trains them
(:mod:`benchmarks.draws`). Every source is left out in turn, calibrated on the others, and measured.
The README's plot is made anew in passing, of the first draw.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.draws import Draw, draws
from fr_ensemble_assets.calibration.calibrate import Calibration, calibrate
from fr_ensemble_assets.calibration.coverage import Coverage, Unit
from fr_ensemble_assets.calibration.draw import compare_draws, find_draw
from fr_ensemble_assets.calibration.floors import ABSOLUTE, compare_floors
from fr_ensemble_assets.calibration.plots import calibration_figure
from fr_ensemble_assets.calibration.pooling import pool_encodes
from fr_ensemble_assets.calibration.rules import REPORTED_LEVELS
from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS, read_corpus
from fr_ensemble_assets.foundation.figures import png_bytes

PLOT = Path(__file__).parents[1] / "docs" / "images" / "calibration.png"
#: Mean width at 95 % that issue and README speak of, in VMAF.
WIDEST: dict[Unit, float] = {"frame": 1.7, "encode": 1.4}


def coverage_table(calibrations: dict[str, Calibration]) -> Table:
    """Coverage of sources left out: what was asked, what was got, at which width."""
    table = Table("per", "rule", "draw", *(f"{level:.0%}" for level in REPORTED_LEVELS))
    table.title = "covered ± standard error, worst source, mean width in VMAF"
    for unit in WIDEST:
        for rule in ("gaussian", "frame", "source"):
            for draw, made in calibrations.items():
                found = [c for c in made.coverages if (c.unit, c.rule) == (unit, rule)]
                table.add_row(unit, rule, draw, *map(_told, found))
    return table


def _told(c: Coverage) -> str:
    if not c.measured:
        return "too few sources"
    return (
        f"{c.coverage:.1%} ± {c.standard_error:.1%}, {c.lowest.name} {c.lowest.coverage:.0%}, "
        f"{c.width:.2f}"
    )


def target_table(calibrations: dict[str, Calibration]) -> Table:
    """Rule ``source`` against what was aimed at."""
    table = Table("draw", *(f"{unit}: {what}" for unit in WIDEST for what in ("95 %", "50, 80 %")))
    table.title = "targets"
    for draw, made in calibrations.items():
        cells = []
        for unit, widest in WIDEST.items():
            by_level = {c.level: c for c in made.coverages if (c.unit, c.rule) == (unit, "source")}
            high, low = by_level[0.95], [by_level[0.5], by_level[0.8]]
            met = high.coverage >= 0.95 and high.width <= widest
            if unit == "frame":
                met &= high.lowest.coverage >= 0.9
            cells.append(f"{'met' if met else 'MISSED'} ({_told(high)})")
            within = all(abs(c.coverage - c.level) <= 2 * c.standard_error for c in low)
            off = ", ".join(f"{(c.coverage - c.level) / c.standard_error:+.1f} se" for c in low)
            cells.append(f"{'met' if within else 'MISSED'} ({off})")
        table.add_row(draw, *cells)
    return table


def encoder_table(calibration: Calibration, level: float = 0.95) -> Table:
    """Coverage by encoder at one level, per encode."""
    chosen = [c for c in calibration.coverages if c.level == level and c.unit == "encode"]
    table = Table(f"first draw, per encode at {level:.0%}", *(c.rule for c in chosen))
    for groups in zip(*(c.by_encoder for c in chosen), strict=True):
        table.add_row(groups[0].name, *(f"{g.coverage:.1%}" for g in groups))
    return table


def floor_table(draw: Draw) -> Table:
    """Widths at equal coverage by floor, the narrowest first; nothing is nested here."""
    frames = draw.predicted.recentred
    table = Table("sigma floor", "frame 90%", "frame 95%", "encode 90%", "encode 95%", "overall")
    for found in compare_floors(frames, pool_encodes(frames)):
        name = "absolute" if found.floor == ABSOLUTE else f"{found.floor:g}"
        widths = (*found.frame_widths, *found.encode_widths, found.overall)
        table.add_row(name, *(f"{width:.2f}" for width in widths))
    return table


def shipped_table(every: list[Draw]) -> Table:
    """What the check ``coverage`` of the members says: shipped ones on their own training rows."""
    table = Table("draw", "passes", "what it finds", title="shipped members, training rows")
    for draw in every:
        found = find_draw(compare_draws(draw.predicted.recentred, draw.shipped))
        table.add_row(draw.name, str(found.passed), found.observed)
    return table


def main() -> None:
    console, corpus = Console(width=150), read_corpus(BUNDLED_CORPUS).corpus
    every = draws(corpus)
    calibrations = {
        d.name: calibrate(corpus, d.predicted.raw, d.predicted.recentred) for d in every
    }
    console.print(coverage_table(calibrations))
    console.print(target_table(calibrations))
    console.print(shipped_table(every))
    console.print(floor_table(every[0]))
    console.print(encoder_table(next(iter(calibrations.values()))))
    for name, made in calibrations.items():
        told = ", ".join(f"{rule} {t.at(0.95).quantile:.3f}" for rule, t in made.plain.items())
        width = 2 * np.array([t.at(0.95).quantile for t in made.plain.values()]) * made.mean_sigma
        widths = " and ".join(f"{w:.2f}" for w in width)
        console.print(f"{name}: q of raw mean ± q·sigma at 95 %: {told}; mean width {widths}")
    figure = png_bytes(calibration_figure(every[0].predicted.recentred))
    PLOT.write_bytes(figure)
    console.print(f"{PLOT}: {len(figure) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
