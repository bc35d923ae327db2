"""A candidate at work: what it predicts, what it recommends, what it refuses to be asked."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from upath import UPath

from fr_ensemble_assets.calibration.calibrate import Calibration, Range, TrainedOn
from fr_ensemble_assets.calibration.rules import QuantileTable, gaussian_table
from fr_ensemble_assets.features.codec_block import CodecBlock
from fr_ensemble_assets.features.scaler import Scaler
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.foundation.schema import CANONICAL_6, ENCODER_VOCABULARY
from fr_ensemble_assets.members.onnx_export import export_onnx
from fr_ensemble_assets.prediction.candidate import Candidate, load_candidate
from fr_ensemble_assets.prediction.frames import Frames, frames_of, read_frames
from fr_ensemble_assets.prediction.output import write_predictions
from fr_ensemble_assets.prediction.predict import predict
from fr_ensemble_assets.prediction.recommend import (
    Recommendation,
    recommend,
    recommendations_document,
)
from fr_ensemble_assets.training.model import Parameters
from fr_ensemble_tests.conftest import Chain, Row, write_rows


@pytest.fixture(scope="session")
def folder(promoted_once: Chain) -> UPath:
    assert promoted_once[1].candidate_dir is not None
    return promoted_once[1].candidate_dir


@pytest.fixture(scope="session")
def candidate(folder: UPath) -> Candidate:
    return load_candidate(folder)


@pytest.fixture(scope="session")
def unscored(rows: list[Row]) -> list[Row]:
    """Real frames whose VMAF nobody measured."""
    return [{k: v for k, v in row.items() if k != "vmaf"} for row in rows]


@pytest.fixture(scope="session")
def frames(unscored: list[Row]) -> Frames:
    return frames_of(pd.DataFrame(unscored))


# --- predict ---------------------------------------------------------------------------------


def test_prediction_is_what_the_contract_says_a_consumer_computes(
    folder: UPath, candidate: Candidate, frames: Frames
) -> None:
    manifest = json.loads((folder / "fr_regressor_v2_ensemble_v1.json").read_text())
    sidecar = json.loads((folder / "fr_regressor_v2_ensemble_v1_seed0.json").read_text())
    corpus, table = sidecar["corpus"], frames.frame
    features = table[manifest["feature_order"]].to_numpy()
    features = (features - manifest["feature_mean"]) / manifest["feature_std"]
    codec = np.zeros((len(table), 14), dtype=np.float32)
    for row, (encoder, preset, cq) in enumerate(
        zip(table["encoder"], table["preset"], table["cq"], strict=True)
    ):
        codec[row, ENCODER_VOCABULARY.index(encoder)] = 1
        codec[row, 12] = corpus["presets"][encoder][preset]
        codec[row, 13] = (cq - corpus["cq_min"]) / (corpus["cq_max"] - corpus["cq_min"])
    scores = [
        onnxruntime.InferenceSession((folder / member["onnx"]).read_bytes()).run(
            None, {"features": features.astype(np.float32), "codec_onehot": codec}
        )[0]
        for member in manifest["members"]
    ]
    found = predict(candidate, frames)
    np.testing.assert_allclose(found.mu, np.mean(scores, axis=0).clip(0, 100), atol=1e-3)
    np.testing.assert_allclose(found.sigma, np.std(scores, axis=0, ddof=1), atol=1e-3)


def test_interval_holds_what_was_measured_and_its_level_is_told(
    candidate: Candidate, frames: Frames, rows: list[Row]
) -> None:
    vmaf = np.array([row["vmaf"] for row in rows])
    found = predict(candidate, frames, confidence=0.8)
    assert np.mean((found.lower <= vmaf) & (vmaf <= found.upper)) >= 0.8
    assert (found.rule, found.answer.level, found.answer.supported) == ("source", 0.8, True)
    assert not found.extrapolates.any()  # these rows were trained on


def test_level_that_six_sources_do_not_carry_is_answered_lower_and_said(
    candidate: Candidate, frames: Frames
) -> None:
    found = predict(candidate, frames, confidence=0.95)
    assert not found.answer.supported
    assert found.answer.level == pytest.approx(6 / 7)
    assert predict(candidate, frames, 0.95, "frame").answer.supported
    gaussian = predict(candidate, frames, 0.95, "gaussian")
    inside = (gaussian.lower > 0) & (gaussian.upper < 100)
    half = (gaussian.upper - gaussian.lower)[inside] / 2
    np.testing.assert_allclose(half, 1.959963984540054 * gaussian.sigma[inside])


def test_rows_beyond_what_was_trained_on_are_flagged(
    candidate: Candidate, unscored: list[Row]
) -> None:
    changes: list[Row] = [
        {},
        {"motion2": 1e3},
        {"adm2": -0.1},
        {"encoder": "h264_nvenc"},
        {"cq": 62},  # libx264 was trained up to 37, the corpus as a whole up to 63
        {"preset": "placebo"},
        {"preset": None},
    ]
    table = pd.DataFrame(
        [unscored[0] | change | {"frame_index": n} for n, change in enumerate(changes)]
    )
    flagged = predict(candidate, frames_of(table)).extrapolates
    assert flagged.tolist() == [False, True, True, True, True, True, True]


def test_last_digit_of_another_reader_is_not_beyond_training(
    candidate: Candidate, unscored: list[Row]
) -> None:
    table = pd.DataFrame(unscored)
    for name in CANONICAL_6:
        table[name] = np.nextafter(table[name].to_numpy(np.float64), np.inf)
    assert not predict(candidate, frames_of(table)).extrapolates.any()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"adm2": 1e38}, "row 2: expected column 'adm2' to be a finite number between -1e"),
        ({"cq": 3e6}, "row 2: expected column 'cq' to be a finite number between -1000 and"),
        ({"adm2": "0.9"}, "row 2: expected column 'adm2'"),
        ({"adm2": True}, "row 2: expected column 'adm2'"),
        ({"frame_index": 1e300}, "row 2: expected column 'frame_index'"),
    ],
)
def test_value_that_no_frame_can_have_is_refused(
    candidate: Candidate, unscored: list[Row], change: Row, sentence: str
) -> None:
    table = pd.DataFrame([unscored[0], unscored[1] | change], dtype=object)
    with pytest.raises(UnusableInput, match=sentence):
        predict(candidate, frames_of(table))


def test_key_with_two_values_is_refused_and_a_repeat_is_not(unscored: list[Row]) -> None:
    row = unscored[0]
    assert frames_of(pd.DataFrame([row, row])).n_rows == 2
    with pytest.raises(UnusableInput, match="row 2: expected one row a frame, .* frames row 1"):
        frames_of(pd.DataFrame([row, row | {"adm2": 0.7}]))


def test_encoder_outside_the_vocabulary_is_allowed_and_counted(
    candidate: Candidate, unscored: list[Row]
) -> None:
    renamed = [row | {"encoder": "my_encoder"} for row in unscored[:7]]
    named = [row | {"encoder": "unknown"} for row in unscored[:7]]
    found = predict(candidate, frames_of(pd.DataFrame(renamed)))
    assert found.unknown_encoders == {"my_encoder": 7}
    np.testing.assert_array_equal(found.mu, predict(candidate, frames_of(pd.DataFrame(named))).mu)
    assert predict(candidate, frames_of(pd.DataFrame(unscored))).unknown_encoders == {}


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet"])
def test_files_in_any_form_give_and_take_the_same(
    tmp_path: Path, candidate: Candidate, frames: Frames, unscored: list[Row], suffix: str
) -> None:
    given = UPath(tmp_path / f"in{suffix}")
    lines = "".join(json.dumps(row) + "\n" for row in unscored).encode()
    if suffix == ".parquet":
        pd.DataFrame(unscored).to_parquet(str(given))
    else:
        given.write_bytes(gzip.compress(lines) if suffix.endswith(".gz") else lines)
    out = UPath(tmp_path / "made" / f"out{suffix}")
    found = predict(candidate, read_frames(given))
    write_predictions(out, found)
    read = pd.read_parquet(str(out)) if suffix == ".parquet" else pd.read_json(str(out), lines=True)
    key = ["src", "encoder", "cq", "frame_index", "preset"]
    assert list(read) == [*key, "mu", "sigma", "lower", "upper", "extrapolates"]
    assert (
        read[key]
        .astype(str)
        .equals(pd.DataFrame(unscored)[key].astype(read[key].dtypes).astype(str))
    )
    wanted = predict(candidate, frames)
    for name in ("mu", "sigma", "lower", "upper"):
        np.testing.assert_allclose(read[name], getattr(wanted, name), atol=1e-6)
    assert read["extrapolates"].dtype == bool
    assert [entry.name for entry in out.parent.iterdir()] == [out.name]


def test_json_lines_are_strict_whatever_a_source_is_called(
    tmp_path: Path, candidate: Candidate, unscored: list[Row]
) -> None:
    names = ['a"b', "back\\slash", "日本 %s {x}", "tab\t"]
    table = pd.DataFrame([unscored[0] | {"src": name, "cq": 27.5} for name in names])
    table.loc[1, "preset"] = None
    out = UPath(tmp_path / "out.jsonl")
    write_predictions(out, predict(candidate, frames_of(table)))
    read = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["src"] for row in read] == names
    assert [row["cq"] for row in read] == [27.5] * 4
    assert read[1]["preset"] is None


def set_in(line: int, **values: Any) -> Callable[[list[Row]], list[Row]]:
    return lambda rows: [r | values if n == line else r for n, r in enumerate(rows, start=1)]


BAD: dict[str, tuple[Callable[[list[Row]], list[Row]], str]] = {
    "no column": (
        lambda rows: [{k: v for k, v in row.items() if k != "motion2"} for row in rows],
        "frames.jsonl: expected the columns src, encoder, cq, frame_index, adm2",
    ),
    "no value": (
        lambda rows: [rows[0], {k: v for k, v in rows[1].items() if k != "motion2"}, *rows[2:]],
        "frames.jsonl line 2: expected column 'motion2' to be a finite number, found nothing",
    ),
    "a NaN": (set_in(3, adm2=float("nan")), "line 3: expected column 'adm2' to be a finite number"),
    "text": (set_in(2, vif_scale0="0.9"), "line 2: expected column 'vif_scale0' to be a finite"),
    "no name": (set_in(4, encoder=""), "line 4: expected column 'encoder' to be text that is not"),
    "a fraction": (
        set_in(2, frame_index=1.5),
        "line 2: expected column 'frame_index' to be a whol",
    ),
    "nothing": (
        lambda rows: rows[:0],
        "frames.jsonl: expected canonical-6 rows, found an empty file",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_frames_that_can_not_be_predicted_are_refused_by_file_and_line(
    tmp_path: Path, unscored: list[Row], name: str
) -> None:
    spoil, message = BAD[name]
    path = write_rows(tmp_path / "frames.jsonl", spoil(unscored[:5]))
    with pytest.raises(UnusableInput) as refused:
        read_frames(path)
    assert message in str(refused.value)


def test_nan_in_parquet_and_in_a_table_is_refused_by_its_row(
    tmp_path: Path, unscored: list[Row]
) -> None:
    table = pd.DataFrame(unscored[:5])
    table.loc[3, "adm2"] = np.nan
    table.to_parquet(str(tmp_path / "frames.parquet"))
    with pytest.raises(UnusableInput, match=r"frames.parquet row 4: expected column 'adm2'"):
        read_frames(UPath(tmp_path / "frames.parquet"))
    with pytest.raises(UnusableInput, match=r"frames row 4: expected column 'adm2'"):
        frames_of(table)
    with pytest.raises(UnusableInput, match="found no adm2"):
        frames_of(table.drop(columns="adm2"))


@pytest.mark.parametrize("confidence", [0.3, 1.0, 95, float("nan")])
def test_confidence_that_makes_no_sense_is_refused(
    candidate: Candidate, frames: Frames, confidence: float
) -> None:
    with pytest.raises(UnusableInput, match="confidence: expected a number from 0.5 to below 1"):
        predict(candidate, frames, confidence)


def test_candidate_that_was_touched_is_refused(promoted: Home) -> None:
    (folder,) = promoted.candidates.iterdir()
    path = folder / "fr_regressor_v2_ensemble_v1_seed1.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(UnusableInput, match=r"expected a candidate that verifies.*has the sha256"):
        load_candidate(folder)


def test_scaler_that_differs_between_manifest_and_sidecar_is_refused(promoted: Home) -> None:
    (folder,) = promoted.candidates.iterdir()
    path = folder / "fr_regressor_v2_ensemble_v1.json"
    manifest = json.loads(path.read_text())
    manifest["feature_mean"][0] += 0.1
    path.write_text(json.dumps(manifest))
    with pytest.raises(UnusableInput, match="expected 'feature_mean' to be"):
        load_candidate(folder)


def test_predicting_imports_no_training_code() -> None:
    spared = ("torch", "dagster", "scipy", "numba", "matplotlib", "pandera")
    code = (
        "import sys, fr_ensemble_assets.prediction.output, fr_ensemble_assets.prediction.recommend;"
        f"print([name for name in {spared!r} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


# --- recommend -------------------------------------------------------------------------------


def table_of(highest: float, quantile: float) -> QuantileTable:
    return QuantileTable("source", 0.5, highest, (0.5, highest), (quantile / 2, quantile))


@pytest.fixture
def known() -> Candidate:
    """Members that say 100·adm2, and disagree by less than sigma's floor.

    Per encode q is 2 and the floor 0.5 at 95 %: the interval is ±1. In between, curves err by up
    to a tenth of the gap.
    """
    weight = np.zeros((1, 20), np.float32)
    weight[0, 0] = 100.0
    models = tuple(
        export_onnx(Parameters((weight,), (np.array([offset], np.float32),)), "known")
        for offset in (-0.2, -0.1, 0.0, 0.1, 0.2)
    )
    anything = Range(-1e9, 1e9)
    calibration = Calibration(
        corpus_sha256="",
        n_frames=100,
        n_encodes=50,
        sources=tuple("abcdefghijklmnopqrs"),
        mean_sigma=0.2,
        frame={"gaussian": gaussian_table(), "source": table_of(0.95, 9.0)},
        encode={"gaussian": gaussian_table(), "source": table_of(0.95, 2.0)},
        plain={},
        coverages=(),
        trained_on=TrainedOn(dict.fromkeys(CANONICAL_6, anything), {"libx264": anything}),
        interpolation={"any": table_of(0.95, 0.1)},
    )
    scaler = Scaler(np.zeros(6), np.ones(6), 100)
    return Candidate(UPath("known"), scaler, CodecBlock(0.0, 63.0), models, calibration)


def ladder(vmaf: dict[float, float], sizes: Sequence[int] = (), src: str = "clip") -> Frames:
    """Two frames of each quality, whose predicted mean is known."""
    rows = [
        {
            **{"src": src, "encoder": "libx264", "cq": quality, "frame_index": frame},
            **dict.fromkeys(CANONICAL_6, 0.0),
            "adm2": (mean + (1 if frame else -1)) / 100,
            **({"enc_bytes": sizes[place]} if sizes else {}),
        }
        for place, (quality, mean) in enumerate(vmaf.items())
        for frame in (0, 1)
    ]
    return frames_of(pd.DataFrame(rows))


def only(candidate: Candidate, frames: Frames, target: float) -> Recommendation:
    (item,) = recommend(candidate, frames, target).items
    return item


def test_largest_measured_quality_whose_lower_bound_reaches_the_target(known: Candidate) -> None:
    item = only(known, ladder({20: 96.0, 21: 93.2, 22: 92.9, 23: 60.0}), target=92)
    assert item.choice is not None
    assert (item.choice.quality, item.choice.interpolated) == (21, False)
    assert item.choice.mu == pytest.approx(93.2, abs=1e-4)
    assert item.choice.lower == pytest.approx(92.2, abs=1e-4)
    assert item.choice.upper == pytest.approx(94.2, abs=1e-4)
    assert [rung.frames for rung in item.measured] == [2, 2, 2, 2]


def test_between_measured_qualities_the_interval_is_widened_by_the_error_of_the_curve(
    known: Candidate,
) -> None:
    """A line from 96 to 86: at 22 it says 94, less 1 for the interval and 10 % of 10 for itself."""
    item = only(known, ladder({20: 96.0, 30: 86.0}, sizes=(1000, 100)), target=92)
    assert item.choice is not None
    assert (item.choice.quality, item.choice.interpolated, item.choice.frames) == (22, True, 0)
    assert item.choice.mu == pytest.approx(94.0, abs=1e-3)
    assert item.choice.lower == pytest.approx(92.0, abs=1e-3)
    assert item.choice.upper == pytest.approx(96.0, abs=1e-3)
    assert item.choice.size == pytest.approx(1000 * 10**-0.2)  # sizes fall exponentially
    assert item.saved == pytest.approx(1 - 10**-0.2)
    assert item.sentence == (
        "clip with libx264: quality 22 (interpolated) is the largest that keeps VMAF 92: predicted "
        "94.0 (92.0 to 96.0 at 95%), 37% smaller than at 20."
    )


def test_what_bounds_a_milder_quality_from_above_bounds_the_next_one(known: Candidate) -> None:
    """At 21 the line says 95, and 1 and 10 % of 20 more would be 98; but 20 has at most 97."""
    item = only(known, ladder({20: 96.0, 40: 76.0}), target=91.9)
    assert item.choice is not None
    assert (item.choice.quality, item.choice.interpolated) == (21, True)
    assert item.choice.upper == pytest.approx(97.0, abs=1e-3)


def test_where_none_reaches_the_target_the_nearest_is_named(known: Candidate) -> None:
    item = only(known, ladder({20: 90.0, 30: 80.0}), target=92)
    assert item.choice is None
    assert item.saved is None
    assert item.nearest.quality == 20
    assert item.sentence == (
        "clip with libx264: no quality keeps VMAF 92; the nearest is 20, predicted 90.0 "
        "(89.0 to 91.0 at 95%)."
    )


def test_higher_target_never_gives_a_larger_quality(known: Candidate) -> None:
    frames = ladder({19: 99.0, 25: 96.0, 31: 91.0, 37: 80.0})
    chosen = [only(known, frames, target).choice for target in np.linspace(70, 100, 61)]
    qualities = [choice.quality if choice else -1 for choice in chosen]
    assert qualities == sorted(qualities, reverse=True)
    assert qualities[0] == 37
    assert qualities[-1] == -1


def test_unsupported_level_is_answered_at_the_highest_and_flagged(known: Candidate) -> None:
    found = recommend(known, ladder({20: 96.0}), target=92, confidence=0.99)
    assert (found.answer.supported, found.answer.asked, found.answer.level) == (False, 0.99, 0.95)
    assert found.explanation.startswith(
        "19 sources can't carry 99%; answered at 95%, the highest that can be had"
    )
    assert "at 95%" in found.items[0].sentence
    assert recommend(known, ladder({20: 96.0}), target=92).answer.supported


def test_without_an_error_of_the_curve_only_measured_qualities_are_answered(
    known: Candidate,
) -> None:
    blind = replace(known, calibration=replace(known.calibration, interpolation={}))
    item = only(blind, ladder({20: 96.0, 30: 86.0}), target=92)
    assert item.choice is not None
    assert item.choice.quality == 20


def test_sources_encoders_and_presets_are_answered_apart(known: Candidate) -> None:
    one, other = ladder({20: 96.0}).frame, ladder({20: 80.0}, src="dark").frame
    fast = one.assign(preset="fast")
    found = recommend(known, frames_of(pd.concat([one, other, fast])), target=92)
    answers = [(i.src, i.preset, i.choice is not None) for i in found.items]
    assert sorted(answers, key=str) == [
        ("clip", "fast", True),
        ("clip", None, True),
        ("dark", None, False),
    ]


def test_what_was_recommended_is_one_strict_json_object(known: Candidate) -> None:
    found = recommend(known, ladder({20: 96.0, 30: 86.0}, sizes=(1000, 100)), target=92)
    document = json.loads(json.dumps(recommendations_document(found), allow_nan=False))
    (item,) = document["recommendations"]
    assert (item["choice"]["quality"], item["choice"]["interpolated"]) == (22, True)
    assert [rung["quality"] for rung in item["qualities"]] == [20, 30]
    assert (document["confidence"], document["supported"]) == (0.95, True)


def test_rows_unlike_any_trained_on_are_told_in_the_sentence(known: Candidate) -> None:
    strange = ladder({20: 96.0}).frame.assign(encoder="libx265")
    item = only(known, frames_of(strange), target=92)
    assert "100% of its frames are unlike any that were trained on" in item.sentence


def test_two_sizes_of_one_encode_are_refused(known: Candidate) -> None:
    table = ladder({20: 96.0}, sizes=(1000,)).frame
    table.loc[1, "enc_bytes"] = 999
    with pytest.raises(UnusableInput, match="expected one 'enc_bytes' an encode, found 999 and 10"):
        recommend(known, frames_of(table), target=92)


@pytest.mark.parametrize("target", [-1.0, 101.0, float("nan")])
def test_target_outside_vmaf_is_refused(known: Candidate, target: float) -> None:
    with pytest.raises(UnusableInput, match="target: expected a VMAF from 0 to 100"):
        recommend(known, ladder({20: 96.0}), target)


def test_encode_unlike_any_trained_on_is_never_recommended(known: Candidate) -> None:
    """No interval covers it, however high its lower bound."""
    with_limits = replace(
        known,
        calibration=replace(
            known.calibration,
            trained_on=replace(
                known.calibration.trained_on,
                features=dict.fromkeys(known.calibration.trained_on.features, Range(-9e5, -8e5)),
            ),
        ),
    )
    item = only(with_limits, ladder({20: 96.0, 30: 86.0}), target=60)
    assert item.choice is None
    assert "nothing is recommended; 100% of its frames are unlike any" in item.sentence


def test_predictions_that_rise_with_the_quality_value_are_told(known: Candidate) -> None:
    item = only(known, ladder({20: 90.0, 30: 96.0}), target=80)
    assert "the predictions rise with the quality value, look at the probes" in item.sentence
