"""All seeds in one figure: folds and means against the gate, what changed, hardest sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fr_ensemble_assets.evidence.results import SeedScore
from fr_ensemble_assets.foundation.figures import (
    FAIL_COLOUR,
    LINE_COLOUR,
    PALETTE,
    PASS_COLOUR,
    legend_below,
    name_sources,
    named_height,
    sources_named,
    stacked_figure,
    styled,
)
from fr_ensemble_assets.gate.previous import Previous
from fr_ensemble_assets.gate.rule import Decision, seed_plcc
from fr_ensemble_assets.gate.verdict import Judgement

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANELS_HEIGHT = 4.2


@styled
def verdict_figure(judgement: Judgement, previous: Previous | None = None) -> Figure:
    """The gate at a glance.

    Left: every fold of every seed beside its mean, and the 0.95 line. Right: the means, the
    spread allowed, and the means of the last PROMOTE. Below: the sources that are hardest to
    predict unseen.
    """
    decision, scores = judgement.decision, (*judgement.scores, *judgement.studied)
    sources = _by_source(judgement.scores)
    figure, (above, below) = stacked_figure((_PANELS_HEIGHT, named_height(len(sources))))
    folds, means = above.subplots(1, 2)
    colour = PASS_COLOUR if decision.promote else FAIL_COLOUR
    _draw_folds(folds, decision, scores, colour)
    _draw_means(means, judgement, previous, colour)
    _draw_worst(below.subplots(), sources)
    for axis in (folds, means):
        seeds = [score.seed for score in scores]
        axis.set_xticks(seeds if len(seeds) <= 10 else seeds[::5])
        axis.set_xlabel("seed")
        axis.set_ylabel("PLCC")
    legend_below(above)
    return figure


def _draw_folds(axis: Axes, decision: Decision, scores: Sequence[SeedScore], colour: str) -> None:
    for score in scores:
        plccs = [fold.plcc for fold in score.folds if fold.plcc is not None]
        label = "one held-out source" if score is scores[0] else None
        places = [score.seed - 0.12] * len(plccs)
        axis.plot(places, plccs, ".", color=PALETTE[0], alpha=0.5, label=label)
    seeds, values = _defined(scores)
    beside = [seed + 0.12 for seed in seeds]
    axis.plot(beside, values, "D", color=colour, markersize=5)
    axis.axhline(
        decision.thresholds.each_plcc_min,
        color=LINE_COLOUR,
        linestyle="--",
        linewidth=1,
        label=f"threshold {decision.thresholds.each_plcc_min:g}",
    )
    axis.set_title(f"{decision.verdict}: folds and means")


def _draw_means(axis: Axes, judgement: Judgement, previous: Previous | None, colour: str) -> None:
    decision = judgement.decision
    studied, of_studied = _defined(judgement.studied)
    if studied:
        axis.plot(studied, of_studied, "D", color=PALETTE[7], label="studied, not judged")
    seeds, values = _defined(judgement.scores)
    axis.plot(seeds, values, "D", color=colour, markersize=6, label="mean of a seed's folds")
    allowed = decision.thresholds.plcc_spread_max
    if values:
        best = max(values)
        axis.axhspan(best - allowed, best, color=PASS_COLOUR, alpha=0.18, linewidth=0)
        _keep_in_view(axis, [*values, *of_studied, best - allowed])
    if previous is not None:
        _draw_previous(axis, previous)
    if decision.mean_plcc is not None:
        axis.axhline(decision.mean_plcc, color=LINE_COLOUR, linewidth=1, label="mean of the seeds")
        axis.set_title(f"Spread {decision.plcc_spread:.5f} (band: {allowed:g} allowed)")


def _keep_in_view(axis: Axes, values: Sequence[float]) -> None:
    """Our own figures and the band fill the panel, wherever those of another corpus lie."""
    low, high = min(values), max(values)
    margin = 0.08 * (high - low)
    axis.set_ylim(low - margin, high + margin)


def _draw_previous(axis: Axes, previous: Previous) -> None:
    known = {seed: plcc for seed, plcc in previous.per_seed_plcc.items() if plcc is not None}
    low, high = axis.get_ylim()
    seen = any(low <= plcc <= high for plcc in known.values())
    beyond = (
        "" if seen or previous.mean_plcc is None else f", out of view: {previous.mean_plcc:.4f}"
    )
    axis.plot(
        [*known],
        [*known.values()],
        "D",
        color=PALETTE[7],
        markerfacecolor="none",
        markersize=8,
        label=f"last PROMOTE, on {previous.name}{beyond}",
        scaley=False,
    )


def _by_source(scores: Sequence[SeedScore]) -> dict[str, list[float]]:
    """Each source's PLCC when held out, a seed after the other; the hardest source first."""
    found: dict[str, list[float]] = {}
    for score in scores:
        for fold in score.folds:
            found.setdefault(fold.held_out, []).append(0.0 if fold.plcc is None else fold.plcc)
    return dict(sorted(found.items(), key=lambda pair: float(np.mean(pair[1]))))


def _draw_worst(axis: Axes, by_source: Mapping[str, Sequence[float]]) -> None:
    worst = [*by_source.items()][: sources_named(len(by_source))]
    for place, (_, plccs) in enumerate(worst):
        axis.plot(plccs, [place] * len(plccs), ".", color=PALETTE[0], alpha=0.8)
        axis.plot([min(plccs), max(plccs)], [place, place], color=PALETTE[0], linewidth=1)
    name_sources(axis, [source for source, _ in worst], len(by_source))
    axis.set_title("Hardest sources, a dot a seed")
    axis.set_xlabel("PLCC when held out")


def _defined(scores: Sequence[SeedScore]) -> tuple[list[int], list[float]]:
    plcc = {score.seed: seed_plcc(score) for score in scores}
    known = {seed: value for seed, value in plcc.items() if value is not None}
    return [*known], [*known.values()]
