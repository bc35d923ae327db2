"""The predictors that come with the package: fitted to the bundled cells when they are asked for.

A fit is closed form and takes milliseconds, so that nothing trained is shipped and nothing that is
shipped can be out of date. What the gate says of them is judged then, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from fr_ensemble_assets.calibration.rules import Answer, WeightedScores, source_table
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.schema import TARGET
from fr_ensemble_assets.predictors.cells import BUNDLED_CELLS, Cells, read_cells
from fr_ensemble_assets.predictors.gate import CodecVerdict, judge_scored_probe
from fr_ensemble_assets.predictors.ladders import NoCurves, ladders_of
from fr_ensemble_assets.predictors.model import ScoredProbe


@dataclass(frozen=True)
class CodecPredictor:
    """One codec's predictor and what the gate says of it.

    Attributes
    ----------
    predictor
        Fitted to all sources.
    verdict
        Of folds of sources held out, on the same cells. A codec that is held can still be
        searched with, since the answer of a search is measured; its plan promises less.
    """

    encoder: str
    predictor: ScoredProbe
    verdict: CodecVerdict

    def half_width(self, confidence: float) -> Answer | None:
        """What the predictor errs by, in VMAF, on sources held out; ``None`` if none was judged.

        By source, since that is what the promise is about: K of them carry K / (K + 1).
        """
        if self.verdict.evaluation is None:
            return None
        table = self.verdict.evaluation.predictions
        errors = np.abs((table["predicted"] - table[TARGET]).to_numpy(dtype=np.float64))
        source = np.unique(table["src"].to_numpy(dtype=str), return_inverse=True)[1]
        carried = source_table(WeightedScores.of(errors, source), floor=0.0)
        return None if carried is None else carried.at(confidence)


@cache
def bundled_cells() -> Cells:
    """Read once a process."""
    return read_cells(BUNDLED_CELLS).cells


def codec_predictor_of(cells: Cells, encoder: str) -> CodecPredictor:
    """The predictor of one codec, fitted to ``cells``.

    Raises
    ------
    UnusableInput
        If the cells hold nothing that it could be fitted to.
    """
    try:
        predictor = ScoredProbe(ladders_of(cells, encoder))
    except NoCurves as error:
        raise UnusableInput(
            f"{encoder}: expected one of {', '.join(cells.encoders)}, whose curves are known, "
            f"found another ({error})."
        ) from error
    return CodecPredictor(encoder, predictor, judge_scored_probe(cells, encoder, others=False))


def require_known(encoders: Sequence[str], known: Sequence[str]) -> None:
    """Raise :class:`UnusableInput` if there is no predictor for one of ``encoders``."""
    for name in encoders:
        if name not in known:
            raise UnusableInput(
                f"--encoder: expected some of {', '.join(known)}, for which there is a "
                f"predictor, found '{name}'."
            )
