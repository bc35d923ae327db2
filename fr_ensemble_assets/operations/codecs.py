"""The codecs' predictors as they stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home

if TYPE_CHECKING:
    from fr_ensemble_assets.predictors.results import CodecVerdicts


@dataclass(frozen=True)
class Codecs:
    """What the gate says of the codecs' predictors.

    Attributes
    ----------
    cells_sha256
        The cells that they were judged on; ``None`` where there are none.
    verdicts
        Of each codec that has cells, in the vocabulary's order.
    problem
        Why there are no verdicts; empty if there are, or if nobody asked for any yet.
    """

    cells_sha256: str | None = None
    verdicts: tuple[CodecVerdicts, ...] = ()
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "cells_sha256": self.cells_sha256,
            "codecs": {
                one.encoder: {
                    "verdict": "PASS" if one.scored.passed else "HOLD",
                    "mean_plcc": one.scored.mean_plcc,
                    "plcc_spread": one.scored.plcc_spread,
                    "rmse": one.scored.rmse,
                    "reasons": list(one.scored.reasons),
                    "unscored_probe": one.unscored.status,
                }
                for one in self.verdicts
            },
            "problem": self.problem or None,
        }


def standing_codecs(home: Home, cells_sha256: str | None) -> Codecs:
    """What stands: the verdicts on these cells, judged again from stored predictions."""
    if cells_sha256 is None:
        return Codecs()
    from fr_ensemble_assets.predictors.published import verdicts_in

    try:
        return Codecs(cells_sha256, verdicts_in(home, cells_sha256))
    except UnusableInput as error:
        return Codecs(cells_sha256, problem=str(error))
