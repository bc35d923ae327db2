"""Training: PyTorch's own initialisation, streams keyed by the seed alone, one trajectory."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.contract.recipe import Recipe
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.progress import StepReport, report_nothing
from fr_ensemble_assets.training.compiled import predict, train_compiled
from fr_ensemble_assets.training.kernel import normal
from fr_ensemble_assets.training.model import (
    FitInput,
    Parameters,
    build_module,
    forward,
    initial_parameters,
)
from fr_ensemble_assets.training.reference import train_reference
from fr_ensemble_assets.training.stacked import train_stack
from fr_ensemble_assets.training.streams import DropoutStream, epoch_order
from fr_ensemble_assets.training.trainer import Trainer
from fr_ensemble_tests.conftest import fold_without


def difference(a: Parameters, b: Parameters) -> float:
    pairs = zip((*a.weights, *a.biases), (*b.weights, *b.biases), strict=True)
    return max(float(np.abs(x - y).max()) for x, y in pairs)


def same_bytes(a: Parameters, b: Parameters) -> bool:
    pairs = zip((*a.weights, *a.biases), (*b.weights, *b.biases), strict=True)
    return all(x.tobytes() == y.tobytes() for x, y in pairs)


@pytest.mark.parametrize("seed", [0, 4])
def test_initialisation_is_pytorchs_own(seed: int) -> None:
    torch.manual_seed(seed)
    linears = [torch.nn.Linear(20, 64), torch.nn.Linear(64, 64), torch.nn.Linear(64, 1)]
    ours = initial_parameters(seed, ENSEMBLE.recipe)
    for linear, weight, bias in zip(linears, ours.weights, ours.biases, strict=True):
        assert linear.weight.detach().numpy().tobytes() == weight.tobytes()
        assert linear.bias.detach().numpy().tobytes() == bias.tobytes()


def test_shuffle_visits_every_row_once_and_differs_by_epoch_and_seed() -> None:
    order = epoch_order(0, 0, 50)
    assert sorted(order) == list(range(50))
    assert order.tolist() != epoch_order(0, 1, 50).tolist()
    assert order.tolist() != epoch_order(1, 0, 50).tolist()


def test_dropout_masks_can_be_had_from_any_step() -> None:
    stream = DropoutStream(3, ENSEMBLE.recipe)
    whole = stream.masks(0, 20)
    np.testing.assert_array_equal(stream.masks(7, 5), whole[7:12])


def test_dropout_drops_a_tenth_and_keeps_the_expectation() -> None:
    masks = DropoutStream(0, ENSEMBLE.recipe).masks(0, 500)
    assert (masks == 0).mean() == pytest.approx(0.1, abs=0.001)
    assert masks.mean() == pytest.approx(1.0, abs=0.001)
    across = np.corrcoef(masks[:, 0].ravel(), masks[:, 1].ravel())[0, 1]
    assert abs(across) < 0.005


@pytest.mark.parametrize("n", [80, 65], ids=["last batch of 16", "last batch of 1"])
def test_every_trainer_follows_the_reference_over_480_steps_with_dropout(
    few: Corpus, n: int
) -> None:
    recipe = Recipe(epochs=160)  # of three steps each
    fold = fold_without(few, 0, seed=0).fit
    fits = [FitInput(seed, fold.inputs[:n], fold.target[:n]) for seed in (0, 1)]
    stacked = train_stack(fits, recipe)
    for number, fit in enumerate(fits):
        reference = train_reference(fit, recipe)
        assert difference(train_compiled(fit, recipe), reference) < 1e-5
        assert difference(stacked[number], reference) < 1e-5


def test_stack_holds_models_that_differ_in_rows(few: Corpus) -> None:
    fold = fold_without(few, 0, seed=0).fit
    fits = [FitInput(s, fold.inputs[:n], fold.target[:n]) for s, n in ((0, 80), (0, 40), (1, 70))]
    recipe = Recipe(epochs=30)
    for fit, stacked in zip(fits, train_stack(fits, recipe), strict=True):
        assert difference(stacked, train_reference(fit, recipe)) < 1e-5


def test_dropout_and_shuffles_matter(few: Corpus) -> None:
    fit = fold_without(few, 0, seed=0).fit
    recipe = Recipe(epochs=20)
    plain = train_compiled(fit, replace(recipe, dropout=0.0))
    dropped = train_compiled(fit, recipe)
    other_seed = train_compiled(replace(fit, seed=1), recipe)
    assert difference(plain, dropped) > 1e-3
    assert difference(dropped, other_seed) > 1e-3


def test_same_fit_gives_the_same_bytes(few: Corpus) -> None:
    fit = fold_without(few, 1, seed=2).fit
    recipe = Recipe(epochs=5)
    assert same_bytes(train_compiled(fit, recipe), train_compiled(fit, recipe))


def test_kernel_wants_one_encoder_a_row(few: Corpus) -> None:
    fit = fold_without(few, 0, seed=0).fit
    two = fit.inputs.copy()
    two[3, 6:8] = 1
    with pytest.raises(ValueError, match="row 3: expected one encoder column at 1"):
        train_compiled(replace(fit, inputs=two), Recipe(epochs=1))


def test_diverged_model_is_seen_to_diverge(few: Corpus) -> None:
    fit = fold_without(few, 0, seed=0).fit
    wild = train_compiled(fit, Recipe(epochs=20, lr=1e30))
    assert not np.isfinite(predict(wild, fit.inputs)).all()


def test_prediction_is_the_modules_and_does_not_depend_on_the_rows_beside(few: Corpus) -> None:
    fold = fold_without(few, 0, seed=0)
    parameters = train_compiled(fold.fit, Recipe(epochs=20))
    with torch.inference_mode():
        score = build_module(parameters)(torch.from_numpy(fold.held_out_inputs))[:, 0]
    ours = predict(parameters, fold.held_out_inputs)
    np.testing.assert_allclose(ours, score.double().numpy(), atol=1e-4, rtol=0)
    exact = build_module(parameters).double()(torch.from_numpy(fold.held_out_inputs).double())
    np.testing.assert_allclose(
        forward(parameters, fold.held_out_inputs), exact[:, 0].detach().numpy(), rtol=1e-12
    )
    np.testing.assert_array_equal(predict(parameters, fold.held_out_inputs[:7]), ours[:7])


@settings(deadline=None)  # the first example compiles it
@given(st.floats(-40, 40, width=32))
def test_normal_distribution_of_the_kernel_is_right_to_a_few_roundings_of_float32(x: float) -> None:
    phi, cumulated = normal(np.float32(x))
    assert cumulated == pytest.approx(ndtr(x), abs=4e-7)
    assert phi == pytest.approx(np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi), abs=4e-7)


def test_recipe_names_where_it_leaves_the_contract() -> None:
    assert ENSEMBLE.departures == ()
    shorter = ENSEMBLE.under(epochs=5)
    assert shorter.departures == ("epochs 5 instead of 200",)
    assert shorter.folder != ENSEMBLE.folder == "loso-200epochs-4a439d50"


def test_loosened_thresholds_are_a_dry_run() -> None:
    easier = replace(ENSEMBLE, thresholds=replace(ENSEMBLE.thresholds, mean_plcc_min=0.5))
    assert easier.departures == ("other thresholds than agreed on",)


def test_reference_is_a_setting(few: Corpus) -> None:
    fit = fold_without(few, 0, seed=0).fit
    recipe = Recipe(epochs=2)
    (through_trainer,) = Trainer("reference").train([fit], recipe)
    assert same_bytes(through_trainer, train_reference(fit, recipe))


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for CUDA where there is none")
def test_cuda_that_is_not_there_is_refused() -> None:
    assert Trainer("auto").backend == "cpu"
    with pytest.raises(UnusableInput, match="expected a CUDA device"):
        _ = Trainer("cuda").backend


@dataclass(frozen=True, eq=False)
class Endless:
    """A part that trains on and on until it is told to stop."""

    fit: FitInput
    data: str = "a corpus"

    def work(self, data: list[str], report: StepReport) -> None:
        try:
            Trainer("cpu").train([self.fit], Recipe(epochs=10**9), report)
        finally:
            data.append("stopped")


@dataclass(frozen=True)
class Failing:
    data: str = "a corpus"

    def work(self, data: list[str], report: StepReport) -> None:  # noqa: ARG002 (the protocol's)
        raise OSError("disk full")


def test_one_failure_stops_the_work_beside_it(few: Corpus) -> None:
    fit = fold_without(few, 0, seed=0).fit
    stopped: list[str] = []
    endless = Endless(fit)
    with pytest.raises(OSError, match="disk full"):
        list(
            Trainer("cpu", workers=2).side_by_side(
                {endless: report_nothing, Failing(): report_nothing}, {"a corpus": stopped}
            )
        )
    assert stopped == ["stopped"]
