"""Two candidates or two folders of results: the same, or where they differ."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner
from upath import UPath

from fr_ensemble_assets.calibration.pooling import out_of_fold
from fr_ensemble_assets.candidate.champion import (
    Champion,
    challenge,
    champion_before,
    moved_rows,
)
from fr_ensemble_assets.candidate.verify import verified
from fr_ensemble_assets.cli.main import app
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.corpus.reader import read_corpus
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.gate.verdict import authorise
from fr_ensemble_assets.handover.compare import compare, read_side
from fr_ensemble_tests.conftest import Chain, Row, write_rows


@pytest.fixture(scope="module")
def candidate(promoted_once: Chain) -> UPath:
    folder = promoted_once[1].candidate_dir
    assert folder is not None
    return folder


@pytest.fixture(scope="module")
def results(promoted_once: Chain) -> UPath:
    (folder,) = Home.at(promoted_once[0]).store.glob("*/loso-*")
    return UPath(folder)


@pytest.fixture
def other(tmp_path: Path, results: UPath) -> Path:
    """The results as another machine might have given them: one source a little off."""
    folder = tmp_path / "other"
    folder.mkdir()
    for path in results.glob("loso_seed?.json"):
        document = json.loads(path.read_text())
        document["wall_time_s"] = 1.0
        for fold in document["folds"]:
            if fold["held_out"] == "dog":
                fold["plcc"] -= 1e-3
                fold["rmse"] += 0.25
        document["mean_plcc"] = float(np.mean([fold["plcc"] for fold in document["folds"]]))
        (folder / path.name).write_text(json.dumps(document))
    return folder


def call(*arguments: object) -> tuple[int, str, str]:
    ended = CliRunner().invoke(app, ["compare", *map(str, arguments)])
    return ended.exit_code, ended.stdout, ended.stderr


def test_candidate_is_the_same_as_itself_and_as_its_results(
    candidate: UPath, results: UPath
) -> None:
    found = compare(read_side(candidate), read_side(candidate))
    assert found.same
    assert set(found.same_predictions) == set(range(5))
    assert len(found.same_files) == 6
    assert compare(read_side(results), read_side(results)).same
    assert compare(read_side(candidate), read_side(results)).same


def test_times_alone_are_no_difference(tmp_path: Path, results: UPath) -> None:
    slower = tmp_path / "slower"
    shutil.copytree(results, slower)
    for path in slower.glob("loso_seed?.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "wall_time_s": 99.0}))
    assert compare(read_side(results), read_side(UPath(slower))).same


def test_differences_are_told_by_source_and_seed(results: UPath, other: Path) -> None:
    found = compare(read_side(results), read_side(UPath(other)))
    assert not found.same
    assert found.corpora[0] == found.corpora[1]
    apart = {pair.name: pair.difference for pair in found.rmse if pair.a != pair.b}
    assert apart == {"dog": pytest.approx(0.25)}
    assert {pair.name: pair.difference for pair in found.plcc if pair.a != pair.b} == {
        "dog": pytest.approx(-1e-3)
    }
    assert all(pair.difference == pytest.approx(-1e-3 / 6) for pair in found.seeds)


def test_sources_of_one_side_are_named(tmp_path: Path, results: UPath) -> None:
    folder = tmp_path / "less"
    folder.mkdir()
    for path in results.glob("loso_seed?.json"):
        document = json.loads(path.read_text())
        document["folds"] = [f for f in document["folds"] if f["held_out"] != "city"]
        document["n_folds"] -= 1
        (folder / path.name).write_text(json.dumps(document))
    found = compare(read_side(results), read_side(UPath(folder)))
    assert (found.only_a, found.only_b) == (("city",), ())
    assert not found.same


def shifted(tmp_path: Path, candidate: UPath, vmaf: float) -> UPath:
    """The candidate with another last bias: all of its scores move alike."""
    import onnx
    from onnx import numpy_helper

    folder = UPath(tmp_path / "shifted")
    shutil.copytree(candidate, folder)
    for path in folder.glob("*.onnx"):
        model = onnx.load_from_string(path.read_bytes())
        (bias,) = [i for i in model.graph.initializer if i.name == "bias2"]
        bias.CopyFrom(
            numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(vmaf), "bias2")
        )
        path.write_bytes(model.SerializeToString())
    return folder


def test_rows_that_move_are_counted(tmp_path: Path, candidate: UPath, rows: list[Row]) -> None:
    corpus = read_corpus(write_rows(tmp_path / "corpus.jsonl", rows)).corpus
    champion = verified(candidate)
    assert moved_rows(corpus, champion, champion).moved == 0
    models = [
        path.read_bytes() for path in sorted(shifted(tmp_path, candidate, -3.0).glob("*.onnx"))
    ]
    lower = replace(champion, models=tuple(models))
    found = moved_rows(corpus, champion, lower)
    assert found.moved > 0.9 * corpus.n_rows
    assert found.furthest == pytest.approx(3.0, abs=1e-3)
    assert sum(count for _, _, count in found.by_source) == found.moved


def test_altered_candidate_is_no_side(tmp_path: Path, candidate: UPath) -> None:
    with pytest.raises(UnusableInput, match="expected a candidate that verifies"):
        read_side(shifted(tmp_path, candidate, 1.0))


def test_champion_is_scored_on_sources_that_it_never_saw(
    tmp_path: Path, candidate: UPath, results: UPath, rows: list[Row]
) -> None:
    corpus = read_corpus(write_rows(tmp_path / "corpus.jsonl", rows)).corpus
    frames = out_of_fold(corpus, authorise(results, corpus, ENSEMBLE).results)
    champion = verified(candidate)
    itself = challenge(corpus, frames, champion, champion)
    assert (itself.plcc, itself.unfair, itself.moved.moved) == ((), corpus.sources, 0)
    renamed = corpus.frame.replace({"src": {"dog": "dog2"}})
    named = Corpus(corpus.sha256, renamed)
    found = challenge(named, frames, champion, champion)
    assert [pair.name for pair in found.rmse] == ["dog2"]
    rows_of = named.source_index == named.sources.index("dog2")
    unseen = np.sqrt(np.mean((frames.mu - corpus.target)[rows_of] ** 2))
    assert found.rmse[0].b == pytest.approx(unseen)
    assert found.rmse[0].a != found.rmse[0].b


def test_champion_is_the_sound_candidate_judged_last_before(
    tmp_path: Path, candidate: UPath
) -> None:
    older, new = UPath(tmp_path / "older"), UPath(tmp_path / "new")
    shutil.copytree(candidate, older)
    told = json.loads((candidate / "PROMOTE.json").read_text())

    def at(when: str) -> bytes:
        return json.dumps({**told, "generated_at_utc": when}).encode()

    found = champion_before(UPath(tmp_path), new, at("2999-01-01T00:00:00+00:00"))
    assert found.evidence is not None
    assert found.evidence.facts.sha256 == told["corpus"]["sha256"]
    nobody = Champion(None, ())
    assert champion_before(UPath(tmp_path), older, at("2999-01-01T00:00:00+00:00")) == nobody
    assert champion_before(UPath(tmp_path), new, at("1999-01-01T00:00:00+00:00")) == nobody
    (older / "calibration.json").write_text("{}")
    found = champion_before(UPath(tmp_path), new, at("2999-01-01T00:00:00+00:00"))
    assert found == Champion(None, ("older",))


def test_command_tells_and_counts(
    tmp_path: Path, candidate: UPath, results: UPath, other: Path, rows: list[Row]
) -> None:
    code, told, _ = call(results, other)
    assert code == 0
    assert "verdict: A PROMOTE, B PROMOTE" in told
    assert "  dog: " in told
    corpus = write_rows(tmp_path / "corpus.jsonl", rows)
    code, told, _ = call(candidate, candidate, "--corpus", corpus)
    assert "the same: predictions, figures and files" in told
    assert f"0 of {len(rows)} rows move" in told
    code, text, _ = call(candidate, results, "--json")
    document: dict[str, Any] = json.loads(text)
    assert document["same_predictions"] == {str(seed): True for seed in range(5)}


@pytest.mark.parametrize("spoiled", ["nowhere", "empty", "corpus"])
def test_what_is_neither_is_refused(tmp_path: Path, results: UPath, spoiled: str) -> None:
    (tmp_path / "empty").mkdir()
    more = ("--corpus", "x.jsonl") if spoiled == "corpus" else ()
    other = results if more else tmp_path / spoiled
    code, _, told = call(results, other, *more)
    assert code == 2
    assert "expected" in told
