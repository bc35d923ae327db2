"""Results, verdicts and files of the codecs: judged from cells, whatever lies in a store."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from fr_ensemble_assets.contract.agreed import ENSEMBLE, codec_predictor
from fr_ensemble_assets.contract.places import Places
from fr_ensemble_assets.foundation.errors import GateRefusal, UnusableInput
from fr_ensemble_assets.foundation.files import json_bytes, sha256_of
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.predictors.carried import carried_predictors
from fr_ensemble_assets.predictors.cell_store import (
    CELLS_FILE,
    CELLS_ORIGIN_FILE,
    load_cells,
    save_cells,
)
from fr_ensemble_assets.predictors.cells import CellReading, Cells
from fr_ensemble_assets.predictors.names import PREDICTOR_FILES, file_names, scored_probe_file
from fr_ensemble_assets.predictors.published import (
    make_predictors,
    predictors_at_hand,
    publish_predictors,
    stored_verdicts,
    write_report,
)
from fr_ensemble_assets.predictors.results import (
    RESULTS_FILE,
    judge_anew,
    judge_codec,
    load_results,
    results_folder,
    save_results,
)
from fr_ensemble_assets.predictors.told import predictor_problems
from fr_ensemble_assets.schemas import DOCUMENTS
from fr_ensemble_tests.house.test_schemas import require_known
from fr_ensemble_tests.predictors.made import easy_cells

X264 = "libx264"
CELLS = easy_cells()
NAMES = file_names(X264)
Files = dict[str, bytes]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with cells and one codec's results."""
    made = Home.at(tmp_path / "home")
    made.prepare()
    rows = len(CELLS.frame)
    save_cells(made, CellReading(CELLS, rows, 0, 0, ()), "easy.csv", ["easy.csv"])
    save_results(results_folder(made, CELLS, X264), CELLS, judge_codec(CELLS, X264))
    return made


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Everything that is made for a codec of which both kinds pass."""
    made = Home.at(tmp_path_factory.mktemp("files") / "home")
    made.prepare()
    save_cells(made, CellReading(CELLS, 140, 0, 0, ()), "easy.csv", ["easy.csv"])
    save_results(results_folder(made, CELLS, X264), CELLS, judge_codec(CELLS, X264))
    write_report(made, CELLS.sha256)
    return make_predictors(made, CELLS.sha256)


def results_file(home: Home) -> Path:
    return Path(str(results_folder(home, CELLS, X264) / RESULTS_FILE))


def test_results_and_candidates_of_another_contract_have_names_of_their_own(home: Home) -> None:
    ensemble, codec = (
        Places(home, contract, CELLS.sha256) for contract in (ENSEMBLE, codec_predictor(X264))
    )
    assert ensemble.results.name == "loso-200epochs-4a439d50"
    assert codec.results.name.startswith("fr_predictor_libx264-")
    assert ensemble.candidate == home.candidate_dir(CELLS.sha256)
    assert codec.candidate.name == f"{CELLS.sha256[:12]}-fr_predictor_libx264"


def test_stored_predictions_are_judged_again(home: Home) -> None:
    fresh, stored = (
        judge_anew(CELLS, X264),
        load_results(results_folder(home, CELLS, X264), CELLS, X264),
    )
    for one, other in zip(fresh.kinds, stored.kinds, strict=True):
        assert (one.status, one.mean_plcc, one.plcc_spread) == (
            "pass",
            other.mean_plcc,
            other.plcc_spread,
        )
        assert (one.rmse, one.others) == (other.rmse, other.others)


def test_cells_are_proved_when_they_are_read(home: Home) -> None:
    assert load_cells(home, CELLS.sha256).sha256 == CELLS.sha256
    other = easy_cells(sources=6)
    stored = home.cells_dir(CELLS.sha256) / CELLS_FILE
    text: str = other.frame.to_csv(index=False)
    stored.write_bytes(text.encode())
    with pytest.raises(UnusableInput, match="expected cells with the sha256"):
        load_cells(home, CELLS.sha256)


def change(file: Path, alter: Callable[[Any], None]) -> None:
    document = json.loads(file.read_text())
    alter(document)
    file.write_bytes(json_bytes(document))


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (lambda d: d.update(codec="libx265"), "expected results of libx264"),
        (lambda d: d.update(fold_seed=7), "expected results of libx264"),
        (lambda d: d.update(corpus_sha256="0" * 64), "expected results of libx264"),
        (lambda d: d["kinds"]["probe"]["predicted"].pop(), "expected 140 predictions"),
        (
            lambda d: d["kinds"]["probe"].update(predicted=None),
            "expected why libx264 has no verdict",
        ),
        (
            lambda d: d["kinds"]["scored_probe"]["predicted"].__setitem__(0, 1.0),
            "have their digests",
        ),
        (lambda d: d["kinds"]["scored_probe"].update(folds_sha256="0" * 64), "have their digests"),
        (lambda d: d["kinds"].pop("probe"), "'kinds.probe', found no such field"),
    ],
)
def test_results_that_do_not_fit_their_cells_are_refused(
    home: Home, alter: Callable[[Any], None], message: str
) -> None:
    change(results_file(home), alter)
    with pytest.raises(UnusableInput, match=message):
        load_results(results_folder(home, CELLS, X264), CELLS, X264)


def test_codec_without_results_is_told_and_one_without_cells_needs_none(home: Home) -> None:
    verdicts = stored_verdicts(home, CELLS)
    assert [v.scored.status for v in verdicts] == ["pass", *["missing-rows"] * 10]
    results_file(home).unlink()
    with pytest.raises(UnusableInput, match="expected results of the predictor of libx264"):
        stored_verdicts(home, CELLS)


def test_files_are_those_of_codecs_that_pass_and_stay_the_same(home: Home) -> None:
    path, _ = write_report(home, CELLS.sha256)
    folder, files = publish_predictors(home, CELLS.sha256)
    assert set(files) == {"predictors.json", scored_probe_file(X264), *NAMES.values()}
    told = json.loads(path.read_bytes())
    assert told["codecs"][0]["status"] == told["unscored_codecs"][0]["status"] == "pass"
    assert told["corpus"]["discovered_files"] == ["easy.csv"]
    write_report(home, CELLS.sha256)
    assert publish_predictors(home, CELLS.sha256) == (folder, files)
    assert predictors_at_hand(home, CELLS.sha256) == files
    (folder / NAMES["onnx"]).write_bytes(b"another")
    with pytest.raises(GateRefusal, match="expected the files that fitting the predictors again"):
        predictors_at_hand(home, CELLS.sha256)


def test_every_document_is_known_to_its_model(home: Home) -> None:
    write_report(home, CELLS.sha256)
    folder, _ = publish_predictors(home, CELLS.sha256)
    for name, path in (
        ("planning_cells_origin", home.cells_dir(CELLS.sha256) / CELLS_ORIGIN_FILE),
        ("predictor_results", results_folder(home, CELLS, X264) / RESULTS_FILE),
        ("predictors", folder / "predictors.json"),
        ("predictor_scored_probe", folder / scored_probe_file(X264)),
        ("predictor_sidecar", folder / NAMES["sidecar"]),
        ("predictor_calibration", folder / NAMES["calibration"]),
    ):
        require_known(DOCUMENTS[name], name, Path(str(path)))


def test_held_codec_has_a_report_and_no_file(tmp_path: Path) -> None:
    made, cells = Home.at(tmp_path / "home"), easy_cells(sources=6)
    made.prepare()
    save_cells(made, CellReading(cells, len(cells.frame), 0, 0, ()), "few.csv", ["few.csv"])
    save_results(results_folder(made, cells, X264), cells, judge_codec(cells, X264))
    write_report(made, cells.sha256)
    files = make_predictors(made, cells.sha256)
    assert set(files) == {"predictors.json"}
    (codec, *_) = json.loads(files["predictors.json"])["codecs"]
    assert codec["status"] == "unusable"
    assert predictor_problems(files) == []
    assert carried_predictors(files, "there").carried == {}


def test_predictions_that_were_made_up_build_nothing(home: Home) -> None:
    """Digests and all: a store's owner can write what it likes, and fitting again shows it."""
    truth = judge_codec(CELLS, X264).scored.evaluation
    assert truth is not None
    perfect = truth.predictions.assign(predicted=truth.predictions["vmaf"])
    text: str = perfect.to_csv(index=False, lineterminator="\n")

    def forge(document: Any) -> None:
        kind = document["kinds"]["scored_probe"]
        kind["predicted"] = perfect["predicted"].tolist()
        kind["predictions_sha256"] = sha256_of(text.encode())

    change(results_file(home), forge)
    write_report(home, CELLS.sha256)
    with pytest.raises(GateRefusal, match="expected the predictions of the kind 'scored-probe'"):
        publish_predictors(home, CELLS.sha256)


def test_report_that_was_altered_builds_nothing(home: Home) -> None:
    path, _ = write_report(home, CELLS.sha256)
    change(Path(str(path)), lambda d: d["codecs"][1].update(status="pass"))
    with pytest.raises(GateRefusal, match="expected the verdicts that the results give"):
        publish_predictors(home, CELLS.sha256)


# --- among the files of a candidate --------------------------------------------------------------


def with_changed(files: Files, name: str, alter: Callable[[Any], None]) -> Files:
    document = json.loads(files[name])
    alter(document)
    return {**files, name: json_bytes(document)}


def test_files_as_they_were_made_have_no_problems(files: Files) -> None:
    assert predictor_problems({**files, "PROMOTE.json": b"{}"}) == []
    assert predictor_problems({"PROMOTE.json": b"{}"}) == []


def test_predictor_from_a_candidate_is_the_one_that_was_fitted(files: Files) -> None:
    carried = carried_predictors(files, "there")
    predictor, fitted = carried.of(X264), judge_codec(CELLS, X264).scored
    assert carried.origin == "there"
    assert predictor.verdict.passed
    assert predictor.verdict.mean_plcc == pytest.approx(fitted.mean_plcc, abs=1e-9)
    assert predictor.half_width(0.5) is not None
    # What it doesn't carry is fitted to the bundled cells.
    assert carried.of("libsvtav1").verdict.status == "fail"
    assert set(carried.known) == {X264, "libx265", "libsvtav1", "libvvenc", "libvpx-vp9"}


def lower(document: Any) -> None:
    document["t"][3] = [value * 1.01 for value in document["t"][3]]


@pytest.mark.parametrize("name", sorted({scored_probe_file(X264), *NAMES.values()}))
def test_file_that_is_missing_is_told(files: Files, name: str) -> None:
    problems = predictor_problems({n: d for n, d in files.items() if n != name})
    assert problems == [f"{name} is missing, and its codec passes"]


@pytest.mark.parametrize(
    ("name", "alter", "message"),
    [
        (scored_probe_file(X264), lower, "judged again, "),
        (scored_probe_file(X264), lambda d: d.update(corpus_sha256="0" * 64), "or other cells"),
        (scored_probe_file(X264), lambda d: d["gate"].update(mean_plcc=0.999999), "mean_plcc is"),
        (scored_probe_file(X264), lambda d: d.pop("gate"), "'gate', found no such field"),
        ("predictors.json", lambda d: d["codecs"][1].update(status="pass"), "libx265 passes as"),
        ("predictors.json", lambda d: d["codecs"][0].update(plcc_spread=0.0), "don't give that"),
        ("predictors.json", lambda d: d["codecs"][0].update(fold_seed=7), "don't give that"),
        ("predictors.json", lambda d: d["codecs"][0].update(probe_quality=19.0), "can't be judged"),
        ("predictors.json", lambda d: d["codecs"][0].update(status="fail"), "that passes"),
        (NAMES["sidecar"], lambda d: d.update(sha256="0" * 64), "says 0000"),
        (NAMES["sidecar"], lambda d: d["gate"].update(mean_plcc=0.96), "tells another verdict"),
        (NAMES["calibration"], lambda d: d["residuals"].append(0.0), "don't give the error"),
        (NAMES["calibration"], lambda d: d["residuals"].__setitem__(139, 9.0), "don't give"),
    ],
)  # fmt: skip
def test_file_that_contradicts_the_others_is_told(
    files: Files, name: str, alter: Callable[[Any], None], message: str
) -> None:
    problems = predictor_problems(with_changed(files, name, alter))
    assert any(message in problem for problem in problems), problems


def test_curves_that_can_not_be_foretold_do_not_pass(files: Files) -> None:
    """Curves made of pieces of different clips, with a report that says otherwise."""

    def cross(document: Any) -> None:
        curves, probe = document["t"], document["quality"].index(document["gate"]["probe_quality"])
        document["t"] = [
            [
                score if place == probe else curves[(number + 7 * place) % len(curves)][place]
                for place, score in enumerate(curve)
            ]
            for number, curve in enumerate(curves)
        ]

    problems = predictor_problems(with_changed(files, scored_probe_file(X264), cross))
    assert any("judged again it doesn't pass" in problem for problem in problems), problems


def test_predictors_without_their_report_are_told(files: Files) -> None:
    (problem,) = predictor_problems({n: d for n, d in files.items() if n != "predictors.json"})
    assert problem.endswith("and predictors.json isn't, which says whether it passes")
    assert set(files) <= PREDICTOR_FILES


def test_onnx_of_another_fit_is_told(files: Files) -> None:
    other = {**files, NAMES["onnx"]: files[NAMES["onnx"]] + b" "}
    assert any("has the sha256" in problem for problem in predictor_problems(other))


def test_cells_of_another_home_are_the_same_cells(home: Home, tmp_path: Path) -> None:
    cells: Cells = load_cells(home, CELLS.sha256)
    assert cells.frame.equals(CELLS.frame)
    assert UPath(tmp_path / "home").exists()
