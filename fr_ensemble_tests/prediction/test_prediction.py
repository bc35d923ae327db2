"""A candidate at work: what it predicts of frames, and which frames it refuses."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from upath import UPath

from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.foundation.schema import CANONICAL_6, ENCODER_VOCABULARY
from fr_ensemble_assets.prediction.candidate import Candidate, load_candidate
from fr_ensemble_assets.prediction.frames import Frames, frames_of, read_frames
from fr_ensemble_assets.prediction.output import write_predictions
from fr_ensemble_assets.prediction.predict import predict
from fr_ensemble_assets.prediction.recommend import recommend
from fr_ensemble_assets.prediction.recommend_document import recommendations_document
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
    told = json.loads((folder / "calibration.json").read_text())
    corrected = [
        recentred_by_hand(told["recentring"], member, features, codec, score)
        for member, score in zip(told["recentring"]["members"], scores, strict=True)
    ]
    found = predict(candidate, frames)
    mu, sigma = np.mean(corrected, axis=0), np.std(corrected, axis=0, ddof=1)
    np.testing.assert_allclose(found.mu, mu, atol=1e-3)
    np.testing.assert_allclose(found.sigma, sigma, atol=1e-3)
    assert np.abs(found.mu - np.mean(scores, axis=0)).max() > 0.01
    source = told["per_frame"]["source"]
    half = source["quantiles"][repr(source["highest_level"])]
    half = half * np.maximum(sigma, source["sigma_floor"])
    np.testing.assert_allclose(found.lower, (mu - half).clip(0, 100), atol=1e-2)
    np.testing.assert_allclose(found.upper, (mu + half).clip(0, 100), atol=1e-2)


def recentred_by_hand(
    told: dict[str, Any],
    member: dict[str, Any],
    features: np.ndarray,
    codec: np.ndarray,
    score: np.ndarray,
) -> np.ndarray:
    """A member's scores as whoever has calibration.json alone would recentre them."""
    inside = np.clip(score.astype(float), told["lowest"], told["highest"]) / 100
    clamped = np.clip(features.astype(np.float32), member["low"], member["high"])
    named = dict(zip(CANONICAL_6, clamped.T, strict=True))
    off = np.zeros(len(score))
    for term, coefficient in zip(told["terms"], member["coefficients"], strict=True):
        if term.startswith("prediction above "):
            value = np.maximum(inside - float(term.split()[-1]) / 100, 0)
        elif term.startswith("encoder"):
            value = codec[:, int(term.removeprefix("encoder"))]
        else:
            factors = {"1": np.ones(len(score)), "prediction": inside} | named
            value = np.prod([factors[name] for name in term.split("*")], axis=0)
        off += coefficient * value
    return np.clip(score - off, 0, 100)


def test_calibration_without_corrections_takes_members_as_they_are(
    candidate: Candidate, frames: Frames
) -> None:
    """As earlier versions wrote it."""
    older = replace(candidate, calibration=replace(candidate.calibration, corrections=None))
    raw, recentred = predict(older, frames), predict(candidate, frames)
    assert np.abs(raw.mu - recentred.mu).max() > 0.01


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
        {"preset": None},  # the one preset that libx264 was trained with
    ]
    table = pd.DataFrame(
        [unscored[0] | change | {"frame_index": n} for n, change in enumerate(changes)]
    )
    flagged = predict(candidate, frames_of(table)).extrapolates
    assert flagged.tolist() == [False, True, True, True, True, True, False]


def test_rows_without_preset_have_the_one_that_their_encoder_was_trained_with(
    candidate: Candidate, unscored: list[Row]
) -> None:
    table = pd.DataFrame(unscored)
    told, untold = frames_of(table), frames_of(table.drop(columns="preset"))
    found, assumed = predict(candidate, told), predict(candidate, untold)
    np.testing.assert_array_equal(found.mu, assumed.mu)
    assert not assumed.extrapolates.any()
    assert found.assumed_presets == {}
    assert assumed.assumed_presets["libx264"] == "medium"
    advice = recommend(candidate, untold, target=60, confidence=0.8)
    assert all(item.choice for item in advice.items)
    assert recommendations_document(advice)["assumed_presets"] == assumed.assumed_presets


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
    with pytest.raises(UnusableInput, match="--confidence: expected a number from 0.5 to below 1"):
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
    with pytest.raises(UnusableInput, match="is not the one that digests.json names"):
        load_candidate(folder)


def test_predicting_imports_no_training_code() -> None:
    spared = ("torch", "dagster", "scipy", "numba", "matplotlib", "pandera")
    code = (
        "import sys, fr_ensemble_assets.prediction.output, fr_ensemble_assets.prediction.recommend;"
        f"print([name for name in {spared!r} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
