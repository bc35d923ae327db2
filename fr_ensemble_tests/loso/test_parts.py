"""Finished parts are kept, and believed as results are: whole, and of this very work."""

from __future__ import annotations

import json
import threading
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from upath import UPath

from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.evidence.measure import rows_by_source
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.progress import Silent, StepReport
from fr_ensemble_assets.loso.evaluation import HeldOut, Part, parts_of
from fr_ensemble_assets.loso.parts import KeptParts
from fr_ensemble_assets.loso.prepared import PreparedCorpus, prepare
from fr_ensemble_assets.loso.run import SeedOutcome, evaluate_seeds
from fr_ensemble_assets.training.executors import Threads
from fr_ensemble_tests.conftest import CPU

QUICK = ENSEMBLE.under(epochs=3)


class Interrupted(Threads):
    """Threads whose work is interrupted after so many parts."""

    def __init__(self, after: int) -> None:
        super().__init__(workers=1)
        self.left = after

    def submit(self, part: Any, report: StepReport) -> Any:
        self.left -= 1
        if self.left < 0:
            never: Future[HeldOut] = Future()
            # Whoever collects gets the others first.
            threading.Timer(0.5, never.set_exception, [KeyboardInterrupt()]).start()
            return never
        return super().submit(part, report)


def evaluate(folder: Path, corpus: Corpus, **how: Any) -> list[SeedOutcome]:
    return list(
        evaluate_seeds(UPath(folder), corpus, [0, 1], QUICK, CPU, Silent(), keep_parts=True, **how)
    )


def all_parts(corpus: Corpus, seed: int) -> list[Part]:
    assignment = QUICK.plan.assign(rows_by_source(corpus))
    return parts_of(corpus.sha256, assignment, seed, QUICK.recipe, CPU)


@pytest.fixture
def half_done(tmp_path: Path, few: Corpus) -> Path:
    """Two of seed 0's three parts."""
    folder = tmp_path / "results"
    kept, data = KeptParts(UPath(folder), QUICK), prepare(few)
    for part in all_parts(few, 0)[:2]:
        kept.keep(part, part.work(data))
    return folder


def kept_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("parts_seed*/*.json"))


def predictions(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.glob("*_predictions.parquet")}


def test_what_is_kept_is_not_trained_again_and_gives_the_same_bytes(
    tmp_path: Path, few: Corpus, half_done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate(tmp_path / "in one go", few)
    trained: list[Part] = []
    work = Part.work

    def counted(part: Part, data: PreparedCorpus, report: StepReport) -> HeldOut:
        trained.append(part)
        return work(part, data, report)

    monkeypatch.setattr(Part, "work", counted)
    first, second = sorted(evaluate(half_done, few), key=lambda outcome: outcome.result.seed)
    assert (first.parts_kept, second.parts_kept, len(trained)) == (2, 0, 4)
    assert predictions(half_done) == predictions(tmp_path / "in one go")
    assert kept_files(half_done) == [], "parts go once the results of their seed are whole"


def test_an_interruption_loses_only_what_was_in_the_making(tmp_path: Path, few: Corpus) -> None:
    with pytest.raises(KeyboardInterrupt):
        evaluate(tmp_path, few, executor=Interrupted(after=2))
    assert len(kept_files(tmp_path)) == 2
    assert sum(outcome.parts_kept for outcome in evaluate(tmp_path, few)) == 2


SPOILT = {
    "altered": (lambda told: told.update(seconds=1.5), "found it altered"),
    "no object": (lambda told: told.clear(), "found it altered"),
}


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_spoilt_part_is_trained_again_and_told(
    tmp_path: Path, few: Corpus, half_done: Path, spoil: str
) -> None:
    change, sentence = SPOILT[spoil]
    path = kept_files(half_done)[0]
    told = json.loads(path.read_text())
    change(told)
    path.write_text(json.dumps(told))
    evaluate(tmp_path / "in one go", few)
    first, _ = sorted(evaluate(half_done, few), key=lambda outcome: outcome.result.seed)
    assert first.parts_kept == 1
    assert sentence in first.dropped[0]
    assert predictions(half_done) == predictions(tmp_path / "in one go")


def test_a_part_under_another_name_is_not_taken(few: Corpus, half_done: Path) -> None:
    one, other = kept_files(half_done)
    other.write_bytes(one.read_bytes())
    found = KeptParts(UPath(half_done), QUICK).load(0, all_parts(few, 0), prepare(few))
    assert len(found.parts) == 1
    assert "found another" in found.dropped[0]


def test_parts_of_another_recipe_or_seed_are_not_found(few: Corpus, half_done: Path) -> None:
    longer = ENSEMBLE.under(epochs=4)
    assert KeptParts(UPath(half_done), longer).load(0, all_parts(few, 0), prepare(few)).parts == {}
    assert KeptParts(UPath(half_done), QUICK).load(1, all_parts(few, 1), prepare(few)).parts == {}


def test_force_trains_everything(few: Corpus, half_done: Path) -> None:
    assert {outcome.parts_kept for outcome in evaluate(half_done, few, force=True)} == {0}


def test_parts_of_machines_that_differ_are_refused(few: Corpus, half_done: Path) -> None:
    kept, part = KeptParts(UPath(half_done), QUICK), all_parts(few, 0)[0]
    made = part.work(prepare(few))
    elsewhere = {**made.machine, "processor": "\x1b[2Jskylake"}
    kept.keep(part, replace(made, machine=elsewhere))
    with pytest.raises(UnusableInput, match=r"seed 0: expected every part from machines of one k"):
        evaluate(half_done, few)
    assert not list(half_done.glob("loso_seed0*"))


def test_a_prediction_that_is_no_number_is_kept_as_it_is(tmp_path: Path, few: Corpus) -> None:
    kept, part = KeptParts(UPath(tmp_path), QUICK), all_parts(few, 0)[0]
    made = part.work(prepare(few))
    diverged = replace(made, prediction=np.full_like(made.prediction, np.nan))
    kept.keep(part, diverged)
    found = kept.load(0, [part], prepare(few)).parts[part]
    np.testing.assert_array_equal(found.prediction, diverged.prediction)
    np.testing.assert_array_equal(found.rows, made.rows)
