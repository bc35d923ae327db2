"""A scored-probe predictor as a file: ``predictor_<codec>_scored_probe.json``.

It holds the training curves themselves, since every answer is computed from them in milliseconds;
reading one back needs no fit, and gives the same answers to the bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from upath import UPath

from fr_ensemble_assets.contract.agreed import CODECS
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import GateRefusal, UnusableInput
from fr_ensemble_assets.foundation.files import parse_json
from fr_ensemble_assets.predictors.cells import Cells
from fr_ensemble_assets.predictors.gate import SCORED_PROBE, CodecVerdict
from fr_ensemble_assets.predictors.ladders import SCORED_FEATURES, Ladders, ladders_of
from fr_ensemble_assets.predictors.scale import CEILING, Array

if TYPE_CHECKING:
    from fr_ensemble_assets.predictors.schema import ScoredProbeDocument

_VERSION = 1
#: Curves of fewer sources have nothing to vary by.
_MIN_SOURCES = 2


def build_scored_probe(cells: Cells, verdict: CodecVerdict) -> dict[str, Any]:
    """The predictor fitted to all cells, as strict JSON; only for a codec that passes.

    Raises
    ------
    GateRefusal
        If it doesn't pass, or its verdict is on other cells or another kind.
    """
    evaluation = verdict.evaluation
    if not verdict.passed or evaluation is None or verdict.kind != SCORED_PROBE:
        reasons = "; ".join(verdict.reasons) or f"it is on the kind '{verdict.kind}'"
        raise GateRefusal(f"{verdict.encoder}: no predictor, its verdict is no PASS: {reasons}.")
    if evaluation.corpus_sha256 != cells.sha256:
        raise GateRefusal(
            f"{verdict.encoder}: no predictor, its verdict is on cells "
            f"{evaluation.corpus_sha256}, not on {cells.sha256}."
        )
    ladders = ladders_of(cells, verdict.encoder)
    return {
        "schema_version": _VERSION,
        "kind": SCORED_PROBE,
        "codec": verdict.encoder,
        "preset": cells.preset_of(verdict.encoder),
        "corpus_sha256": cells.sha256,
        "gate": {
            "status": verdict.status,
            "mean_plcc": verdict.mean_plcc,
            "plcc_spread": verdict.plcc_spread,
            "rmse": verdict.rmse,
            "probe_quality": evaluation.task.probe,
            "predictions_sha256": evaluation.predictions_sha256,
        },
        "feature_order": list(SCORED_FEATURES),
        "sources": list(ladders.sources),
        "quality": ladders.quality.tolist(),
        "t": ladders.t.tolist(),
        "features": ladders.features.tolist(),
    }


def read_scored_probe(path: UPath) -> tuple[Ladders, dict[str, Any]]:
    """The curves for :class:`~fr_ensemble_assets.predictors.model.ScoredProbe`, and the rest.

    Raises
    ------
    UnusableInput
        If the file is no such predictor, or its numbers can't be curves.
    """
    data = store.read(path, "a scored-probe predictor")
    return _curves(data, str(path))


def parse_scored_probe(data: bytes, where: str) -> tuple[Ladders, ScoredProbeDocument]:
    """The same from bytes, the rest as its type; raises as :func:`read_scored_probe`."""
    from fr_ensemble_assets.foundation.documents import parse_document
    from fr_ensemble_assets.predictors.schema import ScoredProbeDocument

    return _curves(data, where)[0], parse_document(ScoredProbeDocument, data, where)


def _curves(data: bytes, where: str) -> tuple[Ladders, dict[str, Any]]:
    document = parse_json(data, where)
    try:
        return _ladders(document), document
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UnusableInput(
            f"{where}: expected a scored-probe predictor of version {_VERSION}, found '{error}'; "
            "train it again."
        ) from error


def _ladders(document: Any) -> Ladders:
    if document["schema_version"] != _VERSION or document["kind"] != SCORED_PROBE:
        raise ValueError("another version or kind")
    if document["codec"] not in CODECS:
        raise ValueError(f"the codec {document['codec']!r}")
    if document["feature_order"] != list(SCORED_FEATURES):
        raise ValueError("other features")
    sources = tuple(document["sources"])
    quality = _numbers(document["quality"], 1)
    t, features = _numbers(document["t"], 2), _numbers(document["features"], 3)
    shape = (len(sources), len(quality))
    if t.shape != shape or features.shape != (*shape, len(SCORED_FEATURES)):
        raise ValueError("shapes that don't fit together")
    if len(sources) < _MIN_SOURCES or len(set(sources)) < len(sources):
        raise ValueError("too few sources, or one twice")
    if len(quality) < 2 or not (np.diff(quality) > 0).all():
        raise ValueError("qualities that don't ascend")
    if t.max() > 0 or t.min() < -np.sqrt(CEILING):
        raise ValueError("curves outside VMAF 0 to 100")
    return Ladders(str(document["codec"]), sources, quality, t, features)


def _numbers(value: Any, dimensions: int) -> Array:
    numbers = np.array(value, dtype=np.float64)
    if numbers.ndim != dimensions or not np.isfinite(numbers).all():
        raise ValueError("a table of finite numbers that isn't one")
    return numbers
