"""What a codec's folds reached: kept with its predictions, and judged from them again.

Beside the cells, in the contract's own folder: ``planning/<cells sha256>/fr_predictor_<codec>-…/``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from upath import UPath

from fr_ensemble_assets.contract.agreed import codec_predictor
from fr_ensemble_assets.contract.places import Places
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import sha256_of
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.predictors.cells import Cells
from fr_ensemble_assets.predictors.evaluation import NotJudged, task_of, to_be_predicted
from fr_ensemble_assets.predictors.folds import FOLD_SEED, folds_digest
from fr_ensemble_assets.predictors.gate import (
    SCORED_PROBE,
    CodecVerdict,
    Grouping,
    decide,
    judge_scored_probe,
)
from fr_ensemble_assets.predictors.probe import PROBE, judge_probe

if TYPE_CHECKING:
    from fr_ensemble_assets.predictors.schema import KindResultsDocument

RESULTS_FILE = "predictor_results.json"
_VERSION = 1
_REMEDY = "materialise 'predictor_results' for this codec again"


@dataclass(frozen=True)
class CodecVerdicts:
    """Both kinds of one codec's predictor, judged on the same folds.

    Attributes
    ----------
    scored
        The kind ``scored-probe``: from one encode that was scored. The codec's verdict.
    unscored
        The kind ``probe``: from one cheap encode that wasn't; a file of it needs its own PASS.
    """

    scored: CodecVerdict
    unscored: CodecVerdict

    @property
    def encoder(self) -> str:
        return self.scored.encoder

    @property
    def kinds(self) -> tuple[CodecVerdict, CodecVerdict]:
        return self.scored, self.unscored


def judge_codec(cells: Cells, encoder: str, others: bool = True) -> CodecVerdicts:
    """Train and judge both kinds; ``others`` asks how other groupings of the first come out.

    What this process trained on these cells it trains once.
    """
    known = _fitted.get((cells.sha256, encoder))
    if known is not None and (known.scored.others or known.scored.evaluation is None or not others):
        return known
    return judge_anew(cells, encoder, others)


def judge_anew(cells: Cells, encoder: str, others: bool = True) -> CodecVerdicts:
    """:func:`judge_codec`, whatever was trained before."""
    judged = CodecVerdicts(
        judge_scored_probe(cells, encoder, others), judge_probe(cells, encoder, others=False)
    )
    _fitted[cells.sha256, encoder] = judged
    return judged


#: What this very process trained, by cells and codec; nothing of it was read from a store.
_fitted: dict[tuple[str, str], CodecVerdicts] = {}


def results_folder(home: Home, cells: Cells, encoder: str) -> UPath:
    """Where a codec's results on these cells lie."""
    return Places(home, codec_predictor(encoder), cells.sha256).results


def save_results(folder: UPath, cells: Cells, verdicts: CodecVerdicts) -> None:
    """Keep predictions, digests and what was told beside them, whole or not at all."""
    store.put_json(
        folder / RESULTS_FILE,
        {
            "schema_version": _VERSION,
            "contract": codec_predictor(verdicts.encoder).id,
            "codec": verdicts.encoder,
            "corpus_sha256": cells.sha256,
            "fold_seed": FOLD_SEED,
            "kinds": {
                "scored_probe": _kept(verdicts.scored),
                "probe": _kept(verdicts.unscored),
            },
        },
    )


def _kept(verdict: CodecVerdict) -> Mapping[str, Any]:
    found = verdict.evaluation
    if found is None:
        return {"status": verdict.status, "reasons": list(verdict.reasons), "predicted": None}
    return {
        "status": verdict.status,
        "reasons": list(verdict.reasons),
        "folds_sha256": folds_digest(found.folds),
        "predictions_sha256": found.predictions_sha256,
        "predicted": found.predictions["predicted"].tolist(),
        "other_groupings": [asdict(other) for other in verdict.others],
    }


def load_results(folder: UPath, cells: Cells, encoder: str) -> CodecVerdicts:
    """Judge stored predictions again: truth and folds are taken from ``cells``, never from them.

    Raises
    ------
    UnusableInput
        If there are none, or they are of another codec, other cells or another contract.
    """
    path = folder / RESULTS_FILE
    data = store.read(path, f"results of the predictor of {encoder}")
    seen = (cells.sha256, encoder, sha256_of(data))
    if seen not in _judged_again:
        _judged_again[seen] = _judge_stored(path, data, cells, encoder)
    return _judged_again[seen]


#: What this process judged again, by cells, codec and the very bytes of the results.
_judged_again: dict[tuple[str, str, str], CodecVerdicts] = {}


def _judge_stored(path: UPath, data: bytes, cells: Cells, encoder: str) -> CodecVerdicts:
    from fr_ensemble_assets.foundation.documents import parse_document
    from fr_ensemble_assets.predictors.schema import CodecResultsDocument

    kept = parse_document(CodecResultsDocument, data, str(path))
    wanted = (codec_predictor(encoder).id, encoder, cells.sha256, FOLD_SEED)
    if (kept.contract, kept.codec, kept.corpus_sha256, kept.fold_seed) != wanted:
        raise UnusableInput(
            f"{path}: expected results of {encoder} on cells {cells.sha256}, found those of "
            f"{kept.codec} on {kept.corpus_sha256}; {_REMEDY}."
        )
    return CodecVerdicts(
        _judged(path, cells, encoder, SCORED_PROBE, kept.kinds.scored_probe),
        _judged(path, cells, encoder, PROBE, kept.kinds.probe),
    )


def _judged(
    path: UPath, cells: Cells, encoder: str, kind: str, document: KindResultsDocument
) -> CodecVerdict:
    if document.predicted is None:
        # Cells that can't be judged are refused before anything is fitted: asked once more.
        ask = judge_scored_probe if kind == SCORED_PROBE else judge_probe
        found = ask(cells, encoder, False)
        if found.evaluation or (found.status, found.reasons) != (document.status, document.reasons):
            raise UnusableInput(
                f"{path}: expected why {encoder} has no verdict on the kind '{kind}', found "
                f"another reason than its cells give; {_REMEDY}."
            )
        return found
    try:
        task = task_of(cells, encoder)
        task = task if kind == SCORED_PROBE else task.judging_all()
        evaluation = to_be_predicted(cells.sha256, task, kind)
    except NotJudged as refusal:
        raise UnusableInput(
            f"{path}: expected no predictions of {encoder}, which has no verdict ({refusal}), "
            f"found some; {_REMEDY}."
        ) from refusal
    predicted = np.array(document.predicted)
    if len(predicted) != len(evaluation.predictions):
        raise UnusableInput(
            f"{path}: expected {len(evaluation.predictions)} predictions of the kind '{kind}', "
            f"found {len(predicted)}; {_REMEDY}."
        )
    table = evaluation.predictions.assign(predicted=predicted)
    evaluation = replace(evaluation, predictions=table)
    told = (document.folds_sha256, document.predictions_sha256)
    if told != (folds_digest(evaluation.folds), evaluation.predictions_sha256):
        raise UnusableInput(
            f"{path}: expected folds and predictions of the kind '{kind}' that have their "
            f"digests, found others; {_REMEDY}."
        )
    others = tuple(
        Grouping(o.fold_seed, o.mean_plcc, o.plcc_spread, o.lowest_plcc, o.passes)
        for o in document.other_groupings
    )
    return decide(evaluation, others)
