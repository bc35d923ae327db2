"""The codecs' predictors, trained and judged in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fr_ensemble_assets.contract.agreed import CODECS
from fr_ensemble_assets.corpus.in_use import CELLS, newest_corpus
from fr_ensemble_assets.foundation.errors import GateRefusal, UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.operations.codecs import Codecs, standing_codecs
from fr_ensemble_assets.operations.in_process import execute
from fr_ensemble_assets.operations.instance import OrchestrationFailure
from fr_ensemble_assets.operations.refusals import first_failure, raise_refusals

if TYPE_CHECKING:
    import dagster as dg

    from fr_ensemble_assets.foundation.progress import Progress

_JOB = "train_predictors"


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
        return standing_codecs(home, newest_corpus(instance, kind=CELLS))
    except (UnusableInput, GateRefusal) as error:
        return Codecs(problem=str(error))
