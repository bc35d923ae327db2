"""The codecs' predictors: trained and judged in this process, and as they stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fr_ensemble_assets.contract.agreed import CODECS
from fr_ensemble_assets.corpus.in_use import CELLS, newest_corpus
from fr_ensemble_assets.foundation.errors import GateRefusal, UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.operations.in_process import execute
from fr_ensemble_assets.operations.instance import OrchestrationFailure
from fr_ensemble_assets.operations.refusals import first_failure, raise_refusals

if TYPE_CHECKING:
    import dagster as dg

    from fr_ensemble_assets.foundation.progress import Progress
    from fr_ensemble_assets.predictors.results import CodecVerdicts

_JOB = "train_predictors"


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


def train_codecs(
    instance: dg.DagsterInstance, home: Home, force: bool, progress: Progress
) -> Codecs:
    """Judge every codec's predictor on the clips' planning cells, else on the bundled ones.

    Cells that can't be used are told, and keep nobody from what comes after.

    Raises
    ------
    KeyboardInterrupt
        On Ctrl-C.
    OrchestrationFailure
        If anything failed that isn't a refusal of ours.
    """
    ops = {"predictor_results": {"config": {"force": force}}}
    result = execute(instance, home, _JOB, (CODECS[0], CODECS[-1]), progress, ops=ops)
    try:
        raise_refusals(result.all_events)
        if not result.success:
            raise OrchestrationFailure(first_failure(result.all_events) or f"{_JOB} failed")
        return standing_codecs(instance, home)
    except (UnusableInput, GateRefusal) as error:
        return Codecs(problem=str(error))


def standing_codecs(instance: dg.DagsterInstance, home: Home) -> Codecs:
    """What stands: the newest cells' verdicts, judged again from stored predictions."""
    from fr_ensemble_assets.predictors.published import verdicts_in

    sha256 = newest_corpus(instance, kind=CELLS)
    if sha256 is None:
        return Codecs()
    try:
        return Codecs(sha256, verdicts_in(home, sha256))
    except UnusableInput as error:
        return Codecs(sha256, problem=str(error))
