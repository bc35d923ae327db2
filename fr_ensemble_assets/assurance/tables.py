"""What stands beside a verdict, as rows that a person can read."""

from __future__ import annotations

from collections.abc import Sequence

from fr_ensemble_assets.assurance.assess import Assurance
from fr_ensemble_assets.assurance.breakdown import GroupAgreement
from fr_ensemble_assets.foundation.wording import shown
from fr_ensemble_assets.loso.plots import SOURCES_DRAWN, WORST_FOLDS

#: Two names of sources stand in a row, which has to fit a window.
_NAME_LIMIT = 30
Cell = str | int | float | None
Rows = list[dict[str, Cell]]


def assurance_tables(assurance: Assurance) -> dict[str, Rows]:
    """Tables by name: what was asked and what came of it, then groups of rows."""
    parts = assurance.breakdown
    return {
        "evidence_table": _asked(assurance),
        "baselines": [
            {
                "model": b.name,
                "plcc": b.plcc,
                "lowest_plcc": b.lowest_plcc,
                "rmse": round(b.rmse, 4),
                "skill_of_the_ensemble": round(b.skill, 3),
                "sources_won": f"{b.won} of {b.sources}",
            }
            for b in assurance.baselines
        ],
        **_groups("by_encoder", parts.by_encoder),
        **_groups("by_family", parts.by_family),
        **_groups("frames_by_source", parts.frames_by_source),
        **_groups("encodes_by_source", parts.encodes_by_source),
    }


def _groups(name: str, groups: Sequence[GroupAgreement]) -> dict[str, Rows]:
    """All of them, or of many the worst: an event of Dagster's holds the table."""
    if len(groups) <= SOURCES_DRAWN:
        return {name: [_group(group) for group in groups]}
    worst = sorted(groups, key=lambda group: -group.rmse)[:WORST_FOLDS]
    return {f"{name}, the worst {len(worst)} of {len(groups):,}": [_group(g) for g in worst]}


def _asked(assurance: Assurance) -> Rows:
    """One question a row."""
    rows: Rows = [
        {
            "question": f"mean PLCC with {control.name}",
            "answer": f"{control.mean:.3f}, at most {control.highest:.3f}; {control.passed} of "
            f"{control.tries} pass",
        }
        for control in assurance.controls
    ]
    sure, parts = assurance.certainty, assurance.breakdown
    if sure is not None:
        rows += [
            {"question": "mean PLCC, sources drawn anew, 95 %", "answer": _range(sure.mean_plcc)},
            {"question": "spread, sources drawn anew, 95 %", "answer": _range(sure.plcc_spread)},
            {"question": "chance that the verdict flips", "answer": f"{sure.flips:.3%}"},
            {
                "question": "mean PLCC, any two sources left out",
                "answer": _range(sure.two_out_mean),
            },
            {
                "question": "PLCC under which one new source makes it HOLD",
                "answer": _figure(sure.one_new_source),
            },
        ]
    rows += [
        {"question": "PLCC across sources, within a cell", "answer": _figure(parts.within_cells)},
        {"question": "mean PLCC, Fisher's z, 95 %", "answer": _range(parts.fisher)},
        {
            "question": "rank correlation of sigma and |error|",
            "answer": _figure(parts.sigma_rank),
        },
    ]
    return rows


def _range(ends: tuple[float, float] | None) -> str:
    return "undefined" if ends is None else f"{ends[0]:.5f} to {ends[1]:.5f}"


def _figure(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"


def _group(group: GroupAgreement) -> dict[str, Cell]:
    return {
        "name": shown(group.name, _NAME_LIMIT),
        "rows": group.rows,
        "plcc": group.plcc,
        "rmse": round(group.rmse, 4),
        "mae": round(group.mae, 4),
        "slope": group.slope,
        "worst_source": shown(group.worst_source, _NAME_LIMIT),
        "worst_rmse": round(group.worst_rmse, 4),
    }
