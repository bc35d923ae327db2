"""Predictors that lie among other files: do they say what their own numbers give, and do they pass?

A scored probe's file holds the curves that it was fitted to, so its folds are trained and judged
again. The kind ``probe`` holds its fit and not what it was fitted to: its residuals must give the
report's error, and file, sidecar and report must name each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fr_ensemble_assets.contract.agreed import codec_predictor
from fr_ensemble_assets.evidence.metrics import Agreement
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import sha256_of
from fr_ensemble_assets.members.onnx_export import forbidden_operators
from fr_ensemble_assets.predictors.document import parse_scored_probe
from fr_ensemble_assets.predictors.evaluation import (
    Evaluation,
    FoldResult,
    NotJudged,
    Task,
    curves_fit,
    evaluate,
)
from fr_ensemble_assets.predictors.folds import FOLD_SEED
from fr_ensemble_assets.predictors.gate import PASS, SCORED_PROBE, figures_of
from fr_ensemble_assets.predictors.ladders import Ladders
from fr_ensemble_assets.predictors.model import Probe
from fr_ensemble_assets.predictors.names import (
    PREDICTOR_FILES,
    REPORT_FILE,
    file_names,
    scored_probe_file,
)
from fr_ensemble_assets.predictors.scale import Array
from fr_ensemble_assets.predictors.scope import in_judged_range, probe_index

if TYPE_CHECKING:
    from fr_ensemble_assets.predictors.schema import CodecDocument, PredictorsDocument

#: Figures out of curves that were on another scale in between are off in their last digits.
_SAME = 1e-6


def predictor_problems(files: Mapping[str, bytes]) -> list[str]:
    """One sentence for each of the predictors' files that contradicts the others; none if none.

    Files that are no predictors' are passed over; so is a folder without any.
    """
    there = sorted(PREDICTOR_FILES & files.keys())
    if not there:
        return []
    if REPORT_FILE not in files:
        return [f"{there[0]} is there, and {REPORT_FILE} isn't, which says whether it passes"]
    try:
        report = parse_report(files[REPORT_FILE], REPORT_FILE)
        return [*_report_problems(report), *_file_problems(files, report, there)]
    except UnusableInput as error:
        return [str(error)]


def parse_report(data: bytes, where: str) -> PredictorsDocument:
    """The codecs' verdicts; raises :class:`UnusableInput` for what is no such report."""
    from fr_ensemble_assets.foundation.documents import parse_document
    from fr_ensemble_assets.predictors.schema import PredictorsDocument

    return parse_document(PredictorsDocument, data, where)


def _report_problems(report: PredictorsDocument) -> Iterator[str]:
    """A codec that is said to pass does so by the folds that are told, under the agreed gate."""
    for codec in (*report.codecs, *report.unscored_codecs):
        if codec.status != PASS:
            continue
        contract = codec_predictor(codec.codec)
        figures = figures_of([_fold(codec, n) for n in range(len(codec.folds))], contract)
        off = _apart(figures.mean, codec.mean_plcc) or _apart(figures.spread, codec.plcc_spread)
        recipe = (codec.fold_seed, codec.epochs) == (FOLD_SEED, contract.recipe.epochs)
        if figures.shortfalls or off or not recipe:
            yield (
                f"{REPORT_FILE} says that {codec.codec} passes as '{codec.kind}', "
                "and its folds don't give that"
            )


def _fold(codec: CodecDocument, number: int) -> FoldResult:
    fold = codec.folds[number]
    agreement = Agreement(fold.plcc, fold.srocc, fold.rmse)
    return FoldResult(fold.fold_index, fold.held_out_sources, agreement, fold.n_train, fold.n_val)


def _file_problems(
    files: Mapping[str, bytes], report: PredictorsDocument, there: list[str]
) -> Iterator[str]:
    """Exactly the files of codecs that pass, and each what it says."""
    wanted = {REPORT_FILE}
    for codec in report.codecs:
        if codec.status == PASS:
            name = scored_probe_file(codec.codec)
            wanted.add(name)
            if name in files:
                yield from _scored_problems(files[name], name, codec, report.corpus_sha256)
    for codec in report.unscored_codecs:
        if codec.status == PASS:
            wanted |= {*file_names(codec.codec).values()}
            if wanted <= files.keys():
                yield from _probe_problems(files, codec, report.corpus_sha256)
    for name in sorted({*there} ^ wanted):
        off = "is missing, and its codec passes" if name in wanted else "is of no codec that passes"
        yield f"{name} {off}"


def _scored_problems(
    data: bytes, name: str, told: CodecDocument, cells_sha256: str
) -> Iterator[str]:
    ladders, document = parse_scored_probe(data, name)
    gate = document.gate
    if (document.codec, document.corpus_sha256) != (told.codec, cells_sha256):
        yield f"{name} is of another codec or other cells than {REPORT_FILE} tells"
        return
    try:
        evaluation = judged_again(ladders, told)
    except (NotJudged, KeyError) as error:
        yield f"{name}: its curves can't be judged as {REPORT_FILE} says ({error})"
        return
    figures = figures_of(evaluation.results(), evaluation.contract)
    if figures.shortfalls:
        yield f"{name}: judged again it doesn't pass: {'; '.join(figures.shortfalls)}"
    for what, again, said in (
        ("mean_plcc", figures.mean, (gate.mean_plcc, told.mean_plcc)),
        ("plcc_spread", figures.spread, (gate.plcc_spread, told.plcc_spread)),
        ("rmse", _rmse(evaluation), (gate.rmse, told.rmse)),
    ):
        if any(_apart(again, one) for one in said):
            yield f"{name}: judged again, {what} is {again}, not what is told"


def judged_again(ladders: Ladders, document: CodecDocument) -> Evaluation:
    """Every fold trained and predicted again from a scored probe's own curves.

    Raises
    ------
    NotJudged
        If the probe isn't where the contract has it, or a fold is too small.
    KeyError
        If the curves have no such quality.
    """
    quality = np.sort(np.array([*document.judged_qualities, document.probe_quality or math.nan]))
    inside = in_judged_range(ladders.encoder, quality).all()
    at = [ladders.index_of(q) for q in quality]
    vmaf = ladders.vmaf[:, at]
    probe = quality[probe_index(ladders.encoder, quality, vmaf.mean(axis=0))]
    if not inside or probe != document.probe_quality or len(set(at)) < len(at):
        raise NotJudged("unusable", "the probe or a quality isn't the contract's")
    rows = pd.DataFrame(
        {
            "src": np.repeat(ladders.sources, len(at)),
            "cq": np.tile(quality, len(ladders.sources)),
            "vmaf": vmaf.ravel(),
        }
    )
    task = Task(ladders.encoder, rows, ladders.sources, float(probe), document.judged_qualities)
    where = ladders.index_of(float(probe))
    probes = {
        name: Probe(float(probe), float(score), ladders.features[place, where])
        for place, (name, score) in enumerate(
            zip(ladders.sources, ladders.vmaf[:, where], strict=True)
        )
    }
    return evaluate("", task, SCORED_PROBE, curves_fit(ladders, task, probes))


def _probe_problems(
    files: Mapping[str, bytes], document: CodecDocument, cells_sha256: str
) -> Iterator[str]:
    from fr_ensemble_assets.foundation.documents import parse_document
    from fr_ensemble_assets.predictors.schema import ProbeCalibrationDocument, ProbeSidecarDocument

    named = file_names(document.codec)
    onnx = sha256_of(files[named["onnx"]])
    sidecar = parse_document(ProbeSidecarDocument, files[named["sidecar"]], named["sidecar"])
    if (sidecar.codec, sidecar.corpus_sha256) != (document.codec, cells_sha256):
        yield f"{named['sidecar']} is of another codec or other cells than {REPORT_FILE} tells"
    if sidecar.sha256 != onnx:
        yield f"{named['onnx']} has the sha256 {onnx}, {named['sidecar']} says {sidecar.sha256}"
    elif found := forbidden_operators(files[named["onnx"]]):
        yield f"{named['onnx']} has operators that libvmaf doesn't load: {', '.join(found)}"
    if onnx not in files[named["card"]].decode("utf-8", "replace"):
        yield f"{named['card']} tells of another file than {named['onnx']}"
    if sidecar.gate.status != PASS or _apart(sidecar.gate.mean_plcc, document.mean_plcc):
        yield f"{named['sidecar']} tells another verdict than {REPORT_FILE}"
    name = named["calibration"]
    calibration = parse_document(ProbeCalibrationDocument, files[name], name)
    residuals = np.array(calibration.residuals)
    judged = sum(fold.n_val for fold in document.folds)
    error = math.sqrt(float(np.mean(residuals**2))) if len(residuals) else math.nan
    if calibration.n != len(residuals) or len(residuals) != judged or _apart(error, document.rmse):
        yield f"{name}: its residuals don't give the error that {REPORT_FILE} tells"


def _rmse(evaluation: Evaluation) -> float:
    table = evaluation.predictions
    off: Array = (table["predicted"] - table["vmaf"]).to_numpy(dtype=np.float64)
    return float(np.sqrt(np.mean(off**2)))


def _apart(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is not other
    return not abs(one - other) <= _SAME
