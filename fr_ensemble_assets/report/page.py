"""The report as one HTML page: no other file, no script, light and dark as the reader has it."""

from __future__ import annotations

import base64
from functools import cache
from typing import TYPE_CHECKING

from fr_ensemble_assets.contract.thresholds import ADR_0303
from fr_ensemble_assets.foundation.figures import png_bytes
from fr_ensemble_assets.gate.advice import next_step
from fr_ensemble_assets.gate.plots import verdict_figure
from fr_ensemble_assets.report.evidence import Evidence

if TYPE_CHECKING:
    from jinja2 import Environment


def report_page(evidence: Evidence) -> bytes:
    """The page; the same evidence gives the same bytes."""
    judgement = evidence.judgement
    figure = png_bytes(verdict_figure(judgement, evidence.previous))
    return (
        _templates()
        .get_template("report.html.j2")
        .render(
            e=evidence,
            decision=judgement.decision,
            next_step=next_step(judgement.decision, judgement.scores),
            limits=ADR_0303,
            plot=base64.b64encode(figure).decode(),
        )
        .encode()
    )


@cache
def _templates() -> Environment:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    # The card lends its style: two pages of one house.
    rooms = ("fr_ensemble_assets.report", "fr_ensemble_assets.card")
    made = Environment(
        loader=ChoiceLoader([PackageLoader(room) for room in rooms]),
        undefined=StrictUndefined,
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        keep_trailing_newline=True,
    )
    made.filters["figure"] = _figure
    return made


def _figure(value: float | None, form: str = ".4f") -> str:
    return "undefined" if value is None else format(value, form)
