"""Results at the limits of what is read and believed: digests, rows, folds, last digits."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from fr_ensemble_assets.contract.agreed import AGREED, ENSEMBLE, Contract
from fr_ensemble_assets.contract.folds import FoldPlan, ShuffledDeal
from fr_ensemble_assets.contract.thresholds import Thresholds
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.evidence.audit import audit_results, load_seed_result
from fr_ensemble_assets.evidence.results import (
    SeedScore,
    load_scores,
    load_seed,
    parse_seed,
    predictions_file,
    recorded,
    results_file,
    training_record,
)
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import sha256_of
from fr_ensemble_tests.gate.test_verdict import save

PLAIN: dict[str, Any] = {"seed": 0, "folds": [{"held_out": "a", "plcc": 0.5}], "mean_plcc": 0.5}


def parsed(**changes: Any) -> SeedScore:
    return parse_seed(json.dumps(PLAIN | changes).encode(), UPath("loso_seed0.json"), 0)


# --- reading --------------------------------------------------------------------------------


def test_the_least_that_a_file_must_say(tmp_path: Path) -> None:
    score = parsed()
    assert (score.mean_plcc, score.mean_of_folds, score.undefined_folds) == (0.5, 0.5, ())
    assert (score.corpus, score.corpus_sha256, score.n_rows) == ("", None, None)
    assert (score.settings, score.fold_plan, score.predictions_sha256) == ({}, None, None)
    assert score.wall_time_s == 0.0
    (fold,) = score.folds
    assert (fold.srocc, fold.rmse) == (None, None)
    path = UPath(tmp_path / "loso_seed0.json")
    path.write_text(json.dumps(PLAIN))
    assert load_seed(path, 0).sha256 == sha256_of(path.read_bytes())


def test_what_a_file_says_beyond_is_read(few: Corpus, tmp_path: Path) -> None:
    save(UPath(tmp_path), few, ENSEMBLE, seed=0, error=0.1)
    score = load_seed(UPath(tmp_path) / results_file(0), 0)
    assert score.corpus == f"store/{few.sha256}/corpus.parquet"
    assert (score.corpus_sha256, score.n_rows) == (few.sha256, few.n_rows)
    assert recorded(score, ENSEMBLE) == training_record(ENSEMBLE)
    assert score.settings["num_codecs"] == ENSEMBLE.num_codecs
    assert score.wall_time_s == 1.0
    assert score.predictions_sha256 == sha256_of((tmp_path / predictions_file(0)).read_bytes())


def test_infinite_and_undefined_figures_are_none() -> None:
    folds = [{"held_out": "a", "plcc": None, "srocc": float("nan"), "rmse": float("inf")}]
    score = parsed(folds=folds, mean_plcc=float("nan"), wall_time_s=float("nan"))
    assert (score.mean_plcc, score.mean_of_folds, score.undefined_folds) == (None, None, ("a",))
    assert (score.folds[0].srocc, score.folds[0].rmse, score.wall_time_s) == (None, None, 0.0)


def test_folds_without_a_name_get_their_number() -> None:
    folds = [{"plcc": 0.5}, {"plcc": 0.5}]
    assert [f.held_out for f in parsed(folds=folds).folds] == ["folds[0]", "folds[1]"]


@pytest.mark.parametrize(("n_folds", "fits"), [(None, True), (1, True), (2, False), (0, False)])
def test_the_number_of_folds_is_that_of_the_list(n_folds: int | None, fits: bool) -> None:
    if fits:
        assert len(parsed(n_folds=n_folds).folds) == 1
    else:
        with pytest.raises(UnusableInput, match="fold in 'folds', found 1"):
            parsed(n_folds=n_folds)


def test_one_source_held_out_twice_among_others_is_named() -> None:
    folds = [{"held_out": name, "plcc": 0.5} for name in ("a", "b", "c", "b")]
    with pytest.raises(UnusableInput, match="found 'b' more than once"):
        parsed(folds=folds)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_correlation_may_leave_its_range_by_rounding_alone(sign: int) -> None:
    just = sign * (1 + 9.99e-10)
    assert parsed(mean_plcc=just).mean_plcc == just
    with pytest.raises(UnusableInput, match="between -1 and 1"):
        parsed(mean_plcc=sign * (1 + 1.001e-9))


def test_a_correlation_at_the_very_limit_is_in_range() -> None:
    assert parsed(mean_plcc=1 + 1e-9).mean_plcc == 1 + 1e-9


@pytest.mark.parametrize("seed", [-1, 1])
def test_a_file_says_the_seed_of_its_name(seed: int) -> None:
    with pytest.raises(UnusableInput, match="'seed'"):
        parse_seed(json.dumps(PLAIN | {"seed": seed}).encode(), UPath("loso_seed0.json"), 0)


def test_no_seed_is_less_than_zero() -> None:
    with pytest.raises(UnusableInput, match="'seed' to be at least 0, found -1"):
        parse_seed(json.dumps(PLAIN | {"seed": -1}).encode(), UPath("x.json"), -1)


def test_recipes_at_the_top_and_below_must_agree() -> None:
    told = parsed(epochs=200, recipe={"epochs": 200, "hidden": 64}).settings
    assert told == {"epochs": 200, "hidden": 64}
    with pytest.raises(UnusableInput, match="one value for 'lr', found 1 at the top and 2 in"):
        parsed(lr=1, recipe={"lr": 2})


def test_only_names_of_the_contract_are_results(tmp_path: Path) -> None:
    for name in ("loso_seed10.json", "loso_seed2.json"):
        seed = int("".join(filter(str.isdigit, name)))
        (tmp_path / name).write_text(json.dumps(PLAIN | {"seed": seed}))
    for name in ("loso_seed01.json", "loso_seed.json", "my_loso_seed1.json", "loso_seed1.json~"):
        (tmp_path / name).write_text("{")
    assert [score.seed for score in load_scores(UPath(tmp_path))] == [2, 10]


# --- the audit ------------------------------------------------------------------------------


@pytest.fixture
def seed(few: Corpus, tmp_path: Path) -> UPath:
    folder = UPath(tmp_path / "results")
    folder.mkdir()
    save(folder, few, ENSEMBLE, seed=0, error=1.0)
    return folder


def problems(folder: UPath, corpus: Corpus, contract: Contract = ENSEMBLE) -> tuple[str, ...]:
    return audit_results(folder, corpus, contract, load_scores(folder)).problems


def retell(folder: UPath, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "loso_seed0.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def repredict(folder: UPath, change: Callable[[pa.Table], pa.Table]) -> None:
    """Other predictions, and the results told to belong to them."""
    path = folder / predictions_file(0)
    pq.write_table(change(pq.read_table(str(path))), str(path))
    sha256 = sha256_of(path.read_bytes())
    retell(folder, lambda document: document["predictions"].update(sha256=sha256))


def test_honest_results_are_recomputed_to_the_last_digits(seed: UPath, few: Corpus) -> None:
    (score,) = load_scores(seed)
    audit = audit_results(seed, few, ENSEMBLE, [score])
    assert audit.problems == ()
    (result,) = audit.results
    assert result.mean_plcc == pytest.approx(score.mean_plcc, abs=1e-12)
    assert result.wall_time_s == 1.0
    assert [fold.held_out for fold in result.folds] == list(few.sources)


@pytest.mark.parametrize("where", ["a fold", "the mean"])
@pytest.mark.parametrize(
    ("nudge", "believed"), [(9e-10, True), (-9e-10, True), (1.02e-9, False), (-1.02e-9, False)]
)
def test_figures_may_differ_by_rounding_alone(
    seed: UPath, few: Corpus, where: str, nudge: float, believed: bool
) -> None:
    (genuine,) = audit_results(seed, few, ENSEMBLE, load_scores(seed)).results

    def change(document: dict[str, Any]) -> None:
        if where == "the mean":
            document["mean_plcc"] = genuine.mean_plcc + nudge  # type: ignore[operator]
        else:
            plcc = genuine.folds[1].agreement.plcc
            document["folds"][1]["plcc"] = plcc + nudge  # type: ignore[operator]

    retell(seed, change)
    found = problems(seed, few)
    assert (found == ()) is believed
    if not believed:
        named = "in fold city" if where == "a fold" else "in the mean"
        assert named in found[0]


def test_a_figure_that_is_told_as_undefined_must_be(seed: UPath, few: Corpus) -> None:
    retell(seed, lambda document: document["folds"][0].update(plcc=None))
    assert "in fold bbb, the results tell None" in problems(seed, few)[0]


def test_a_figure_that_is_undefined_must_be_told_so(seed: UPath, few: Corpus) -> None:
    flat = np.where(few.frame["src"] == "bbb", 50.0, few.target)

    def flatten(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index("prediction")
        return table.set_column(place, "prediction", pa.array(flat))

    repredict(seed, flatten)
    assert "gives PLCC None in fold bbb" in problems(seed, few)[0]

    def tell(document: dict[str, Any]) -> None:
        for fold, plcc in zip(document["folds"], (None, 1.0, 1.0), strict=True):
            fold["plcc"] = plcc
        document["mean_plcc"] = None

    retell(seed, tell)
    assert problems(seed, few) == ()


def without_a_row(table: pa.Table) -> pa.Table:
    return table.slice(1)


def without_targets(table: pa.Table) -> pa.Table:
    return table.drop_columns(["target"])


def without_predictions(table: pa.Table) -> pa.Table:
    return table.drop_columns(["prediction"])


def without_a_key(table: pa.Table) -> pa.Table:
    return table.drop_columns(["cq"])


def with_another_target(table: pa.Table) -> pa.Table:
    targets = table.column("target").to_numpy().copy()
    targets[-1] += 1e-9
    return table.set_column(table.schema.get_field_index("target"), "target", pa.array(targets))


def with_another_frame(table: pa.Table) -> pa.Table:
    frames = table.column("frame_index").to_numpy().copy()
    frames[-1] += 1
    place = table.schema.get_field_index("frame_index")
    return table.set_column(place, "frame_index", pa.array(frames))


def with_another_preset(table: pa.Table) -> pa.Table:
    presets = table.column("preset").to_pylist()
    presets[0] = None
    return table.set_column(table.schema.get_field_index("preset"), "preset", pa.array(presets))


@pytest.mark.parametrize(
    "change",
    [
        without_a_row,
        without_targets,
        without_predictions,
        without_a_key,
        with_another_target,
        with_another_frame,
        with_another_preset,
    ],
)
def test_predictions_of_other_rows_are_refused(
    seed: UPath, few: Corpus, change: Callable[[pa.Table], pa.Table]
) -> None:
    repredict(seed, change)
    (problem,) = problems(seed, few)
    assert problem.endswith("holds other rows or targets than the corpus.")


def test_rows_without_a_preset_are_the_same_rows(few: Corpus, tmp_path: Path) -> None:
    some = few.frame.assign(preset=few.frame["preset"].where(few.frame["src"] == "dog"))
    corpus = Corpus("e" * 64, some)
    save(UPath(tmp_path), corpus, ENSEMBLE, seed=0, error=1.0)
    assert problems(UPath(tmp_path), corpus) == ()


def test_predictions_altered_or_lost_are_refused(seed: UPath, few: Corpus) -> None:
    path = seed / predictions_file(0)
    path.write_bytes(path.read_bytes() + b" ")
    assert "its results were computed from another file" in problems(seed, few)[0]
    path.unlink()
    assert predictions_file(0) in problems(seed, few)[0]


def test_one_bad_seed_leaves_the_others(seed: UPath, few: Corpus) -> None:
    save(seed, few, ENSEMBLE, seed=1, error=1.0)
    (seed / predictions_file(0)).unlink()
    audit = audit_results(seed, few, ENSEMBLE, load_scores(seed))
    assert [result.seed for result in audit.results] == [1]
    assert len(audit.problems) == 1


def test_sources_must_be_those_of_the_corpus_in_order(seed: UPath, few: Corpus) -> None:
    retell(seed, lambda document: document["folds"].reverse())
    assert (
        "holds out 3 sources, the results 3, the first that differs 'bbb'"
        in (problems(seed, few)[0])
    )
    retell(seed, lambda document: document["folds"].reverse())
    retell(seed, lambda document: (document["folds"].pop(), document.update(n_folds=2)))
    (problem,) = problems(seed, few)
    assert "3 sources, the results 2, the first that differs 'dog', not 'no more'" in problem


def test_a_plan_that_results_tell_must_be_the_contracts(seed: UPath, few: Corpus) -> None:
    retell(seed, lambda document: document.pop("fold_plan"))
    assert problems(seed, few) == ()  # one source at a time goes without saying
    grouped = replace(ENSEMBLE, plan=FoldPlan(2))
    (score,) = load_scores(seed)
    with pytest.raises(UnusableInput, match="dealt to other folds than grouped"):
        load_seed_result(seed, few, grouped, score)
    retell(seed, lambda document: document.update(fold_plan={"plan": "grouped"}))
    assert "dealt to other folds than leave-one-source-out" in problems(seed, few)[0]


def test_a_recipe_that_is_not_recorded_is_a_problem(seed: UPath, few: Corpus) -> None:
    retell(seed, lambda document: document.pop("streams_version"))
    assert problems(seed, few) == ("seed 0: its file does not record this run's recipe",)


# --- the contract ---------------------------------------------------------------------------


def test_where_a_contract_departs_from_the_agreed_is_said() -> None:
    assert ENSEMBLE.departures == ()
    assert ENSEMBLE.agreed is ENSEMBLE
    assert ENSEMBLE.under(epochs=3).departures == ("epochs 3 instead of 200",)
    other = replace(
        ENSEMBLE,
        thresholds=Thresholds(0.9, 0.1, 0.9),
        plan=ShuffledDeal(),
        units=(0, 1),
        encoders=frozenset({"libx264"}),
    )
    assert ENSEMBLE.grouped(21).departures == (), "a variant of its own; the gate counts sources"
    names = ("thresholds", "folds", "units", "encoders")
    assert other.departures == tuple(f"other {name} than agreed on" for name in names)


def test_the_ensemble_is_what_adr_0303_and_the_registry_know() -> None:
    """Its name, seeds and recipe stand in files that others read (contracts sections 2 to 5)."""
    assert AGREED["fr_regressor_v2_ensemble_v1"] is ENSEMBLE
    assert ENSEMBLE.name_units(ENSEMBLE.units) == "seeds 0, 1, 2, 3, 4"
    assert ENSEMBLE.name_units((3,)) == "seed 3"
    assert ENSEMBLE.folder.startswith("loso-200epochs-")
    assert ENSEMBLE.under(epochs=3).folder.startswith("loso-3epochs-")
    record = ENSEMBLE.training_record
    assert {"num_codecs": 14, "encoder_vocab_version": 2}.items() <= record.items()
    assert {"epochs": 200, "batch_size": 32, "lr": 5e-4, "weight_decay": 1e-5}.items() <= (
        record.items()
    )
    assert ENSEMBLE.encoders is None
