"""Members: the ONNX file is the trained network, and its sidecar says how to feed it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from upath import UPath

from fr_ensemble_assets.calibration.calibrate import Calibration
from fr_ensemble_assets.calibration.document import CALIBRATION_FILE, read_calibration
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.corpus.store import load_corpus
from fr_ensemble_assets.foundation.errors import GateRefusal
from fr_ensemble_assets.foundation.files import sha256_of
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.gate.verdict import authorise
from fr_ensemble_assets.members.build import (
    build_members,
    check_members,
    fit_problems,
    make_members,
)
from fr_ensemble_assets.members.fit import (
    fit_identity,
    fit_members,
    fits_of_this_process,
    forget_fits,
    full_corpus_inputs,
    load_parameters,
    save_parameters,
)
from fr_ensemble_assets.members.names import onnx_file, parameters_file
from fr_ensemble_assets.members.onnx_export import (
    ALLOWED_OPERATORS,
    export_onnx,
    forbidden_operators,
    run_onnx,
)
from fr_ensemble_assets.training.compiled import predict
from fr_ensemble_assets.training.model import Parameters
from fr_ensemble_assets.training.trainer import Trainer
from fr_ensemble_tests.conftest import Chain


def calibrated(home: Home) -> Calibration:
    """The calibration that the home's one candidate carries."""
    (candidate,) = home.candidates.iterdir()
    return read_calibration(candidate / CALIBRATION_FILE)


@pytest.fixture
def fitted(few: Corpus) -> Parameters:
    return fit_members(few, replace(ENSEMBLE.under(epochs=5), units=(0,)), Trainer("cpu"))[0]


def test_export_is_the_network_with_the_contracts_names_and_shapes(
    few: Corpus, fitted: Parameters
) -> None:
    data = export_onnx(fitted, "member")
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version == 17
    session = onnxruntime.InferenceSession(data)
    inputs = {i.name: (i.type, i.shape) for i in session.get_inputs()}
    assert inputs == {
        "features": ("tensor(float)", ["batch", 6]),
        "codec_onehot": ("tensor(float)", ["batch", 14]),
    }
    (output,) = session.get_outputs()
    assert (output.name, output.type, output.shape) == ("score", "tensor(float)", ["batch"])
    rows = full_corpus_inputs(few)
    np.testing.assert_allclose(run_onnx(data, rows), predict(fitted, rows), atol=1e-4, rtol=0)
    assert run_onnx(data, rows[:1]).shape == (1,)


def test_export_gives_the_same_bytes_and_only_allowed_operators(fitted: Parameters) -> None:
    data = export_onnx(fitted, "member")
    assert data == export_onnx(fitted, "member")
    assert forbidden_operators(data) == ()
    assert "Sin" not in ALLOWED_OPERATORS


def test_operator_outside_the_allow_list_is_found() -> None:
    node = onnx.helper.make_node("Sin", ["x"], ["y"])
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph([node], "g", [info("x", 1, [1])], [info("y", 1, [1])])
    assert forbidden_operators(onnx.helper.make_model(graph).SerializeToString()) == ("Sin",)


def test_check_finds_a_member_that_is_not_its_network(promoted: Home) -> None:
    (members,) = promoted.store.glob("*/*/members")
    corpus = load_corpus(promoted, members.parent.parent.name)
    checked = check_members(members, corpus, ENSEMBLE)
    assert all(found.max_difference <= 1e-4 for found in checked if not found.problem)
    assert [found.problem for found in checked] == [""] * 5
    path = members / "fr_regressor_v2_ensemble_v1_seed1_parameters.parquet"
    identity = fit_identity(corpus, ENSEMBLE, 1)
    parameters = load_parameters(path, identity)
    parameters.biases[2][0] += 0.5
    save_parameters(path, parameters, identity)
    checked = check_members(members, corpus, ENSEMBLE)
    assert checked[1].max_difference == pytest.approx(0.5, abs=1e-3)


def test_fit_that_is_off_its_own_rows_is_refused_though_it_correlates() -> None:
    target = np.linspace(20.0, 95.0, 400)
    noise = np.random.default_rng(0).normal(0, 0.5, 400)
    assert fit_problems(target + noise, target, unseen_rmse=0.7) == []
    (told,) = fit_problems(target + noise + 2.5, target, unseen_rmse=0.7)
    assert "be off by at most 2.100 VMAF in the mean" in told
    (told,) = fit_problems(target + 6 * noise, target, unseen_rmse=0.7)
    assert "have an RMSE of at most 2.800 VMAF" in told
    assert fit_problems(target + 0.9, target, unseen_rmse=0.01) == []
    assert "reach PLCC 0.95" in fit_problems(np.full(400, 60.0), target, 0.7)[0]
    assert "found none" in fit_problems(target, target, None)[0]


def test_final_fit_that_diverged_is_refused_and_nothing_is_written(promoted: Home) -> None:
    (members,) = promoted.store.glob("*/*/members")
    corpus = load_corpus(promoted, members.parent.parent.name)
    judgement = authorise(members.parent, corpus, ENSEMBLE)
    shifted = [
        load_parameters(members / parameters_file(seed), fit_identity(corpus, ENSEMBLE, seed))
        for seed in range(5)
    ]
    shifted[1].biases[2][0] += 15
    with pytest.raises(GateRefusal, match="member 1: expected the final fit to be off by at most"):
        make_members(corpus, ENSEMBLE, judgement, calibrated(promoted), shifted)
    shifted[1].weights[2][:] = 0.0
    with pytest.raises(GateRefusal, match="member 1: expected the final fit to reach PLCC"):
        make_members(corpus, ENSEMBLE, judgement, calibrated(promoted), shifted)


def test_parameters_survive_storage(tmp_path: Path, fitted: Parameters) -> None:
    path = UPath(tmp_path / "p.parquet")
    save_parameters(path, fitted, "this fit")
    loaded = load_parameters(path, "this fit")
    for before, after in zip(
        (*fitted.weights, *fitted.biases), (*loaded.weights, *loaded.biases), strict=True
    ):
        np.testing.assert_array_equal(before, after)


def test_stored_fits_are_never_taken_again(promoted: Home) -> None:
    (members,) = promoted.store.glob("*/*/members")
    corpus = load_corpus(promoted, members.parent.parent.name)
    judgement = authorise(members.parent, corpus, ENSEMBLE)
    before = {m.name: m.read_bytes() for m in members.iterdir()}
    path = members / parameters_file(1)
    shifted = load_parameters(path, fit_identity(corpus, ENSEMBLE, 1))
    shifted.biases[2][0] += 0.1
    save_parameters(path, shifted, fit_identity(corpus, ENSEMBLE, 1))
    (members / parameters_file(2)).write_bytes((members / parameters_file(0)).read_bytes())
    (members / onnx_file(3)).write_bytes(b"")
    calibration = calibrated(promoted)
    build_members(members, corpus, ENSEMBLE, judgement, calibration, Trainer("cpu"))
    assert {m.name: m.read_bytes() for m in members.iterdir()} == before


def test_fits_are_handed_over_within_a_process_and_only_the_very_same(few: Corpus) -> None:
    two, trainer = replace(ENSEMBLE.under(epochs=2), units=(0, 1)), Trainer("cpu")
    made = fit_members(few, two, trainer)
    handed = fits_of_this_process(few, two, trainer)
    assert handed is not None
    np.testing.assert_array_equal(handed[1].weights[0], made[1].weights[0])
    made[1].weights[0][:] = 0  # what somebody does with theirs changes no other
    assert handed[1].weights[0].any()
    assert fits_of_this_process(few, replace(two, units=(0,)), trainer) is None
    assert fits_of_this_process(few, two.under(epochs=3), trainer) is None
    forget_fits()
    assert fits_of_this_process(few, two, trainer) is None


def test_sidecar_has_the_contracts_fields(promoted_once: Chain) -> None:
    folder = promoted_once[1].candidate_dir
    assert folder is not None
    sidecar = json.loads((folder / "fr_regressor_v2_ensemble_v1_seed2.json").read_text())
    assert set(sidecar) == {
        *("id", "ensemble_id", "seed", "kind", "codec_aware", "codec_block_layout"),
        *("encoder_vocab", "encoder_vocab_version", "feature_order", "feature_mean"),
        *("feature_std", "input_names", "output_names", "onnx", "opset", "sha256", "corpus"),
        *("training_recipe", "gate", "loso_mean_plcc", "notes", "parent_adrs"),
        *("name", "input_name", "output_name", "onnx_opset"),
    }
    model = (folder / sidecar["onnx"]).read_bytes()
    assert sidecar["sha256"] == sha256_of(model)
    assert sidecar["codec_block_layout"][0] == "encoder_onehot[libx264]"
    assert sidecar["codec_block_layout"][-2:] == ["preset_norm", "crf_norm"]
    fixed = {"path", "sha256", "n_rows", "cq_min", "cq_max"}
    assert set(sidecar["corpus"]) == fixed | {"presets"}
    assert sidecar["training_recipe"] == {
        "in_features": 6,
        "hidden": 64,
        "depth": 2,
        "dropout": 0.1,
        "num_codecs": 14,
        "epochs": 200,
        "batch_size": 32,
        "lr": 5e-4,
        "weight_decay": 1e-5,
        "optimizer": "Adam",
        "loss": "MSE",
        "fit_set": "full_corpus",
        "scaler": "fit_on_full_corpus",
    }
    assert set(sidecar["gate"]) == {
        *("verdict", "mean_plcc", "mean_plcc_threshold", "plcc_spread", "plcc_spread_max"),
        *("per_seed_min_threshold", "this_seed_loso_plcc", "passed"),
    }


def test_manifest_is_enough_to_score_a_corpus(promoted_once: Chain) -> None:
    """A consumer's view: only the candidate folder, numpy and onnxruntime."""
    home, outcome = Home.at(promoted_once[0]), promoted_once[1]
    folder = outcome.candidate_dir
    assert folder is not None
    manifest = json.loads((folder / "fr_regressor_v2_ensemble_v1.json").read_text())
    sidecar = json.loads((folder / "fr_regressor_v2_ensemble_v1_seed0.json").read_text())
    frame = load_corpus(home, outcome.corpus_sha256).frame
    features = frame[manifest["feature_order"]].to_numpy()
    features = (features - manifest["feature_mean"]) / manifest["feature_std"]
    codec = np.zeros((len(frame), 14), dtype=np.float32)
    slots = [manifest["codec_vocab"].index(encoder) for encoder in frame["encoder"]]
    codec[np.arange(len(frame)), slots] = 1
    pairs = zip(frame["encoder"], frame["preset"], strict=True)
    codec[:, 12] = [sidecar["corpus"]["presets"][encoder][preset] for encoder, preset in pairs]
    low, high = sidecar["corpus"]["cq_min"], sidecar["corpus"]["cq_max"]
    codec[:, 13] = (frame["cq"] - low) / (high - low)
    scores = [
        onnxruntime.InferenceSession((folder / member["onnx"]).read_bytes()).run(
            ["score"], {"features": features.astype(np.float32), "codec_onehot": codec}
        )[0]
        for member in manifest["members"]
    ]
    mu, sigma = np.mean(scores, axis=0), np.std(scores, axis=0, ddof=1)
    assert np.corrcoef(mu, frame["vmaf"])[0, 1] > 0.99
    assert (sigma > 0).all()
    confidence = manifest["confidence"]
    assert set(confidence) == {
        *("method", "nominal_coverage", "gaussian_z", "conformal_q_residual")
    }
    assert (confidence["method"], confidence["nominal_coverage"]) == ("ensemble+conformal", 0.95)
    half = confidence["conformal_q_residual"] * sigma
    assert np.mean(np.abs(frame["vmaf"] - mu) <= half) > 0.95  # members saw these rows
    assert (manifest["kind"], manifest["ensemble_size"]) == ("fr_ensemble", 5)
