"""A corpus that isn't fit is refused by whoever meets it, in one sentence, judged from its rows."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from click.testing import Result
from typer.testing import CliRunner

from fr_ensemble_assets.candidate.assets import registry_candidate
from fr_ensemble_assets.cli.main import app
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.contract.places import Places
from fr_ensemble_assets.corpus.assets import corpus
from fr_ensemble_assets.corpus.fitness import examine, require_fit
from fr_ensemble_assets.corpus.identity import Corpus, canonical_order
from fr_ensemble_assets.corpus.in_use import newest_corpus
from fr_ensemble_assets.corpus.reader import read_corpus
from fr_ensemble_assets.corpus.store import load_corpus, save_corpus
from fr_ensemble_assets.foundation.errors import GateRefusal, UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.gate.assets import ensemble_verdict
from fr_ensemble_assets.gate.verdict import authorise, judge
from fr_ensemble_assets.members.assets import ensemble_members
from fr_ensemble_assets.operations.instance import open_instance
from fr_ensemble_tests.conftest import Row, write_rows
from fr_ensemble_tests.gate.test_gate_bypasses import attempt, edit, no_candidate, results_of

SENTENCE = "corpus check 'sources': 4 sources, 'dog' is 'another' under another name (expected"


@pytest.fixture
def twin_rows(few_rows: list[Row]) -> list[Row]:
    """One clip under two names: trained on while it is held out."""
    return [*few_rows, *({**row, "src": "another"} for row in few_rows if row["src"] == "dog")]


@pytest.fixture
def with_an_unfit_corpus(tmp_path: Path, twin_rows: list[Row]) -> tuple[Home, str]:
    """As an older version left it: kept, and materialised by a run."""
    home = Home.at(tmp_path / "older")
    home.prepare()
    reading = read_corpus(write_rows(tmp_path / "twins.jsonl", twin_rows))
    save_corpus(home, reading, "an older version")
    with open_instance(home) as instance:
        materialise(instance, reading.corpus.sha256)
    return home, reading.corpus.sha256


def materialise(instance: dg.DagsterInstance, sha256: str) -> None:
    """A run whose asset ``corpus`` asks nothing of the rows, as an older version's did."""

    @dg.asset(name="corpus")
    def unasked() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(data_version=dg.DataVersion(sha256))

    dg.materialize([unasked], instance=instance)


def typed(home: Home, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--home", str(home.root)])


def test_refused_corpus_never_becomes_current(tmp_path: Path, twin_rows: list[Row]) -> None:
    home = Home.at(tmp_path / "home")
    path = write_rows(tmp_path / "twins.jsonl", twin_rows)
    told = typed(home, "run", "--corpus", str(path))
    assert told.exit_code == 2
    assert SENTENCE in told.stderr
    assert list(home.store.iterdir()) == []
    with open_instance(home) as instance:
        assert newest_corpus(instance) is None
    told = typed(home, "backfill", "--in-process")
    assert told.exit_code == 2
    assert "expected a corpus that was materialised, found none" in told.stderr


def test_every_door_refuses_a_stored_corpus_alike(
    tmp_path: Path, with_an_unfit_corpus: tuple[Home, str]
) -> None:
    home, _ = with_an_unfit_corpus
    run = typed(home, "run", "--corpus", str(tmp_path / "twins.jsonl"))
    for command in (["--in-process"], ["--in-process", "--seeds", "1"], ["--no-wait"]):
        told = typed(home, "backfill", *command)
        assert told.exit_code == 2
        assert told.stderr.splitlines()[-1] == run.stderr.splitlines()[-1]
    sentence = run.stderr.splitlines()[-1].removeprefix("error: ")
    for asset in (ensemble_verdict, ensemble_members, registry_candidate):
        assert attempt(home, asset) == sentence
    assert SENTENCE in typed(home, "status").stdout
    assert no_candidate(home)


def test_gate_holds_on_an_unfit_corpus_whatever_its_results(
    with_an_unfit_corpus: tuple[Home, str],
) -> None:
    home, sha256 = with_an_unfit_corpus
    used = load_corpus(home, sha256)
    folder = Places(home, ENSEMBLE, sha256).results
    judgement = judge(folder, used, ENSEMBLE)
    assert judgement.decision.objections[0].startswith(SENTENCE)
    assert judgement.fitness["fit"] is False
    with pytest.raises(GateRefusal, match="'dog' is 'another' under another name"):
        authorise(folder, used, ENSEMBLE)


def test_verdict_carries_what_was_examined_and_must_go_on_to(promoted: Home) -> None:
    path = results_of(promoted) / "PROMOTE.json"
    fitness = json.loads(path.read_text())["corpus"]["fitness"]
    assert fitness == {
        "fit": True,
        "problems": [],
        "warnings": ["reference_sources"],
        "fewest_rows_of_a_source": 100,
        "min_rows_of_a_source": 10,
        "twins": {"count": 0, "named": []},
        "likely_twins": {"count": 0, "named": []},
        "likely_twins_searched": True,
    }
    edit(path, lambda document: document["corpus"]["fitness"].update(warnings=[]))  # type: ignore[index]
    told = attempt(promoted, registry_candidate)
    assert "tells something else of its corpus than is found now" in told


def test_refused_corpus_leaves_the_one_before_it_current(
    promoted: Home, twin_rows: list[Row], tmp_path: Path
) -> None:
    unfit = write_rows(tmp_path / "twins.jsonl", twin_rows)
    assert attempt(promoted, corpus) == ""  # the bundled one
    with open_instance(promoted) as instance:
        before = newest_corpus(instance)
    assert typed(promoted, "run", "--corpus", str(unfit)).exit_code == 2
    with open_instance(promoted) as instance:
        assert newest_corpus(instance) == before
    assert len(list(promoted.store.iterdir())) == 2


def made(frame: pd.DataFrame) -> Corpus:
    return Corpus("0" * 64, canonical_order(frame))


def test_sources_need_rows_enough_for_a_correlation(few: Corpus) -> None:
    dog, rest = few.frame[few.frame.src == "dog"], few.frame[few.frame.src != "dog"]
    found = {
        rows: examine(made(pd.concat([rest, dog.head(rows)]))).required["sources"]
        for rows in (2, 9, 10)
    }
    assert {rows: finding.passed for rows, finding in found.items()} == {
        2: False,
        9: False,
        10: True,
    }
    assert "too few rows in dog (9)" in found[9].observed


def test_values_and_keys_of_a_corpus_placed_by_hand_are_judged(few: Corpus) -> None:
    assert require_fit(few).problems == ()
    for spoiled in (
        few.frame.assign(vmaf=150.0 + few.frame.vmaf),
        few.frame.assign(adm2=few.frame.adm2.where(few.frame.cq > 19, np.inf)),
        pd.concat([few.frame, few.frame.head(1).assign(vmaf=1.0)]),
    ):
        with pytest.raises(UnusableInput, match="corpus check 'schema'"):
            require_fit(made(spoiled))


def test_many_sources_are_refused_in_a_sentence_that_can_be_read(few: Corpus) -> None:
    many = pd.concat([few.frame] * 400, ignore_index=True)
    many["src"] = [f"source {n}" for n in range(len(many))]
    with pytest.raises(UnusableInput, match="and 47990 more") as refusal:
        require_fit(made(many))
    assert len(str(refusal.value)) < 2000
