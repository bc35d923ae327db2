"""What the intervals are worth on the bundled corpus: every figure, from the stored predictions.

``.venv/bin/python -m benchmarks.intervals [HOME]`` takes some seconds after ``make run``. Every
source is left out in turn, calibrated on the others, and measured; nothing is trained. The README's
plot is made anew in passing.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from fr_ensemble_assets.calibration.calibrate import Calibration, calibrate
from fr_ensemble_assets.calibration.floors import ABSOLUTE, compare_floors
from fr_ensemble_assets.calibration.plots import calibration_figure
from fr_ensemble_assets.calibration.pooling import OutOfFold, out_of_fold, pool_encodes
from fr_ensemble_assets.calibration.rules import (
    REPORTED_LEVELS,
    SIGMA_FLOOR,
    WeightedScores,
    bounds,
    normalised_scores,
)
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.contract.places import Places
from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS, read_corpus
from fr_ensemble_assets.foundation.figures import png_bytes
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.gate.verdict import judge

TARGETS = range(60, 98, 2)
PLOT = Path(__file__).parents[1] / "docs" / "images" / "calibration.png"


def coverage_table(calibration: Calibration) -> Table:
    """Coverage of sources left out: what was asked, what was got, at which width."""
    table = Table("per", "rule", "level", "covered", "chance allows", "worst source", "width")
    for found in calibration.coverages:
        if found.measured:
            table.add_row(
                *(found.unit, found.rule, f"{found.level:.0%}", f"{found.coverage:.1%}"),
                f"{found.level - found.chance():.1%}",
                f"{found.lowest.name} {found.lowest.coverage:.0%}",
                f"{found.width:.2f}",
            )
    return table


def encoder_table(calibration: Calibration, level: float = 0.95) -> Table:
    """Coverage by encoder at one level, per encode."""
    chosen = [c for c in calibration.coverages if c.level == level and c.unit == "encode"]
    table = Table(f"per encode at {level:.0%}", *(c.rule for c in chosen))
    for groups in zip(*(c.by_encoder for c in chosen), strict=True):
        table.add_row(groups[0].name, *(f"{g.coverage:.1%}" for g in groups))
    return table


def floor_table(frames: OutOfFold, encodes: OutOfFold) -> Table:
    """What decides the residual: widths at equal coverage, the narrowest first."""
    table = Table("sigma floor", "frame 90%", "frame 95%", "encode 90%", "encode 95%", "overall")
    for found in compare_floors(frames, encodes):
        name = "absolute" if found.floor == ABSOLUTE else f"{found.floor:g}"
        widths = (*found.frame_widths, *found.encode_widths, found.overall)
        table.add_row(name, *(f"{width:.2f}" for width in widths))
    return table


def kept_table(encodes: OutOfFold) -> Table:
    """How often the quality that is recommended on a source left out really keeps the target.

    To choose the largest quality that passes is to use the interval where it is tightest, so that
    its coverage alone doesn't answer this.
    """
    scores = normalised_scores(encodes.residual, encodes.sigma, SIGMA_FLOOR)
    weighted = WeightedScores.of(scores, encodes.source_index)
    quality, encoders = encodes.keys["cq"].to_numpy(), encodes.keys["encoder"].to_numpy(object)
    table = Table("level", "recommendations", "kept", "worst source")
    for level in REPORTED_LEVELS:
        kept: list[list[bool]] = []
        for source in range(len(encodes.sources)):
            quantile = float(weighted.quantiles(np.array([level]), without=source)[0])
            lower, _ = bounds(encodes.mu, encodes.sigma, quantile, SIGMA_FLOOR)
            mine = encodes.source_index == source
            kept.append(
                [
                    bool(encodes.target[passing[np.argmax(quality[passing])]] >= target)
                    for encoder in sorted(set(encoders[mine]))
                    for target in TARGETS
                    if len(
                        passing := np.flatnonzero(mine & (encoders == encoder) & (lower >= target))
                    )
                ]
            )
        everything = [held for source in kept for held in source]
        worst = min(np.mean(source) for source in kept if source)
        table.add_row(
            f"{level:.0%}", str(len(everything)), f"{np.mean(everything):.1%}", f"{worst:.0%}"
        )
    return table


def main() -> None:
    console = Console()
    corpus = read_corpus(BUNDLED_CORPUS).corpus
    home = Home.at(sys.argv[1] if len(sys.argv) > 1 else None)
    folder = Places(home, ENSEMBLE, corpus.sha256).results
    frames = out_of_fold(corpus, judge(folder, corpus, ENSEMBLE).results)
    encodes, calibration = pool_encodes(frames), calibrate(corpus, frames)
    console.print(floor_table(frames, encodes))
    console.print(coverage_table(calibration))
    console.print(encoder_table(calibration))
    console.print(kept_table(encodes))
    plain = {rule: table.at(0.95).quantile for rule, table in calibration.plain.items()}
    told = ", ".join(f"{rule} {quantile:.3f}" for rule, quantile in plain.items())
    figure = png_bytes(calibration_figure(frames))
    PLOT.write_bytes(figure)
    console.print(f"{PLOT}: {len(figure) / 1000:.0f} kB")
    console.print(f"q of mean ± q·sigma at 95 %, no floor: {told}; the manifest has rule frame's")


if __name__ == "__main__":
    main()
