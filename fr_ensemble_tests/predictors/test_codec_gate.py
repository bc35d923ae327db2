"""The gate over a codec's folds: what passes, what is held, what is no verdict at all."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from upath import UPath

from fr_ensemble_assets.cli.printing.verdicts import print_codecs
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import GateRefusal, UnusableInput
from fr_ensemble_assets.foundation.files import json_bytes
from fr_ensemble_assets.operations.codecs import Codecs
from fr_ensemble_assets.predictors.cells import BUNDLED_CELLS, CellReading, Cells, read_cells
from fr_ensemble_assets.predictors.document import build_scored_probe, read_scored_probe
from fr_ensemble_assets.predictors.evaluation import Evaluation
from fr_ensemble_assets.predictors.gate import CodecVerdict, decide, judge_scored_probe
from fr_ensemble_assets.predictors.ladders import ladders_of
from fr_ensemble_assets.predictors.model import Probe, ScoredProbe
from fr_ensemble_assets.predictors.names import scored_probe_file
from fr_ensemble_assets.predictors.report import exit_code, report
from fr_ensemble_assets.predictors.results import judge_codec
from fr_ensemble_assets.predictors.scope import JUDGED_RANGE, probe_index

X264 = "libx264"


@pytest.fixture(scope="module")
def reading() -> CellReading:
    return read_cells(BUNDLED_CELLS)


@pytest.fixture(scope="module")
def cells(reading: CellReading) -> Cells:
    return reading.cells


@pytest.fixture(scope="module")
def passed(cells: Cells) -> CodecVerdict:
    return judge_scored_probe(cells, X264)


@pytest.fixture(scope="module")
def evaluation(passed: CodecVerdict) -> Evaluation:
    assert passed.evaluation is not None
    return passed.evaluation


def test_real_curves_are_foretold_from_one_scored_probe(passed: CodecVerdict) -> None:
    assert (passed.status, passed.reasons, passed.culprits) == ("pass", (), ())
    assert passed.rmse is not None
    assert passed.rmse < 1.5
    assert [fold.n_val for fold in passed.folds] == [30, 24, 24, 24, 24]
    assert passed.evaluation is not None
    assert passed.evaluation.task.probe == 31
    assert 31 not in set(passed.evaluation.predictions["cq"])


def test_other_groupings_are_told_beside_the_verdict(passed: CodecVerdict) -> None:
    assert [other.fold_seed for other in passed.others] == list(range(10))
    assert not all(other.passes for other in passed.others)  # near the noise, and it shows


def test_spread_alone_holds_and_names_sources(cells: Cells) -> None:
    verdict = judge_scored_probe(cells, "libsvtav1")
    assert verdict.status == "fail"
    (reason,) = verdict.reasons
    assert reason.startswith("PLCC spread 0.00")
    assert reason.endswith("> 0.0050 (ADR-0303 part 2)")
    assert verdict.evaluation is not None
    assert verdict.culprits
    kept = ~verdict.evaluation.predictions["src"].isin(verdict.culprits)
    rest = replace(verdict.evaluation, predictions=verdict.evaluation.predictions[kept])
    assert decide(rest).passed  # it is they that cause it


def test_same_cells_give_the_same_predictions(cells: Cells, evaluation: Evaluation) -> None:
    again = judge_scored_probe(Cells.of(cells.frame.sample(frac=1, random_state=1)), X264)
    assert again.evaluation is not None
    assert again.evaluation.predictions_sha256 == evaluation.predictions_sha256


def test_held_out_scores_are_not_looked_at(cells: Cells, evaluation: Evaluation) -> None:
    """Other scores of a source change what is predicted of others, not of itself."""
    frame = cells.frame.copy()
    mine = (frame["src"] == "city") & (frame["encoder"] == X264) & (frame["cq"] != 31)
    frame.loc[mine, "vmaf"] = frame.loc[mine, "vmaf"] * 0.9
    other = judge_scored_probe(Cells.of(frame), X264).evaluation
    assert other is not None
    before, after = (e.predictions.set_index("src")["predicted"] for e in (evaluation, other))
    assert (before["city"].to_numpy() == after["city"].to_numpy()).all()
    assert (before["seattle"].to_numpy() != after["seattle"].to_numpy()).any()


def with_predictions(evaluation: Evaluation, predicted: np.ndarray) -> Evaluation:
    return replace(evaluation, predictions=evaluation.predictions.assign(predicted=predicted))


def test_undefined_fold_fails_whatever_the_others(evaluation: Evaluation) -> None:
    predicted = evaluation.predictions["predicted"].to_numpy().copy()
    predicted[evaluation.predictions["fold"] == 2] = 90.0
    verdict = decide(with_predictions(evaluation, predicted))
    assert verdict.mean_plcc is None
    assert verdict.reasons == ("PLCC is undefined in fold2",)
    predicted[0] = np.nan
    reasons = decide(with_predictions(evaluation, predicted)).reasons
    assert reasons == ("PLCC is undefined in fold2, fold3",)


def test_each_figure_that_fails_is_told(evaluation: Evaluation) -> None:
    noise = np.random.default_rng(0).normal(0, 8, len(evaluation.predictions))
    predicted = evaluation.predictions["vmaf"].to_numpy() + noise
    mean, spread, lowest = decide(with_predictions(evaluation, predicted)).reasons
    assert mean.startswith("mean PLCC 0.")
    assert mean.endswith("< 0.9500 (ADR-0303 part 1)")
    assert spread.endswith("> 0.0050 (ADR-0303 part 2)")
    assert lowest.startswith("per-fold PLCC < 0.9500: fold0=0.")


def test_another_fold_seed_or_epochs_are_a_dry_run(evaluation: Evaluation) -> None:
    verdict = decide(replace(evaluation, fold_seed=7, epochs=5))
    assert verdict.status == "fail"
    assert verdict.reasons == (
        "dry run: fold seed 7 instead of 42",
        "dry run: epochs 5 instead of 0",
    )


def judged(cells: Cells, keep: np.ndarray) -> tuple[str, str]:
    verdict = judge_scored_probe(Cells.of(cells.frame[keep]), X264)
    assert verdict.evaluation is None
    (reason,) = verdict.reasons
    return verdict.status, reason


def test_cells_that_carry_no_verdict_say_why(cells: Cells) -> None:
    frame = cells.frame
    quality, source = frame["cq"].to_numpy(), frame["src"].to_numpy()
    few = np.isin(source, cells.sources[:4])
    assert judged(cells, few) == ("insufficient-sources", "need >= 5 distinct sources; have 4")
    other = frame["encoder"].to_numpy() != X264
    assert judged(cells, other) == ("missing-rows", "no rows in corpus for this codec")
    one = judged(cells, quality == 31)
    assert one == ("unusable", "need >= 2 qualities in the judged range; have 1")
    lacking = judged(cells, (source != "city") | (quality != 25))
    assert lacking == ("unusable", "every source needs the same qualities; 'city' lacks 25")


def test_one_encode_a_source_is_no_verdict(cells: Cells) -> None:
    """Five rows with random scores pass the fork's gate: each fold's correlation is 1 over one."""
    frame = cells.frame[np.isin(cells.frame["src"], cells.sources[:5])]
    frame = frame[frame["cq"].isin([25, 31])].assign(vmaf=lambda f: np.linspace(9, 99, len(f)))
    verdict = judge_scored_probe(Cells.of(frame), X264)
    assert verdict.status == "unusable"
    assert "need >= 20 judged encodes a fold; fold0 has 1 (1 sources at 1 " in verdict.reasons[0]


def test_constant_scores_are_no_verdict(cells: Cells) -> None:
    constant = Cells.of(cells.frame.assign(vmaf=90.0))
    verdict = judge_scored_probe(constant, X264)
    assert (verdict.status, verdict.reasons) == ("unusable", ("constant VMAF in fold0",))


def test_shuffled_scores_fail(cells: Cells) -> None:
    shuffled = np.random.default_rng(0).permutation(cells.frame["vmaf"])
    verdict = judge_scored_probe(Cells.of(cells.frame.assign(vmaf=shuffled)), X264)
    assert verdict.status == "fail"
    assert verdict.mean_plcc is not None
    assert verdict.mean_plcc < 0.5


def test_probe_is_the_quality_whose_mean_is_nearest_84() -> None:
    quality = np.array([13.0, 19.0, 25.0, 31.0, 34.0])
    assert probe_index(X264, quality, np.array([84.0, 96.0, 90.0, 80.0, 70.0])) == 3
    assert probe_index(X264, quality, np.array([99.0, 96.0, 88.0, 80.0, 70.0])) == 2
    assert JUDGED_RANGE["libvvenc"] == (19.0, 40.0)


def test_report_has_the_keys_that_readers_know(
    reading: CellReading, passed: CodecVerdict, cells: Cells
) -> None:
    missing = judge_scored_probe(cells, "h264_nvenc")
    at = datetime(2026, 1, 2, tzinfo=UTC)
    data = json_bytes(report(reading, ["cells.csv.gz"], [passed, missing], at))
    document = json.loads(data, parse_constant=lambda name: pytest.fail(f"found {name}"))
    assert document["generated_at_utc"] == "2026-01-02T00:00:00Z"
    assert (document["corpus_sha256"], document["fold_seed"]) == (cells.sha256, 42)
    assert document["gate"]["per_fold_min"] == 0.95
    assert document["summary"] == {
        "n_pass": 1,
        "n_fail": 0,
        "n_insufficient": 0,
        "n_missing_rows": 1,
    }
    codec, absent = document["codecs"]
    assert codec["folds"][1].keys() == {
        *("fold_index", "held_out_sources", "plcc", "srocc", "rmse", "n_train", "n_val")
    }
    assert len(codec["folds_sha256"]) == len(codec["predictions_sha256"]) == 64
    assert absent["failure_reasons"] == ["no rows in corpus for this codec"]
    assert absent["mean_plcc"] is None


def test_predictor_that_passed_answers_the_same_from_its_file(
    cells: Cells, passed: CodecVerdict, tmp_path: Path
) -> None:
    path = UPath(tmp_path / scored_probe_file(X264))
    document = build_scored_probe(cells, passed)
    store.put_json(path, document)
    ladders, read = read_scored_probe(path)
    assert read == document
    usual = ladders_of(cells, X264)
    probe = Probe(31.0, 88.0, usual.features[3, usual.index_of(31)])
    kept, fitted = (ScoredProbe(curves).belief([probe]) for curves in (ladders, usual))
    np.testing.assert_array_equal(kept.vmaf, fitted.vmaf)
    np.testing.assert_array_equal(kept.deviation, fitted.deviation)


def test_codec_that_does_not_pass_gets_no_file(cells: Cells, evaluation: Evaluation) -> None:
    with pytest.raises(GateRefusal, match="libx264: .* dry run: fold seed 7 instead of 42"):
        build_scored_probe(cells, decide(replace(evaluation, fold_seed=7)))
    with pytest.raises(GateRefusal, match="its verdict is on cells"):
        build_scored_probe(cells.without(["city"]), decide(evaluation))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "probe"}, "another version or kind"),
        ({"codec": "libaom-av1"}, "the codec 'libaom-av1'"),
        ({"quality": [19, 20]}, "shapes that don't fit together"),
        ({"t": "x"}, "could not convert"),
        ({"sources": ["a"] * 21}, "one twice"),
        ({"feature_order": []}, "other features"),
    ],
)
def test_file_that_is_no_predictor_is_refused(
    cells: Cells, passed: CodecVerdict, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    path = UPath(tmp_path / "predictor.json")
    store.put_json(path, build_scored_probe(cells, passed) | change)
    with pytest.raises(UnusableInput, match=message):
        read_scored_probe(path)


def test_codec_without_rows_counts_only_if_asked_for(cells: Cells, passed: CodecVerdict) -> None:
    missing = judge_scored_probe(cells, "h264_nvenc")
    assert exit_code([passed, missing]) == 0
    assert exit_code([passed, missing], asked=["h264_nvenc"]) == 1
    assert exit_code([missing]) == 1


def test_each_codec_gets_a_row_and_a_held_one_its_reason(
    cells: Cells, capsys: pytest.CaptureFixture[str]
) -> None:
    held, passed = (judge_codec(cells, name, others=False) for name in ("libsvtav1", X264))
    print_codecs(Codecs(cells.sha256, (held, passed)), to_stderr=False)
    shown = capsys.readouterr().out
    rows = [line.split() for line in shown.splitlines() if "0.99" in line and "PLCC" not in line]
    verdicts = [("HOLD" in row, "PASS" in row, row[1]) for row in rows]
    assert verdicts == [(True, False, "libsvtav1"), (False, True, X264)]
    assert "- libsvtav1: PLCC spread 0.00" in shown
    assert "passes without " in shown
    assert "a first encode that nobody scores: none of them passes" in shown
