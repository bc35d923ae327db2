"""The verdict file, and who may act on it: judged from the results, never from a stored light."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from upath import UPath

from fr_ensemble_assets.contract.agreed import ENSEMBLE, Contract
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.evidence.measure import SeedResult, measure_folds, rows_by_source
from fr_ensemble_assets.evidence.results import predictions_file, results_file
from fr_ensemble_assets.foundation.errors import GateRefusal, UnusableInput
from fr_ensemble_assets.gate.advice import next_step
from fr_ensemble_assets.gate.rule import decide
from fr_ensemble_assets.gate.verdict import (
    Judgement,
    authorise,
    derived_fields,
    judge,
    read_verdict,
    recommendation,
    verdict_document,
    write_verdict,
)
from fr_ensemble_assets.loso.writing import save_seed
from fr_ensemble_tests.conftest import Chain
from fr_ensemble_tests.gate.test_rule_limits import CORPUS, of_sources

THEN = datetime(2026, 3, 1, 12, 0, 0, 999, tzinfo=UTC)


def save(folder: UPath, corpus: Corpus, contract: Contract, seed: int, error: float) -> None:
    """A seed whose predictions err by so much: results without training."""
    noise = np.random.default_rng(seed).normal(0, error, corpus.n_rows)
    prediction = corpus.target + noise
    folds = measure_folds(corpus, prediction, contract.plan.assign(rows_by_source(corpus)))
    save_seed(folder, corpus, contract, SeedResult(seed, folds, prediction, 1.0), "test")


@pytest.fixture
def good(tmp_path: Path, few: Corpus) -> UPath:
    """Results that promote, without a verdict."""
    folder = UPath(tmp_path / "results")
    folder.mkdir()
    for seed in ENSEMBLE.units:
        save(folder, few, ENSEMBLE, seed, error=0.01)
    return folder


@pytest.fixture
def promoted(good: UPath, few: Corpus) -> UPath:
    """The same with its verdict."""
    write_verdict(good, verdict_document(judge(good, few, ENSEMBLE), few, "store/here", THEN))
    return good


def edited(path: UPath, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# --- judging --------------------------------------------------------------------------------


def test_good_results_promote_and_are_handed_on_as_recomputed(good: UPath, few: Corpus) -> None:
    judgement = judge(good, few, ENSEMBLE)
    assert judgement.decision.reasons == ()
    assert not judgement.decision.dry_run
    assert [score.seed for score in judgement.scores] == [0, 1, 2, 3, 4]
    assert [result.seed for result in judgement.results] == [0, 1, 2, 3, 4]
    assert (judgement.studied, judgement.study_fields) == ((), {})
    assert judgement.fitness["fit"] is True


def test_before_anything_was_trained_every_seed_is_missing(tmp_path: Path, few: Corpus) -> None:
    (tmp_path / "notes.json").write_text("{}")
    for folder in (UPath(tmp_path), UPath(tmp_path / "nowhere")):
        judgement = judge(folder, few, ENSEMBLE)
        assert judgement.decision.reasons == ("no results for seeds 0, 1, 2, 3, 4",)
        assert judgement.scores == ()


def test_damaged_results_are_no_missing_ones(good: UPath, few: Corpus) -> None:
    (good / "loso_seed2.json").write_text("{")
    with pytest.raises(UnusableInput, match="loso_seed2.json"):
        judge(good, few, ENSEMBLE)


def test_seeds_of_a_study_are_told_beside_the_verdict(good: UPath, few: Corpus) -> None:
    save(good, few, ENSEMBLE, seed=7, error=200.0)
    judgement = judge(good, few, ENSEMBLE)
    assert judgement.decision.promote
    assert [score.seed for score in judgement.scores] == [0, 1, 2, 3, 4]
    assert [score.seed for score in judgement.studied] == [7]
    study = judgement.study_fields
    assert study["seeds"] == [0, 1, 2, 3, 4, 7]
    assert study["per_seed_plccs"]["7"] < 0.5
    assert study["mean_plcc"] < 0.95
    assert study["plcc_spread"] > 0.5
    assert verdict_document(judgement, few, "here")["study"] == study
    assert "study" not in verdict_document(judge_without_study(good, few), few, "here")


def judge_without_study(good: UPath, few: Corpus) -> Judgement:
    (good / "loso_seed7.json").unlink()
    return judge(good, few, ENSEMBLE)


def test_a_grouped_verdict_tells_the_plan_of_its_first_results() -> None:
    grouped, plan = ENSEMBLE.grouped(21), {"plan": "grouped", "n": 21}
    first = replace(of_sources(0, 70), fold_plan=plan)
    for scores in ((first,), (first, of_sources(1, 70))):
        told = derived_fields(Judgement(decide(scores, grouped), scores), CORPUS, 1, 70)
        assert told["fold_plan"] == plan
    without = (of_sources(0, 70),)
    told = derived_fields(Judgement(decide(without, grouped), without), CORPUS, 1, 70)
    assert told["fold_plan"] == {}
    alone = (of_sources(0, 21),)
    assert "fold_plan" not in derived_fields(
        Judgement(decide(alone, grouped), alone), CORPUS, 1, 21
    )


def test_the_bytes_of_a_verdict_stay_out_of_messages(promoted: UPath, few: Corpus) -> None:
    assert "verdict_file" not in repr(authorise(promoted, few, ENSEMBLE))


def test_another_recipe_is_told_once_and_makes_a_dry_run(tmp_path: Path, few: Corpus) -> None:
    short = ENSEMBLE.under(epochs=5)
    folder = UPath(tmp_path)
    for seed in short.units:
        save(folder, few, short, seed, error=0.01)
    decision = judge(folder, few, short).decision
    assert decision.dry_run
    assert decision.reasons == ("dry run: epochs 5 instead of 200 (seeds 0, 1, 2, 3, 4)",)


def test_what_results_do_not_record_of_a_recipe_is_told_by_the_contract(
    tmp_path: Path, few: Corpus
) -> None:
    """``hidden`` stands in our files alone; a contract that departs in it is a dry run already."""
    wide = ENSEMBLE.under(dropout=0.2)
    decision = judge(UPath(tmp_path), few, wide).decision
    assert decision.dry_run
    assert decision.reasons == (
        "no results for seeds 0, 1, 2, 3, 4",
        "dry run: dropout 0.2 instead of 0.1",
    )


def test_a_contract_that_departs_is_a_dry_run_whatever_its_files_say(
    good: UPath, few: Corpus
) -> None:
    decision = judge(good, few, ENSEMBLE.under(dropout=0.2)).decision
    assert decision.dry_run
    assert "dry run: dropout 0.2 instead of 0.1" in decision.reasons
    assert "seed 0: its file does not record this run's recipe" in decision.reasons


# --- the file -------------------------------------------------------------------------------


def test_verdict_file_holds_what_the_contract_fixes(promoted: UPath, few: Corpus) -> None:
    document = json.loads((promoted / "PROMOTE.json").read_text())
    judgement = judge(promoted, few, ENSEMBLE)
    assert document == {
        "schema_version": 1,
        "verdict": "PROMOTE",
        "generated_at_utc": "2026-03-01T12:00:00+00:00",
        "loso_dir": "store/here",
        "seeds": [0, 1, 2, 3, 4],
        "gate": judgement.decision.gate_fields(),
        "corpus": {
            "present": True,
            "sha256": few.sha256,
            "n_rows": few.n_rows,
            "n_sources": len(few.sources),
            "fitness": judgement.fitness,
        },
        "recommendation": recommendation(judgement.decision),
        "adr": "ADR-0309",
        "parent_adr": "ADR-0303",
        "dry_run": False,
        "reasons": [],
        "results": {f"loso_seed{score.seed}.json": score.sha256 for score in judgement.scores},
    }


def test_verdict_without_a_time_is_of_now(good: UPath, few: Corpus) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    document = verdict_document(judge(good, few, ENSEMBLE), few, "here")
    assert before <= datetime.fromisoformat(document["generated_at_utc"]) <= datetime.now(UTC)


def test_same_verdict_leaves_the_file_and_its_time_alone(promoted: UPath, few: Corpus) -> None:
    before = (promoted / "PROMOTE.json").read_bytes()
    again = verdict_document(judge(promoted, few, ENSEMBLE), few, "store/here")
    assert again["generated_at_utc"] != "2026-03-01T12:00:00+00:00"
    assert write_verdict(promoted, again) == promoted / "PROMOTE.json"
    assert (promoted / "PROMOTE.json").read_bytes() == before
    write_verdict(promoted, again | {"loso_dir": "store/there"})
    assert (promoted / "PROMOTE.json").read_bytes() != before


def test_one_verdict_stands_at_a_time(promoted: UPath, few: Corpus) -> None:
    save(promoted, few, ENSEMBLE, seed=0, error=200.0)
    document = verdict_document(judge(promoted, few, ENSEMBLE), few, "store/here", THEN)
    assert write_verdict(promoted, document) == promoted / "HOLD.json"
    assert [path.name for path in promoted.glob("[PH]*.json")] == ["HOLD.json"]
    read = read_verdict(promoted)
    assert read is not None
    assert (read.verdict, list(read.reasons)) == ("HOLD", document["reasons"])
    save(promoted, few, ENSEMBLE, seed=0, error=0.01)
    document = verdict_document(judge(promoted, few, ENSEMBLE), few, "store/here", THEN)
    assert write_verdict(promoted, document) == promoted / "PROMOTE.json"
    assert [path.name for path in promoted.glob("[PH]*.json")] == ["PROMOTE.json"]


def test_damaged_verdict_gives_way(promoted: UPath, few: Corpus) -> None:
    for damage in ("{", "[]"):
        (promoted / "PROMOTE.json").write_text(damage)
        with pytest.raises(UnusableInput, match="PROMOTE.json.*expected"):
            read_verdict(promoted)
        write_verdict(promoted, verdict_document(judge(promoted, few, ENSEMBLE), few, "here"))
        told = read_verdict(promoted)
        assert told is not None
        assert told.verdict == "PROMOTE"


def test_folder_without_a_verdict_has_none(good: UPath) -> None:
    assert read_verdict(good) is None


def test_scores_that_belong_to_no_row_get_another_advice_than_hard_sources(
    held_once: Chain, promoted_once: Chain
) -> None:
    held = held_once[1].judgement
    told = next_step(held.decision, held.scores)
    assert told.startswith("The scores don't belong to these features")
    assert "3 sources are few: intervals at 90 % over unseen sources take 9" in told
    hard = replace(held.decision, mean_plcc=0.9)
    assert next_step(hard, held.scores).startswith("Look at the worst folds of loso_results (")
    promoted = promoted_once[1].judgement
    assert next_step(promoted.decision, promoted.scores).startswith("fr-ensemble propose --tree")


def test_recommendation_says_what_a_person_does_next(tmp_path: Path, few: Corpus) -> None:
    folder = UPath(tmp_path)
    for seed in ENSEMBLE.units[:4]:
        save(folder, few, ENSEMBLE, seed, error=0.01)
    told = recommendation(judge(folder, few, ENSEMBLE).decision)
    assert told.startswith("Keep smoke true. Failing: no results for seed 4. Run the whole")
    save(folder, few, ENSEMBLE, 4, error=200.0)
    told = recommendation(judge(folder, few, ENSEMBLE).decision)
    assert told.startswith("Keep smoke true. Failing: seed 4: PLCC ")
    assert "; mean PLCC " in told
    assert "Look at the worst folds of loso_results" in told
    save(folder, few, ENSEMBLE, 4, error=0.01)
    told = recommendation(judge(folder, few, ENSEMBLE).decision)
    assert "flipping smoke to false there is" in told


def test_recommendation_ends_with_a_simpler_model_that_does_better(
    good: UPath, few: Corpus
) -> None:
    """Told, never judged by: the verdict is the same, and still authorised."""
    judgement, caveat = judge(good, few, ENSEMBLE), "a quadratic has 0.1, the ensemble 0.4"
    document = verdict_document(judgement, few, "here", caveats=(caveat,))
    assert document["recommendation"].endswith(f" But {caveat}.")
    assert document["caveats"] == [caveat]
    write_verdict(good, document)
    assert authorise(good, few, ENSEMBLE).decision == judgement.decision
    assert "caveats" not in verdict_document(judgement, few, "here")


# --- who may act on it ----------------------------------------------------------------------


def test_a_verdict_that_holds_now_opens_the_gate(promoted: UPath, few: Corpus) -> None:
    judgement = authorise(promoted, few, ENSEMBLE)
    assert [result.seed for result in judgement.results] == [0, 1, 2, 3, 4]


def without_verdict(folder: UPath) -> None:
    (folder / "PROMOTE.json").unlink()


def forged_hold(folder: UPath) -> None:
    edited(folder / "PROMOTE.json", verdict="HOLD")


def forged_word(folder: UPath) -> None:
    edited(folder / "PROMOTE.json", verdict="PROMOTED")


def of_corpus(digit: str) -> Callable[[UPath], None]:
    def spoil(folder: UPath) -> None:
        corpus = json.loads((folder / "PROMOTE.json").read_text())["corpus"]
        edited(folder / "PROMOTE.json", corpus=corpus | {"sha256": digit * 64})

    return spoil


def of_no_corpus(folder: UPath) -> None:
    edited(folder / "PROMOTE.json", corpus="this one")


def otherwise_fit(folder: UPath) -> None:
    corpus = json.loads((folder / "PROMOTE.json").read_text())["corpus"]
    fitness = corpus["fitness"] | {"warnings": []}
    edited(folder / "PROMOTE.json", corpus=corpus | {"fitness": fitness})


def without_digests(folder: UPath) -> None:
    edited(folder / "PROMOTE.json", results=None)


def with_digests_of(digit: str) -> Callable[[UPath], None]:
    def spoil(folder: UPath) -> None:
        results = json.loads((folder / "PROMOTE.json").read_text())["results"]
        edited(folder / "PROMOTE.json", results=results | {"loso_seed3.json": digit * 64})

    spoil.__name__ = f"with_digests_of_{digit}"
    return spoil


def with_one_altered(folder: UPath) -> None:
    path = folder / "loso_seed3.json"
    path.write_text(path.read_text() + " ")


REFUSED: list[tuple[Callable[[UPath], None], str]] = [
    (without_verdict, "there is no verdict; materialise ensemble_verdict."),
    (forged_hold, "the verdict file says HOLD; materialise ensemble_verdict again."),
    (of_corpus("0"), f"the verdict belongs to another corpus ({'0' * 64})."),
    (of_corpus("f"), f"the verdict belongs to another corpus ({'f' * 64})."),
    (otherwise_fit, "the verdict tells something else of its corpus than is found now; "),
    (with_digests_of("0"), "loso_seed3.json was altered after the verdict."),
    (with_digests_of("f"), "loso_seed3.json was altered after the verdict."),
    (with_one_altered, "loso_seed3.json was altered after the verdict."),
]


@pytest.mark.parametrize(("spoil", "told"), REFUSED, ids=[s.__name__ for s, _ in REFUSED])
def test_anything_amiss_is_the_one_reason_of_a_refusal(
    promoted: UPath, few: Corpus, spoil: Callable[[UPath], None], told: str
) -> None:
    spoil(promoted)
    with pytest.raises(GateRefusal) as refusal:
        authorise(promoted, few, ENSEMBLE)
    assert str(refusal.value).startswith(f"HOLD for the corpus {few.sha256}: {told}")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (forged_word, "'verdict' to be 'PROMOTE' or 'HOLD'"),
        (of_no_corpus, "'corpus' to be an object"),
        (without_digests, "'results' to be an object"),
    ],
)
def test_a_verdict_of_another_shape_is_unusable(
    promoted: UPath, few: Corpus, spoil: Callable[[UPath], None], told: str
) -> None:
    spoil(promoted)
    with pytest.raises(UnusableInput, match=f"PROMOTE.json: expected {told}"):
        authorise(promoted, few, ENSEMBLE)


def test_bad_results_are_refused_under_a_green_verdict(promoted: UPath, few: Corpus) -> None:
    save(promoted, few, ENSEMBLE, seed=1, error=200.0)
    with pytest.raises(GateRefusal, match="seed 1: PLCC .* loso_seed1.json was altered"):
        authorise(promoted, few, ENSEMBLE)


# --- what a process remembers, and what it hands on -----------------------------------------


def test_process_that_judged_once_still_reads_what_lies_there_now(good: UPath, few: Corpus) -> None:
    path = good / predictions_file(3)
    before = path.read_bytes()
    assert judge(good, few, ENSEMBLE).decision.promote
    path.write_bytes(before + b"\n")
    assert "its results were computed from another file" in str(
        judge(good, few, ENSEMBLE).decision.reasons
    )
    path.write_bytes(before)
    assert judge(good, few, ENSEMBLE).decision.promote


def test_predictions_remembered_of_one_corpus_are_not_taken_for_another_s(
    good: UPath, few: Corpus
) -> None:
    assert judge(good, few, ENSEMBLE).decision.promote
    moved = Corpus(few.sha256, few.frame.assign(vmaf=few.frame["vmaf"] / 2))
    assert "holds other rows or targets" in str(judge(good, moved, ENSEMBLE).decision.reasons)


def test_what_was_authorised_is_handed_on_to_the_byte(promoted: UPath, few: Corpus) -> None:
    judgement = authorise(promoted, few, ENSEMBLE)
    assert judgement.verdict_file == (promoted / "PROMOTE.json").read_bytes()
    assert [score.data for score in judgement.scores] == [
        (promoted / results_file(seed)).read_bytes() for seed in ENSEMBLE.units
    ]
    assert judge(promoted, few, ENSEMBLE).verdict_file == b""


def test_promote_under_the_name_of_a_hold_opens_nothing(promoted: UPath, few: Corpus) -> None:
    (promoted / "PROMOTE.json").rename(promoted / "HOLD.json")
    with pytest.raises(GateRefusal, match="the verdict file says HOLD"):
        authorise(promoted, few, ENSEMBLE)
