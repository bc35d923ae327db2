"""Recentring: a bias that training rows show is taken away, and nothing runs off."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from upath import UPath

from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.contract.folds import Assignment
from fr_ensemble_assets.contract.recipe import Recipe
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS, read_corpus
from fr_ensemble_assets.evidence.results import load_seed, results_file
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.progress import Silent
from fr_ensemble_assets.foundation.schema import ENCODER_VOCABULARY
from fr_ensemble_assets.loso.prepared import prepare
from fr_ensemble_assets.loso.recentred import (
    correct_fold,
    corrections_document,
    corrections_file,
    load_corrections,
    recentred_predictions,
)
from fr_ensemble_assets.loso.run import evaluate_seeds, finished_seed
from fr_ensemble_assets.training import recentre
from fr_ensemble_assets.training.compiled import predict
from fr_ensemble_assets.training.recentre import TERMS, Correction, fit_correction
from fr_ensemble_assets.training.trainer import Trainer
from fr_ensemble_tests.conftest import fold_without

Inputs = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def bundled() -> Corpus:
    return read_corpus(BUNDLED_CORPUS).corpus


def drawn(n: int, seed: int = 0, encoders: int = 3) -> Inputs:
    """Network inputs: features of a standard normal, one encoder each, no preset, any quality."""
    rng = np.random.default_rng(seed)
    inputs = np.zeros((n, 20), np.float32)
    inputs[:, :6] = rng.normal(size=(n, 6))
    inputs[np.arange(n), 6 + rng.integers(encoders, size=n)] = 1
    return inputs


def test_what_is_off_in_the_training_rows_is_off_no_more() -> None:
    inputs = drawn(2000)
    truth = 60 + 8 * inputs[:, 0].astype(float)
    off = 0.3 + 0.02 * (truth - 60) + 0.1 * inputs[:, 1] * inputs[:, 2] + 0.2 * inputs[:, 7]
    unseen, seen = slice(0, 500), slice(500, 2000)
    correction = fit_correction(inputs[seen], (truth + off)[seen], truth[seen])
    recentred = correction.apply(inputs[unseen], (truth + off)[unseen])
    assert np.abs(off).mean() > 0.2
    assert np.abs(recentred - truth[unseen]).max() < 0.02


def test_prediction_beyond_the_scale_is_cut_and_bends_nothing() -> None:
    """Truth is cut at 100; a model that goes straight on beyond it has nothing to be told."""
    inputs = drawn(3000)
    straight = 90 + 8 * inputs[:, 0].astype(float)
    target = np.clip(straight, 0, 100)
    correction = fit_correction(inputs, straight, target)
    recentred = correction.apply(inputs, straight)
    assert recentred.max() == 100.0
    np.testing.assert_allclose(recentred, target, atol=1e-6)


def test_many_rows_are_fitted_block_by_block_like_all_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inputs = drawn(2000)
    straight = 95 + 4 * inputs[:, 0].astype(float)
    target = np.clip(straight + 0.3 * inputs[:, 1], 0, 100)
    at_once = fit_correction(inputs, straight, target)
    monkeypatch.setattr(recentre, "_BLOCK", 300)
    by_block = fit_correction(inputs, straight, target)
    np.testing.assert_allclose(by_block.coefficients, at_once.coefficients, atol=1e-8)
    assert (by_block.low, by_block.high) == (at_once.low, at_once.high)


def test_row_unlike_all_others_is_corrected_like_the_nearest_that_was_seen() -> None:
    inputs = drawn(1000)
    truth = 50 + inputs[:, 0].astype(float)
    correction = fit_correction(inputs, truth + inputs[:, 1] ** 2, truth)
    far, farther = inputs[:1].copy(), inputs[:1].copy()
    far[0, 1], farther[0, 1] = 50, 5000
    assert correction.apply(far, np.array([50.0])) == correction.apply(farther, np.array([50.0]))
    edge = float(inputs[:, 1].max()) + 1
    assert abs(correction.apply(far, np.array([95.0]))[0] - 95) < 1.1 * edge**2


def test_encoder_that_was_never_seen_gets_the_correction_of_no_encoder() -> None:
    correction = fit_correction(drawn(500), np.full(500, 51.0), np.full(500, 50.0))
    unseen = drawn(1)
    unseen[0, 6:18] = 0
    unseen[0, 6 + ENCODER_VOCABULARY.index("unknown")] = 1
    assert correction.coefficients[TERMS.index("encoder11")] == 0.0
    assert np.isfinite(correction.apply(unseen, np.array([51.0]))).all()


def test_one_row_is_recentred_like_many() -> None:
    inputs, prediction = drawn(9000), np.linspace(-5, 105, 9000)
    correction = fit_correction(inputs, prediction, np.clip(prediction + 1, 0, 100))
    together = correction.apply(inputs, prediction)
    for row in (0, 4096, 8999):
        alone = correction.apply(inputs[row : row + 1], prediction[row : row + 1])
        assert alone[0] == pytest.approx(together[row], abs=1e-12)


def test_corrections_are_read_back_to_the_bit_and_nothing_else_is() -> None:
    correction = fit_correction(drawn(200), np.full(200, 51.0), np.full(200, 50.0))
    told = correction.to_json()
    assert Correction.from_json(told) == correction
    for spoiled in (
        {**told, "coefficients": told["coefficients"][1:]},
        {**told, "low": [*told["low"][1:], float("nan")]},
        {**told, "high": "six"},
        {"low": told["low"]},
    ):
        with pytest.raises(ValueError, match="of a correction: expected"):
            Correction.from_json(spoiled)


def test_real_members_err_less_on_the_source_that_they_never_saw(bundled: Corpus) -> None:
    """Two seeds, trained briefly, of all sources but one."""
    folds = [fold_without(bundled, number, seed=0) for number in (2, 7)]
    trained = Trainer("cpu").train([fold.fit for fold in folds], Recipe(epochs=40))
    for fold, parameters in zip(folds, trained, strict=True):
        target = bundled.target[fold.held_out_rows]
        raw = predict(parameters, fold.held_out_inputs)
        seen = predict(parameters, fold.fit.inputs)
        correction = fit_correction(fold.fit.inputs, seen, fold.fit.target.astype(float))
        recentred = correction.apply(fold.held_out_inputs, raw)
        assert np.sqrt(np.mean((recentred - target) ** 2)) < np.sqrt(np.mean((raw - target) ** 2))


def test_recentred_predictions_follow_from_the_raw_ones_and_what_is_kept(few: Corpus) -> None:
    """Two folds of a seed, one of two sources, trained briefly: read back, applied again."""
    assignment = Assignment((few.sources[:2], few.sources[2:]))
    folds = [prepare(few).fold(held_out, 0) for held_out in assignment.folds]
    trained = Trainer("cpu").train([fold.fit for fold in folds], Recipe(epochs=3))
    corrections = [correct_fold(*pair) for pair in zip(folds, trained, strict=True)]
    raw, wanted = np.empty((1, few.n_rows)), np.empty((1, few.n_rows))
    for fold, parameters, c in zip(folds, trained, corrections, strict=True):
        raw[0, fold.held_out_rows] = predict(parameters, fold.held_out_inputs)
        found = c.apply(fold.held_out_inputs, raw[0, fold.held_out_rows])
        wanted[0, fold.held_out_rows] = found
    kept = json.loads(json.dumps(corrections_document(few, assignment, corrections, "0" * 64)))
    read = [Correction.from_json(fold) for fold in kept["folds"]]
    found = recentred_predictions(few, assignment, raw, [read])
    np.testing.assert_array_equal(found, wanted)
    assert np.abs(found - few.target).mean() < np.abs(raw - few.target).mean()


QUICK = ENSEMBLE.under(epochs=2)


@pytest.fixture
def evaluated(tmp_path: Path, few: Corpus) -> UPath:
    """One seed's results, predictions and corrections."""
    folder = UPath(tmp_path / "results")
    list(evaluate_seeds(folder, few, [0], QUICK, Trainer("cpu"), Silent()))
    return folder


def edited(folder: UPath, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / corrections_file(0)
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda d: d.update(version=0), "'version' to be 1, found 0"),
        (lambda d: d.update(corpus_sha256="0" * 64), "'corpus_sha256' to be"),
        (lambda d: d.update(predictions_sha256="0" * 64), "'predictions_sha256' to be"),
        (lambda d: d["folds"].pop(), "for each of 3 folds, found others"),
        (lambda d: d["folds"].reverse(), "for each of 3 folds, found others"),
        (lambda d: d.update(folds=[1, 2, 3]), "for each of 3 folds, found others"),
        (lambda d: d["folds"][1].pop("low"), "'low' of a correction: expected 6 numbers"),
    ],
    ids=["version", "corpus", "predictions", "one less", "order", "no objects", "no end"],
)
def test_other_corrections_are_refused_and_their_seed_is_not_done(
    evaluated: UPath, few: Corpus, change: Callable[[dict[str, Any]], None], sentence: str
) -> None:
    score = load_seed(evaluated / results_file(0), 0)
    assert len(load_corrections(evaluated, few, QUICK, score)) == 3
    assert finished_seed(evaluated, few, QUICK, 0) is not None
    edited(evaluated, change)
    with pytest.raises(UnusableInput, match=sentence):
        load_corrections(evaluated, few, QUICK, score)
    assert finished_seed(evaluated, few, QUICK, 0) is None


def test_corrections_are_the_same_bytes_in_any_company(
    evaluated: UPath, tmp_path: Path, few: Corpus
) -> None:
    other = UPath(tmp_path / "other")
    list(evaluate_seeds(other, few, [1, 0], QUICK, Trainer("cpu", workers=3), Silent()))
    name = corrections_file(0)
    assert (other / name).read_bytes() == (evaluated / name).read_bytes()
