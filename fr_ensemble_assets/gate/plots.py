"""All seeds in one figure: means against the gate, folds, worst sources, and what changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fr_ensemble_assets.contract.thresholds import ADR_0303
from fr_ensemble_assets.evidence.results import SeedScore
from fr_ensemble_assets.foundation.figures import (
    FAIL_COLOUR,
    LINE_COLOUR,
    PALETTE,
    PASS_COLOUR,
    new_figure,
    styled,
)
from fr_ensemble_assets.gate.previous import Previous
from fr_ensemble_assets.gate.rule import Decision, seed_plcc
from fr_ensemble_assets.gate.verdict import Judgement

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WORST_SOURCES = 8


@styled
def verdict_figure(judgement: Judgement, previous: Previous | None = None) -> Figure:
    """The gate at a glance.

    Left: every fold of every seed beside its mean, and the 0.95 line. Middle: the means, the
    spread allowed, and the means on the corpus before. Right: the sources that are hardest to
    predict unseen.
    """
    figure, (folds, means, worst) = new_figure(width=12.5, height=4.2, columns=3)
    decision, scores = judgement.decision, (*judgement.scores, *judgement.studied)
    colour = PASS_COLOUR if decision.promote else FAIL_COLOUR
    _draw_folds(folds, decision, scores, colour)
    _draw_means(means, judgement, previous, colour)
    _draw_worst(worst, judgement.scores)
    for axis in (folds, means):
        seeds = [score.seed for score in scores]
        axis.set_xticks(seeds if len(seeds) <= 10 else seeds[::5])
        axis.set_xlabel("seed")
        axis.set_ylabel("PLCC")
    return figure


def _draw_folds(axis: Axes, decision: Decision, scores: Sequence[SeedScore], colour: str) -> None:
    for score in scores:
        plccs = [fold.plcc for fold in score.folds if fold.plcc is not None]
        label = "one held-out source" if score is scores[0] else None
        places = [score.seed - 0.12] * len(plccs)
        axis.plot(places, plccs, ".", color=PALETTE[0], alpha=0.5, label=label)
    seeds, values = _defined(scores)
    beside = [seed + 0.12 for seed in seeds]
    axis.plot(beside, values, "D", color=colour, markersize=5, label="mean of the folds")
    axis.axhline(
        ADR_0303.each_plcc_min,
        color=LINE_COLOUR,
        linestyle="--",
        linewidth=1,
        label=f"threshold {ADR_0303.each_plcc_min:g}",
    )
    axis.set_title(f"{decision.verdict}: folds and means")
    axis.legend(loc="best")


def _draw_means(axis: Axes, judgement: Judgement, previous: Previous | None, colour: str) -> None:
    decision = judgement.decision
    studied, of_studied = _defined(judgement.studied)
    if studied:
        axis.plot(studied, of_studied, "D", color=PALETTE[7], label="studied, not judged")
    seeds, values = _defined(judgement.scores)
    axis.plot(seeds, values, "D", color=colour, markersize=6, label="this corpus")
    if previous is not None:
        known = {s: p for s, p in previous.per_seed_plcc.items() if p is not None}
        label = f"before, on {previous.short_sha}"
        axis.plot(
            [*known],
            [*known.values()],
            "D",
            color=PALETTE[7],
            markerfacecolor="none",
            markersize=8,
            label=label,
        )
    if decision.mean_plcc is not None:
        best, allowed = max(values), decision.thresholds.plcc_spread_max
        axis.axhspan(best - allowed, best, color=PASS_COLOUR, alpha=0.12, linewidth=0)
        axis.axhline(decision.mean_plcc, color=LINE_COLOUR, linewidth=1)
        axis.set_title(f"Spread {decision.plcc_spread:.5f} (band: {allowed:g} allowed)")
    axis.legend(loc="best")


def _draw_worst(axis: Axes, scores: Sequence[SeedScore]) -> None:
    by_source: dict[str, list[float]] = {}
    for score in scores:
        for fold in score.folds:
            by_source.setdefault(fold.held_out, []).append(0.0 if fold.plcc is None else fold.plcc)
    worst = sorted(by_source, key=lambda source: float(np.mean(by_source[source])))
    worst = worst[:WORST_SOURCES][::-1]
    for place, source in enumerate(worst):
        plccs = by_source[source]
        axis.plot(plccs, [place] * len(plccs), ".", color=PALETTE[0], alpha=0.6)
        axis.plot([min(plccs), max(plccs)], [place, place], color=PALETTE[0], linewidth=1)
    axis.set_yticks(range(len(worst)), worst, fontsize=8)
    axis.set_title("Hardest sources, a dot a seed")
    axis.set_xlabel("PLCC when held out")


def _defined(scores: Sequence[SeedScore]) -> tuple[list[int], list[float]]:
    plcc = {score.seed: seed_plcc(score) for score in scores}
    known = {seed: value for seed, value in plcc.items() if value is not None}
    return [*known], [*known.values()]
