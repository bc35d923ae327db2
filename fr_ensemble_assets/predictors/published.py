"""The codecs' verdicts and the files of those that pass: made from the cells, copied from nowhere.

``planning/<cells sha256>/predictors.json`` is the verdict; ``…/predictors/`` holds it with the
files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from upath import UPath

from fr_ensemble_assets.contract.agreed import CODECS
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import GateRefusal, UnusableInput
from fr_ensemble_assets.foundation.files import json_bytes, parse_json, sha256_of
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.predictors.cell_store import load_cells, load_reading
from fr_ensemble_assets.predictors.cells import CellReading, Cells
from fr_ensemble_assets.predictors.document import build_scored_probe
from fr_ensemble_assets.predictors.names import REPORT_FILE, file_names, scored_probe_file
from fr_ensemble_assets.predictors.probe_card import build_probe
from fr_ensemble_assets.predictors.report import report
from fr_ensemble_assets.predictors.results import (
    CodecVerdicts,
    judge_codec,
    load_results,
    results_folder,
)

_FOLDER = "predictors"


def published_folder(home: Home, cells_sha256: str) -> UPath:
    """Where the files of codecs that pass lie."""
    return home.cells_dir(cells_sha256) / _FOLDER


def stored_verdicts(home: Home, cells: Cells) -> tuple[CodecVerdicts, ...]:
    """Every codec's verdicts, judged again from its stored predictions, in the vocabulary's order.

    Raises
    ------
    UnusableInput
        If a codec that has cells has no results, or results that don't fit them.
    """
    # Without cells there is nothing to train, and the verdict is had by asking.
    return tuple(
        load_results(results_folder(home, cells, codec), cells, codec)
        if codec in cells.encoders
        else judge_codec(cells, codec)
        for codec in CODECS
    )


def write_report(home: Home, cells_sha256: str) -> tuple[UPath, tuple[CodecVerdicts, ...]]:
    """Judge every codec and keep the report; one that says the same stays as it is.

    Raises
    ------
    UnusableInput
        As :func:`stored_verdicts`.
    """
    reading, files = load_reading(home, cells_sha256)
    verdicts = stored_verdicts(home, reading.cells)
    path = home.cells_dir(cells_sha256) / REPORT_FILE
    data = _report(path, reading, files, verdicts)
    if not (store.exists(path) and store.read(path, "a report") == data):
        store.put(path, data)
    return path, verdicts


def _report(
    path: UPath, reading: CellReading, files: Sequence[str], verdicts: Sequence[CodecVerdicts]
) -> bytes:
    """The report's bytes, with the time of the one that stands where it says the same."""
    judged = [v for v in verdicts if v.encoder in reading.cells.encoders]
    document = report(
        *(reading, files, [v.scored for v in verdicts]), unscored=[v.unscored for v in judged]
    )
    return json_bytes(document | {"generated_at_utc": _standing_time(path, document)})


def _standing_time(path: UPath, document: Mapping[str, Any]) -> Any:
    now = document["generated_at_utc"]
    if not store.exists(path):
        return now
    try:
        told = parse_json(store.read(path, "a report"), str(path))
    except UnusableInput:
        return now  # damaged: another takes its place
    then = told.get("generated_at_utc") if isinstance(told, dict) else None
    return then if told == {**document, "generated_at_utc": then} else now


def make_predictors(home: Home, cells_sha256: str) -> dict[str, bytes]:
    """The report and the files of each codec that passes, by name.

    Fitted again, unless this very process fitted them.

    Raises
    ------
    GateRefusal
        If a codec's stored predictions aren't those that its cells give, or the report that stands
        isn't the one that they give.
    UnusableInput
        If cells, results or report are missing or can't be read.
    """
    reading, names = load_reading(home, cells_sha256)
    verdicts = stored_verdicts(home, reading.cells)
    path = home.cells_dir(cells_sha256) / REPORT_FILE
    standing = store.read(path, "the codecs' verdicts (materialise 'predictor_verdict')")
    if _report(path, reading, names, verdicts) != standing:
        raise GateRefusal(
            f"{path}: expected the verdicts that the results give, found others; "
            "materialise 'predictor_verdict' again."
        )
    files = {REPORT_FILE: standing}
    for verdict in verdicts:
        if verdict.encoder in reading.cells.encoders:
            _require_same(verdict, judge_codec(reading.cells, verdict.encoder, others=False))
            files |= codec_files(reading.cells, verdict)
    return files


def codec_files(cells: Cells, verdicts: CodecVerdicts) -> dict[str, bytes]:
    """The files of each kind that passes; none where neither does.

    What this process made of these very verdicts it makes once.
    """
    judged, files = _made.get((cells.sha256, verdicts.encoder), (None, {}))
    if judged is not verdicts:
        files = _codec_files(cells, verdicts)
        _made[cells.sha256, verdicts.encoder] = verdicts, files
    return files


#: What this very process made, by cells and codec, and of which verdicts.
_made: dict[tuple[str, str], tuple[CodecVerdicts, dict[str, bytes]]] = {}


def _codec_files(cells: Cells, verdicts: CodecVerdicts) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    if verdicts.scored.passed:
        document = build_scored_probe(cells, verdicts.scored)
        files[scored_probe_file(verdicts.encoder)] = json_bytes(document)
    if verdicts.unscored.passed:
        made, named = build_probe(cells, verdicts.unscored), file_names(verdicts.encoder)
        files |= {
            named["onnx"]: made.onnx,
            named["sidecar"]: json_bytes(made.sidecar),
            named["calibration"]: json_bytes(made.calibration),
            named["card"]: made.card.encode(),
        }
    return files


def _require_same(stored: CodecVerdicts, fresh: CodecVerdicts) -> None:
    for kept, again in zip(stored.kinds, fresh.kinds, strict=True):
        kept_sha256, again_sha256 = (
            found.evaluation and found.evaluation.predictions_sha256 for found in (kept, again)
        )
        if kept_sha256 != again_sha256:
            raise GateRefusal(
                f"{kept.encoder}: expected the predictions of the kind '{kept.kind}' that fitting "
                "again gives, found others: they were altered, or made by another machine or "
                "version; materialise 'predictor_results' for it again."
            )


def publish_predictors(home: Home, cells_sha256: str) -> tuple[UPath, dict[str, bytes]]:
    """Make and publish them, the report last; raises as :func:`make_predictors`."""
    files = make_predictors(home, cells_sha256)
    folder = published_folder(home, cells_sha256)
    store.publish(folder, files, REPORT_FILE)
    return folder, files


def predictors_at_hand(home: Home, cells_sha256: str) -> dict[str, bytes]:
    """What was published on these cells, made again; nothing where nothing was.

    Raises
    ------
    GateRefusal
        If what lies there isn't what is made again.
    UnusableInput
        As :func:`make_predictors`.
    """
    folder = published_folder(home, cells_sha256)
    if not store.is_published(folder, REPORT_FILE):
        return {}
    files = make_predictors(home, cells_sha256)
    made = {name: sha256_of(data) for name, data in files.items()}
    if store.digests(folder) != made:
        raise GateRefusal(
            f"{folder}: expected the files that fitting the predictors again gives, found others: "
            "they were altered, or made by another machine or version; materialise 'predictors' "
            "again."
        )
    return files


def verdicts_in(home: Home, cells_sha256: str) -> tuple[CodecVerdicts, ...]:
    """The verdicts on stored cells, of the codecs that have some; raises as above."""
    cells = load_cells(home, cells_sha256)
    return tuple(v for v in stored_verdicts(home, cells) if v.encoder in cells.encoders)
