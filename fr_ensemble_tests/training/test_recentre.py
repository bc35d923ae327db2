"""Recentring: a bias that training rows show is taken away, and nothing runs off."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from fr_ensemble_assets.contract.recipe import Recipe
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS, read_corpus
from fr_ensemble_assets.foundation.schema import ENCODER_VOCABULARY
from fr_ensemble_assets.loso.recentred import (
    correct_fold,
    corrections_json,
    parse_corrections,
    recentred_predictions,
)
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
    """Two seeds' folds, trained briefly: kept as text, read back, applied again."""
    kept, raw, wanted = [], np.empty((2, few.n_rows)), np.empty((2, few.n_rows))
    for seed in range(2):
        folds = [fold_without(few, number, seed) for number in range(len(few.sources))]
        trained = Trainer("cpu").train([fold.fit for fold in folds], Recipe(epochs=3))
        corrections = [correct_fold(*pair) for pair in zip(folds, trained, strict=True)]
        for fold, parameters, c in zip(folds, trained, corrections, strict=True):
            raw[seed, fold.held_out_rows] = predict(parameters, fold.held_out_inputs)
            wanted[seed, fold.held_out_rows] = c.apply(
                fold.held_out_inputs, raw[seed, fold.held_out_rows]
            )
        kept.append(corrections_json(corrections))
    read = [parse_corrections(text, len(few.sources)) for text in kept]
    found = recentred_predictions(few, raw, read)
    np.testing.assert_array_equal(found, wanted)
    assert np.abs(found - few.target).mean() < np.abs(raw - few.target).mean()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[]", "expected corrections by fold"),
        ('{"version": 0, "folds": []}', "of version 1, found 0"),
        ('{"version": 1, "folds": []}', "expected 3 corrections, found 0"),
        ('{"version": 1, "folds": [{}, {}, {}]}', "'low' of a correction"),
        ('{"version": 1, "folds": [1, 2, 3]}', "'low' of a correction"),
    ],
)
def test_other_corrections_are_refused_in_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        parse_corrections(text, 3)
