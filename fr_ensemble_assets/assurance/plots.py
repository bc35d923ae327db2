"""What stands beside a verdict in one figure: simpler models, controls, encoders, sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fr_ensemble_assets.contract.thresholds import ADR_0303
from fr_ensemble_assets.foundation.figures import (
    FAIL_COLOUR,
    LINE_COLOUR,
    PALETTE,
    new_figure,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fr_ensemble_assets.assurance.assess import Assurance

_SOURCES = 10


@styled
def assurance_figure(found: Assurance) -> Figure:
    """How much the verdict says.

    Left: RMSE of the ensemble and of what needs no network, by the same folds. Middle: mean PLCC of
    controls that must not pass, beside the gate's line. Right: the sources with the largest error.
    """
    figure, (models, gate, sources) = new_figure(height=4.2, columns=3)
    _draw_models(models, found)
    _draw_controls(gate, found)
    _draw_sources(sources, found)
    return figure


def _draw_models(axis: Axes, found: Assurance) -> None:
    named = [("the ensemble", found.ensemble_rmse), *((b.name, b.rmse) for b in found.baselines)]
    named.sort(key=lambda pair: -pair[1])
    colours = [PALETTE[0] if name == "the ensemble" else PALETTE[7] for name, _ in named]
    # A logarithm has no place for an error of nothing.
    axis.barh(range(len(named)), [max(rmse, 1e-3) for _, rmse in named], color=colours)
    axis.set_yticks(range(len(named)), [name for name, _ in named], fontsize=7)
    axis.set_xscale("log")
    axis.set_xlabel("RMSE on sources left out, VMAF")
    axis.set_title("Against simpler models")


def _draw_controls(axis: Axes, found: Assurance) -> None:
    for place, control in enumerate(found.controls):
        axis.plot([control.mean, control.highest], [place] * 2, color=FAIL_COLOUR, linewidth=4)
    place = len(found.controls)
    if found.certainty is not None:
        axis.plot(found.certainty.mean_plcc, [place] * 2, color=PALETTE[0], linewidth=4)
    names = [c.name.removeprefix("scores ") for c in found.controls]
    axis.set_yticks(range(place + 1), [*names, "the verdict, 95 %"], fontsize=7)
    axis.axvline(ADR_0303.mean_plcc_min, color=LINE_COLOUR, linestyle="--", linewidth=1)
    axis.set_ylim(-0.5, place + 0.5)
    axis.set_xlabel("mean PLCC; controls: mean to highest")
    axis.set_title("Scores that can't be learnt")


def _draw_sources(axis: Axes, found: Assurance) -> None:
    groups = sorted(found.breakdown.frames_by_source, key=lambda group: group.rmse)[-_SOURCES:]
    places = np.arange(len(groups))
    axis.barh(places, [group.rmse for group in groups], color=PALETTE[0])
    axis.set_yticks(places, [group.name for group in groups], fontsize=8)
    axis.set_xlabel("RMSE when held out, VMAF")
    axis.set_title("Hardest sources")
