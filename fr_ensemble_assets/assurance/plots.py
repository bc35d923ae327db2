"""What stands beside a verdict in one figure: simpler models, controls, encoders, sources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fr_ensemble_assets.contract.thresholds import ADR_0303
from fr_ensemble_assets.foundation.figures import (
    FAIL_COLOUR,
    LINE_COLOUR,
    PALETTE,
    name_sources,
    named_height,
    stacked_figure,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fr_ensemble_assets.assurance.assess import Assurance

_SOURCES = 10


@styled
def assurance_figure(assurance: Assurance) -> Figure:
    """How much the verdict says.

    From the top: RMSE of the ensemble and of what needs no network, by the same folds; mean PLCC of
    controls that must not pass, beside the gate's line; the sources with the largest error.
    """
    hardest = min(_SOURCES, len(assurance.breakdown.frames_by_source))
    rows = (len(assurance.baselines) + 1, len(assurance.controls) + 1, hardest)
    figure, (models, gate, sources) = stacked_figure([named_height(count) for count in rows])
    _draw_models(models.subplots(), assurance)
    _draw_controls(gate.subplots(), assurance)
    _draw_sources(sources.subplots(), assurance)
    return figure


def _draw_models(axis: Axes, assurance: Assurance) -> None:
    named = [
        ("the ensemble", assurance.ensemble_rmse),
        *((b.name, b.rmse) for b in assurance.baselines),
    ]
    named.sort(key=lambda pair: -pair[1])
    colours = [PALETTE[0] if name == "the ensemble" else PALETTE[7] for name, _ in named]
    _draw_bars(axis, [rmse for _, rmse in named], colours)
    axis.set_yticks(range(len(named)), [name for name, _ in named], fontsize=8.5)
    axis.set_xlabel("RMSE on sources left out, VMAF")
    axis.set_title("Against simpler models")


def _draw_controls(axis: Axes, assurance: Assurance) -> None:
    for place, control in enumerate(assurance.controls):
        axis.plot([control.mean, control.highest], [place] * 2, color=FAIL_COLOUR, linewidth=4)
    place = len(assurance.controls)
    if assurance.certainty is not None:
        axis.plot(assurance.certainty.mean_plcc, [place] * 2, color=PALETTE[0], linewidth=4)
    names = [c.name.removeprefix("scores ") for c in assurance.controls]
    axis.set_yticks(range(place + 1), [*names, "the verdict, 95 %"], fontsize=8.5)
    axis.axvline(ADR_0303.mean_plcc_min, color=LINE_COLOUR, linestyle="--", linewidth=1)
    axis.set_ylim(-0.5, place + 0.5)
    axis.set_xlabel("mean PLCC; controls: mean to highest")
    axis.set_title("Scores that can't be learnt must stay left of the gate's line")


def _draw_sources(axis: Axes, assurance: Assurance) -> None:
    groups = sorted(assurance.breakdown.frames_by_source, key=lambda group: -group.rmse)
    shown = groups[:_SOURCES]
    _draw_bars(axis, [group.rmse for group in shown], PALETTE[0])
    name_sources(axis, [group.name for group in shown], len(groups))
    axis.set_xlabel("RMSE when held out, VMAF")
    axis.set_title("Sources with the largest error")


def _draw_bars(axis: Axes, lengths: Sequence[float], colour: str | Sequence[str]) -> None:
    bars = axis.barh(range(len(lengths)), lengths, color=colour)
    axis.bar_label(bars, fmt="%.2f", padding=3, fontsize=8.5)
    axis.margins(x=0.07)  # room for the longest bar's figure
