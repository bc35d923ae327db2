"""Sources held out in groups: a variant with a verdict and a candidate of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from upath import UPath

from fr_ensemble_assets.candidate.places import has_candidate, variants_published
from fr_ensemble_assets.candidate.verify import verify_candidate
from fr_ensemble_assets.contract.agreed import ENSEMBLE, Contract
from fr_ensemble_assets.contract.places import Places
from fr_ensemble_assets.corpus.store import load_corpus
from fr_ensemble_assets.evidence.plans import variant_of
from fr_ensemble_assets.evidence.results import load_scores, results_file
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.foundation.progress import Silent
from fr_ensemble_assets.gate.rule import Decision, decide
from fr_ensemble_assets.handover.compare import compare, read_side
from fr_ensemble_assets.operations.candidates import chosen_candidate
from fr_ensemble_assets.operations.run import Outcome, Plan, run_ensemble
from fr_ensemble_tests.conftest import Row, write_rows

GROUPED = ENSEMBLE.grouped(21)


def write(folder: Path, sources: int, contract: Contract, seeds: range = range(5)) -> UPath:
    """Results as our own trainer writes them: of so many sources, under a contract's plan."""
    rows = {f"s{number:03}": 10 + number % 3 for number in range(sources)}
    plan = contract.plan.assign(rows).to_json()
    for seed in seeds:
        folds = [
            {"held_out": s, "n_train": 1, "n_val": n, "plcc": 0.97, "srocc": 1, "rmse": 1}
            for s, n in rows.items()
        ]
        told = {"seed": seed, "folds": folds, "mean_plcc": 0.97, "fold_plan": plan}
        (folder / results_file(seed)).write_text(json.dumps(told))
    return UPath(folder)


def judged(folder: UPath, contract: Contract = GROUPED) -> Decision:
    return decide(load_scores(folder), contract)


@pytest.mark.parametrize(("sources", "promotes"), [(64, False), (65, True), (1000, True)])
def test_groups_may_promote_from_65_sources_on(
    tmp_path: Path, sources: int, promotes: bool
) -> None:
    decision = judged(write(tmp_path, sources, GROUPED))
    assert (decision.promote, decision.dry_run) == (promotes, not promotes)
    assert decision.protocol == "21 groups of whole sources"
    if not promotes:
        assert decision.reasons == (
            "dry run: 21 groups of 64 sources; up to 64 sources the contract leaves out one at a "
            "time",
        )


def test_as_many_groups_as_sources_are_leave_one_source_out(tmp_path: Path) -> None:
    decision = judged(write(tmp_path, 21, GROUPED))
    assert (decision.verdict, decision.groups) == ("PROMOTE", None)


def test_results_of_another_plan_are_not_mixed_in(tmp_path: Path) -> None:
    folder = write(tmp_path, 100, GROUPED)
    write(tmp_path, 100, ENSEMBLE, seeds=range(3, 5))
    for contract, others in ((GROUPED, "seeds 3, 4"), (ENSEMBLE, "seeds 0, 1, 2")):
        (reason,) = judged(folder, contract).reasons
        assert reason.startswith(f"{others} held sources out otherwise than by ")
    assert variant_of(load_scores(folder), ENSEMBLE) is ENSEMBLE, "whom one would have to believe"


@pytest.mark.parametrize("n", [20, 22])
def test_results_in_another_number_of_groups_are_not_judged(tmp_path: Path, n: int) -> None:
    decision = judged(write(tmp_path, 100, ENSEMBLE.grouped(n)))
    assert not decision.promote
    assert variant_of(load_scores(UPath(tmp_path)), ENSEMBLE).plan.n_folds == n


SPOILT: dict[str, Callable[[dict[str, Any]], object]] = {
    "a digest of another assignment": lambda told: told["fold_plan"].update(
        assignment_sha256="0" * 64
    ),
    "rows that deal sources otherwise": lambda told: [
        fold.update(n_val=1000 - 7 * n) for n, fold in enumerate(told["folds"])
    ],
    "no number": lambda told: told["fold_plan"].pop("n"),
    "no plan": lambda told: told.pop("fold_plan"),
}


@pytest.mark.parametrize("spoil", SPOILT)
def test_the_assignment_is_dealt_again_from_names_and_rows(tmp_path: Path, spoil: str) -> None:
    folder = write(tmp_path, 100, GROUPED)
    path = folder / results_file(2)
    told = json.loads(path.read_text())
    SPOILT[spoil](told)
    path.write_text(json.dumps(told))
    assert "seed 2 held sources out otherwise than by 21 groups of whole sources" in (
        judged(folder).reasons
    )


def test_plans_are_not_compared(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    sides = [
        read_side(write(tmp_path / name, 100, contract))
        for name, contract in (("a", ENSEMBLE), ("b", GROUPED))
    ]
    with pytest.raises(UnusableInput, match="found 21 groups of whole sources; their figures can"):
        compare(*sides)
    assert compare(sides[1], sides[1]).same


def test_a_variant_has_places_of_its_own(tmp_path: Path) -> None:
    home, sha256 = Home.at(tmp_path), "a" * 64
    alone, grouped = (Places(home, contract, sha256) for contract in (ENSEMBLE, GROUPED))
    assert alone.results.name == "loso-200epochs-4a439d50"
    assert grouped.results.name == "loso-200epochs-4a439d50-21folds"
    assert (alone.candidate.name, grouped.candidate.name) == ("a" * 12, "a" * 12 + "-21folds")


# --- the whole chain ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def promoted_in_groups(
    tmp_path_factory: pytest.TempPathFactory, bundled_rows: list[Row]
) -> tuple[Home, Outcome]:
    """105 sources, a fifth of a bundled one's frames each, in three groups."""
    folder = tmp_path_factory.mktemp("grouped")
    frames = sorted({row["frame_index"] for row in bundled_rows})
    fifth = {frame: 5 * place // len(frames) for place, frame in enumerate(frames)}
    rows = [{**row, "src": f"{row['src']}-{fifth[row['frame_index']]}"} for row in bundled_rows]
    home = Home.at(folder / "home")
    corpus = str(write_rows(folder / "corpus.jsonl", rows))
    plan = Plan(home, corpus, ENSEMBLE.units, 200, force=False, groups=3)
    return home, run_ensemble(plan, Silent())


@pytest.mark.slow
def test_a_grouped_ensemble_ends_in_a_candidate_that_says_so(
    promoted_in_groups: tuple[Home, Outcome],
) -> None:
    home, outcome = promoted_in_groups
    folder, sha256 = outcome.candidate_dir, outcome.corpus_sha256
    assert outcome.judgement.decision.reasons == ()
    assert folder is not None
    assert folder.name == f"{sha256[:12]}-3folds"
    assert verify_candidate(folder).problems == ()
    plan = ENSEMBLE.grouped(3).plan.assign(_rows_of(home, sha256)).to_json()
    verdict, manifest, registry = (
        json.loads((folder / name).read_text())
        for name in ("PROMOTE.json", f"{ENSEMBLE.id}.json", "registry.json")
    )
    assert verdict["fold_plan"] == manifest["eval"]["fold_plan"] == plan
    assert plan["n"] == 3
    assert manifest["eval"]["protocol"] == "3 groups of whole sources"
    assert "Held out in 3 groups of whole sources: mean PLCC" in registry["models"][0]["notes"]
    assert variants_published(home, sha256) == ["-3folds"]
    assert not has_candidate(home, sha256), "leave-one-source-out has a place of its own"
    assert chosen_candidate(f"{sha256[:8]}-3folds", str(home.root)) == folder
    with pytest.raises(UnusableInput, match="found none that begins so"):
        chosen_candidate(sha256[:8], str(home.root))


@pytest.mark.slow
def test_a_candidate_that_tells_another_plan_does_not_verify(
    promoted_in_groups: tuple[Home, Outcome],
) -> None:
    folder = promoted_in_groups[1].candidate_dir
    assert folder is not None
    path = folder / "PROMOTE.json"
    before = path.read_bytes()
    path.write_bytes(before.replace(b'"n": 3', b'"n": 4'))
    try:
        assert verify_candidate(folder).problems
    finally:
        path.write_bytes(before)


def _rows_of(home: Home, sha256: str) -> dict[str, int]:
    corpus = load_corpus(home, sha256)
    counts = np.bincount(corpus.source_index)
    return dict(zip(corpus.sources, counts.tolist(), strict=True))
