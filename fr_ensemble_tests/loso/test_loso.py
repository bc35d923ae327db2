"""Leave-one-source-out: honest figures, honest splits, files that prove themselves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import pearsonr, spearmanr
from upath import UPath

from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.evidence.audit import load_seed_result
from fr_ensemble_assets.evidence.metrics import agreement
from fr_ensemble_assets.evidence.results import load_seed
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.progress import Silent
from fr_ensemble_assets.loso.run import evaluate_seeds, finished_seed
from fr_ensemble_assets.loso.writing import save_seed
from fr_ensemble_assets.training.trainer import Trainer
from fr_ensemble_tests.conftest import CPU, evaluate_seed, fold_without

QUICK = ENSEMBLE.under(epochs=3)

scores = arrays(np.float64, 12, elements=st.integers(0, 100).map(float))


@settings(deadline=None)  # a busy machine may take its time
@given(scores, scores)
def test_figures_are_scipys_with_ties(prediction: np.ndarray, target: np.ndarray) -> None:
    found = agreement(prediction, target)
    if np.ptp(prediction) == 0 or np.ptp(target) == 0:
        assert found.plcc is None
        assert found.srocc is None
    else:
        assert found.plcc == pytest.approx(pearsonr(prediction, target).statistic)
        assert found.srocc == pytest.approx(spearmanr(prediction, target).statistic)
    assert found.rmse == pytest.approx(np.sqrt(np.mean((prediction - target) ** 2)))


@pytest.mark.parametrize("prediction", [[np.nan, 1.0, 2.0], [np.inf, 1.0, 2.0]])
def test_figures_of_a_diverged_model_are_undefined(prediction: list[float]) -> None:
    found = agreement(np.array(prediction), np.array([1.0, 2.0, 3.0]))
    assert (found.plcc, found.srocc, found.rmse) == (None, None, None)


def test_held_out_rows_change_nothing_in_training(few: Corpus) -> None:
    source = few.sources[1]
    held_out = few.frame["src"] == source
    changed = few.frame.copy()
    changed.loc[held_out, ["adm2", "vif_scale0", "motion2", "vmaf"]] = [9.0, -3.0, 50.0, 1.0]
    other = Corpus("other", changed)
    for number in range(len(few.sources)):
        before, after = fold_without(few, number, seed=0), fold_without(other, number, seed=0)
        same = before.fit.inputs.tobytes() == after.fit.inputs.tobytes()
        same &= before.fit.target.tobytes() == after.fit.target.tobytes()
        assert same == (before.held_out == (source,))


def test_each_source_is_held_out_once_and_every_row_predicted(few: Corpus) -> None:
    result = evaluate_seed(few, 0, QUICK)
    assert [fold.held_out for fold in result.folds] == sorted(few.frame["src"].unique())
    assert sum(fold.n_val for fold in result.folds) == few.n_rows
    assert all(fold.n_train + fold.n_val == few.n_rows for fold in result.folds)
    assert np.isfinite(result.prediction).all()


def test_results_file_has_the_contracts_fields(tmp_path: Path, few: Corpus) -> None:
    folder = UPath(tmp_path)
    save_seed(folder, few, QUICK, evaluate_seed(few, 3, QUICK), "cpu")
    document = json.loads((folder / "loso_seed3.json").read_text())
    plccs = [fold["plcc"] for fold in document["folds"]]
    assert document["seed"] == 3
    assert document["n_folds"] == len(plccs) == 3
    assert document["mean_plcc"] == pytest.approx(np.mean(plccs))
    assert document["std_plcc"] == pytest.approx(np.std(plccs, ddof=1))
    assert (document["min_plcc"], document["max_plcc"]) == (min(plccs), max(plccs))
    assert document["corpus_sha256"] == few.sha256
    assert (document["epochs"], document["num_codecs"]) == (3, 14)
    assert {"corpus", "mean_srocc", "mean_rmse", "batch_size", "lr"} < document.keys()
    assert {"weight_decay", "encoder_vocab_version", "wall_time_s"} < document.keys()
    table = pq.read_table(folder / "loso_seed3_predictions.parquet")
    assert table.column_names == [
        *("src", "encoder", "cq", "frame_index", "preset"),
        *("fold", "target", "prediction"),
    ]
    assert table.num_rows == few.n_rows


def test_undefined_fold_is_null_and_leaves_no_mean(tmp_path: Path, few: Corpus) -> None:
    constant = few.frame.copy()
    constant.loc[constant["src"] == few.sources[0], "vmaf"] = 100.0
    corpus = Corpus("constant", constant)
    save_seed(UPath(tmp_path), corpus, QUICK, evaluate_seed(corpus, 0, QUICK), "cpu")
    text = (tmp_path / "loso_seed0.json").read_text()
    assert "NaN" not in text
    document = json.loads(text)
    assert document["folds"][0]["plcc"] is None
    assert document["mean_plcc"] is None


def bytes_of_seed(folder: UPath, seed: int) -> tuple[str, bytes]:
    """A seed's files; the one line that tells how long it took is left out."""
    text = (folder / f"loso_seed{seed}.json").read_text()
    kept = [line for line in text.splitlines() if '"wall_time_s"' not in line]
    assert len(kept) == len(text.splitlines()) - 1
    return "\n".join(kept), (folder / f"loso_seed{seed}_predictions.parquet").read_bytes()


@pytest.mark.parametrize(
    ("seeds", "workers"),
    [([1], 1), ([1], 2), ([0, 1, 2, 3, 4], 1), ([4, 3, 2, 1, 0], 3), (list(range(20)), 2)],
    ids=["alone", "alone, two workers", "among five", "among five, backwards", "among twenty"],
)
def test_a_seed_gives_the_same_bytes_in_any_company(
    tmp_path: Path, few: Corpus, seeds: list[int], workers: int
) -> None:
    plain, here = UPath(tmp_path / "plain"), UPath(tmp_path / "here")
    save_seed(plain, few, QUICK, evaluate_seed(few, 1, QUICK), "cpu")
    list(evaluate_seeds(here, few, seeds, QUICK, Trainer("cpu", workers=workers), Silent()))
    assert bytes_of_seed(here, 1) == bytes_of_seed(plain, 1)


def test_finished_seeds_are_not_trained_again(tmp_path: Path, few: Corpus) -> None:
    folder = UPath(tmp_path)
    (first,) = evaluate_seeds(folder, few, [0], QUICK, CPU, Silent())
    (again,) = evaluate_seeds(folder, few, [0], QUICK, CPU, Silent())
    (forced,) = evaluate_seeds(folder, few, [0], QUICK, CPU, Silent(), force=True)
    assert [first.reused, again.reused, forced.reused] == [False, True, False]
    np.testing.assert_array_equal(again.result.prediction, first.result.prediction)
    assert finished_seed(folder, few, ENSEMBLE, 0) is None


def test_seed_that_is_trained_although_results_lie_there_says_why(
    tmp_path: Path, few: Corpus
) -> None:
    folder = UPath(tmp_path / "loso-200epochs-4a439d50")
    (first,) = evaluate_seeds(folder, few, [0], QUICK, CPU, Silent())
    (folder / "recentring_seed0.json").unlink()
    (again,) = evaluate_seeds(folder, few, [0], QUICK, CPU, Silent())
    newer = folder.with_name("loso-200epochs-0123abcd")
    (other,) = evaluate_seeds(newer, few, [0], QUICK, CPU, Silent())
    assert first.replaced == ""
    assert "recentring_seed0.json: expected" in again.replaced
    assert other.replaced == f"{folder.name} is of another recipe or version of fr-ensemble"


@pytest.mark.parametrize("whole", [True, False])
def test_what_another_run_finished_first_stands_if_it_is_whole(
    tmp_path: Path, few: Corpus, whole: bool
) -> None:
    """Two runs of one home train the same; the verdict of one may name its files already."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    list(evaluate_seeds(UPath(theirs), few, [1], QUICK, CPU, Silent()))
    training = evaluate_seeds(UPath(ours), few, [0, 1], QUICK, Trainer("cpu", 1), Silent())
    next(training)
    for file in theirs.iterdir():
        (ours / file.name).write_bytes(file.read_bytes())
    told = ours / "loso_seed1.json"
    faster = {**json.loads(told.read_text()), "wall_time_s": 123.0}
    told.write_text(json.dumps(faster) if whole else "{}")
    list(training)
    assert (json.loads(told.read_text())["wall_time_s"] == 123.0) == whole
    assert finished_seed(UPath(ours), few, QUICK, 1) is not None


def test_results_must_follow_from_their_predictions(tmp_path: Path, few: Corpus) -> None:
    folder = UPath(tmp_path)
    save_seed(folder, few, QUICK, evaluate_seed(few, 0, QUICK), "cpu")
    score = load_seed(folder / "loso_seed0.json", 0)
    load_seed_result(folder, few, QUICK, score)

    boasting = replace(score, folds=(replace(score.folds[0], plcc=0.99), *score.folds[1:]))
    with pytest.raises(UnusableInput, match="gives PLCC .* the results tell 0.99"):
        load_seed_result(folder, few, QUICK, boasting)
    other = Corpus("other", few.frame.assign(vmaf=few.frame["vmaf"] / 2))
    with pytest.raises(UnusableInput, match="other rows or targets than the corpus"):
        load_seed_result(folder, other, QUICK, score)
    (folder / "loso_seed0_predictions.parquet").write_bytes(b"PAR1")
    with pytest.raises(UnusableInput, match="computed from another file"):
        load_seed_result(folder, few, QUICK, score)
