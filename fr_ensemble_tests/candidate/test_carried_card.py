"""A candidate carries card, thresholds and signature; what contradicts it is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from fr_ensemble_assets.candidate.build import build_candidate
from fr_ensemble_assets.candidate.contents import Contents, read_contents
from fr_ensemble_assets.candidate.signing import SIGNATURE_FILE
from fr_ensemble_assets.candidate.verify import verify_candidate, verify_contents
from fr_ensemble_assets.card.facts import FACTS_FILE
from fr_ensemble_assets.card.render import CARD_FILE, CARD_FILES
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.contract.places import Places
from fr_ensemble_assets.corpus.provenance import PROVENANCE_FILE, note_of, read_note
from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS, read_corpus
from fr_ensemble_assets.corpus.store import load_corpus, save_corpus
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import json_bytes
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.gate.verdict import authorise
from fr_ensemble_assets.members.consumers import THRESHOLDS_FILE
from fr_ensemble_tests.candidate.test_candidate_altered import resealed
from fr_ensemble_tests.conftest import CPU, Chain, Row, predictors_in, write_rows


@pytest.fixture(scope="module")
def contents(promoted_once: Chain) -> Contents:
    folder = promoted_once[1].candidate_dir
    assert folder is not None
    return read_contents(folder)


def published_again(home: Home) -> bool:
    """Publish what the home holds; whether a signature went."""
    (results,) = home.store.glob("*/loso-*")
    places = Places(home, ENSEMBLE, results.parent.name)
    corpus = load_corpus(home, places.corpus_sha256)
    judgement = authorise(places.results, corpus, ENSEMBLE)
    carried = predictors_in(home)
    return build_candidate(places, corpus, judgement, CPU, predictors=carried).unsigned


def test_candidate_holds_card_and_thresholds_and_makes_them_again(
    promoted: Home, contents: Contents
) -> None:
    assert {*CARD_FILES, THRESHOLDS_FILE} <= set(contents.files)
    (folder,) = promoted.candidates.iterdir()
    shutil.rmtree(folder)
    assert published_again(promoted) is False
    assert read_contents(folder).files == contents.files


def facts(
    change: Callable[[dict[str, Any]], Any],
) -> Callable[[Mapping[str, bytes]], dict[str, bytes]]:
    def altered(files: Mapping[str, bytes]) -> dict[str, bytes]:
        document = json.loads(files[FACTS_FILE])
        change(document)
        return {FACTS_FILE: json_bytes(document)}

    return altered


TOLD: dict[str, tuple[Callable[[Mapping[str, bytes]], dict[str, bytes]], str]] = {
    "a better mean": (facts(lambda d: d.update(mean_plcc=0.99999)), "'mean_plcc'"),
    "another corpus": (facts(lambda d: d.update(corpus_sha256="f" * 64)), "'corpus_sha256'"),
    "a member's digest": (facts(lambda d: d["members"][0].update(sha256="0" * 64)), "'members'"),
    "narrower intervals": (
        facts(lambda d: d["coverages"][0]["by_source"][0].update(width=0.1)),
        "'coverages'",
    ),
    "a single seed": (
        facts(lambda d: d["sources"][0].update(plcc_seeds=[0.999, 1.0])),
        "figures of single seeds",
    ),
    "a key of its own": (facts(lambda d: d.update(approved=True)), "and nothing else"),
    "a source less": (facts(lambda d: d["sources"].pop()), "figures of single seeds"),
    "a figure of the words": (
        facts(lambda d: d["encoders"][0].update(bias=0.0)),
        f"{CARD_FILE} is not what {FACTS_FILE} gives",
    ),
    "kinder words": (
        lambda files: {CARD_FILE: files[CARD_FILE].replace(b"Not for judging", b"For judging")},
        f"{CARD_FILE} is not what {FACTS_FILE} gives",
    ),
    "no facts": (lambda _: {FACTS_FILE: b"{}"}, "expected the facts of a model card"),
    "thresholds upside down": (
        lambda files: {
            THRESHOLDS_FILE: json_bytes(
                json.loads(files[THRESHOLDS_FILE]) | {"tight_interval_max_width": 99.0}
            )
        },
        "expected 0 < tight <= wide",
    ),
}


@pytest.mark.parametrize("name", TOLD)
def test_with_every_digest_adjusted_the_card_cannot_contradict_the_evidence(
    contents: Contents, name: str
) -> None:
    alter, message = TOLD[name]
    files = {**contents.files, **alter(contents.files)}
    found = verify_contents(Contents("altered", resealed(files)))
    assert message in "; ".join(found.problems)
    assert found.evidence is None


def test_half_a_card_is_refused_and_none_is_not(contents: Contents) -> None:
    without = {name: data for name, data in contents.files.items() if name not in CARD_FILES}
    assert verify_contents(Contents("bare", resealed(without))).problems == ()
    half = {**without, CARD_FILE: contents.files[CARD_FILE]}
    (problem,) = verify_contents(Contents("half", resealed(half))).problems
    assert "is missing" in problem


# --- the signature -----------------------------------------------------------------------------


def test_signature_stays_over_equal_bytes_and_goes_with_others(promoted: Home) -> None:
    (folder,) = promoted.candidates.iterdir()
    (folder / SIGNATURE_FILE).write_text("signed")
    assert verify_candidate(folder).problems == ()
    assert published_again(promoted) is False
    assert (folder / SIGNATURE_FILE).read_text() == "signed"
    (folder / "registry.json").write_text("{}")
    assert published_again(promoted) is True
    assert not (folder / SIGNATURE_FILE).exists()
    assert verify_candidate(folder).problems == ()


# --- where the rows come from ------------------------------------------------------------------


def test_note_beside_a_corpus_travels_into_the_store(tmp_path: Path) -> None:
    path = UPath(tmp_path / "c.jsonl.gz")
    shutil.copyfile(BUNDLED_CORPUS, path)
    home = Home.at(tmp_path / "home")
    reading = read_corpus(path)
    assert note_of(path, reading) is None
    note = {"clips": [{"src": "dog", "sha256": "a" * 64}, {"src": "nobody"}, "odd"]}
    (tmp_path / "c.jsonl.gz.provenance.json").write_text(json.dumps(note))
    found = note_of(path, reading)
    assert found is not None
    assert found["clips"] == [note["clips"][0]]
    save_corpus(home, reading, "here", found)
    kept = home.corpus_dir(reading.corpus.sha256) / PROVENANCE_FILE
    assert json.loads(kept.read_text()) == found
    save_corpus(home, reading, "a copy without its note")
    assert json.loads(kept.read_text()) == found


def test_shards_bring_a_note_each_and_a_source_told_twice_is_left_open(
    tmp_path: Path, few_rows: list[Row]
) -> None:
    folder = UPath(tmp_path / "shards")
    folder.mkdir()
    for source in ("bbb", "city", "dog"):
        name = f"{source}.jsonl"
        write_rows(Path(str(folder / name)), [r for r in few_rows if r["src"] == source])
        clips = [{"src": source, "sha256": source}, {"src": "dog", "sha256": "dog"}]
        clips += [{"src": "city", "sha256": "another"}] if source == "bbb" else []
        (folder / f"{name}.provenance.json").write_text(json.dumps({"clips": clips}))
    found = note_of(folder, read_corpus(folder))
    assert found is not None
    assert [clip["src"] for clip in found["clips"]] == ["bbb", "dog"]


@pytest.mark.parametrize("damaged", [b"{", b"[]", b"\xff"])
def test_damaged_note_is_no_missing_one(tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / "c.jsonl.provenance.json").write_bytes(damaged)
    with pytest.raises(UnusableInput, match="c.jsonl.provenance.json"):
        read_note(UPath(tmp_path / "c.jsonl"))
