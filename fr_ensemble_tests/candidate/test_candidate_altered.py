"""Whatever single value of a candidate is altered, everybody who verifies refuses it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from upath import UPath

from fr_ensemble_assets.candidate.contents import (
    DIGESTS_FILE,
    VERDICT_FILE,
    Contents,
    read_contents,
)
from fr_ensemble_assets.candidate.documents import sealed
from fr_ensemble_assets.candidate.propose import propose_candidate
from fr_ensemble_assets.candidate.verify import verified, verify_contents
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import json_bytes, sha256_of
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.members.names import MANIFEST_FILE, member_id, onnx_file, sidecar_file
from fr_ensemble_assets.members.onnx_check import read_member
from fr_ensemble_assets.members.onnx_export import export_onnx
from fr_ensemble_assets.operations.status import status_of
from fr_ensemble_assets.prediction.candidate import load_candidate
from fr_ensemble_tests.conftest import Chain


@pytest.fixture(scope="session")
def contents(promoted_once: Chain) -> Contents:
    folder = promoted_once[1].candidate_dir
    assert folder is not None
    return read_contents(folder)


def altered(document: Any) -> Iterator[tuple[str, Callable[[], None]]]:
    """Each scalar in a document: where it is, and a call that alters it or puts it back."""
    steps = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in list(steps):
        if isinstance(value, dict | list):
            yield from ((f"{key}.{at}", flip) for at, flip in altered(value))
            continue
        both = [other_than(value), value]

        def flip(key: Any = key, both: list[Any] = both) -> None:
            document[key] = both[0]
            both.reverse()

        yield str(key), flip


def other_than(value: Any) -> Any:
    """The smallest change of a value: the next number, another letter."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, float):
        return float(np.nextafter(value, np.inf))
    if isinstance(value, int):
        return value + 1
    return "x" if value is None else f"{value[:-1]}{'y' if value[-1:] == 'x' else 'x'}"


def each_alteration(
    contents: Contents, *names: str, share: slice = slice(None)
) -> Iterator[tuple[str, dict[str, bytes]]]:
    for name in names or sorted(contents.files):
        if name.endswith(".json"):
            document = json.loads(contents.files[name])
            for at, flip in list(altered(document))[share]:
                flip()
                yield f"{name} {at}", {**contents.files, name: json_bytes(document)}
                flip()


def resealed(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """With every digest adjusted, as by somebody who knows how: members, calibration, root."""
    made = dict(files)
    ensemble = json.loads(made.pop(MANIFEST_FILE))
    made.pop(DIGESTS_FILE)
    ensemble.pop("digests")
    ensemble["eval"]["calibration_sha256"] = sha256_of(made["calibration.json"])
    verdict, registry = (json.loads(made[name]) for name in (VERDICT_FILE, "registry.json"))
    verdict["results"] = {name: sha256_of(made[name]) for name in verdict["results"]}
    for seed, (member, row) in enumerate(zip(ensemble["members"], registry["models"], strict=True)):
        digest = sha256_of(made[onnx_file(seed)])
        told = json.loads(made[sidecar_file(seed)])
        if told["sha256"] != digest:
            made[sidecar_file(seed)] = json_bytes(told | {"sha256": digest})
            member["sha256"] = row["sha256"] = digest
            made["registry.json"] = json_bytes(registry)
    made[VERDICT_FILE] = json_bytes(verdict)
    return sealed(made, ensemble)


def problems(files: Mapping[str, bytes]) -> tuple[str, ...]:
    return verify_contents(Contents("altered", files)).problems


def test_candidate_as_it_was_published_verifies_resealed_or_not(contents: Contents) -> None:
    assert problems(contents.files) == ()
    assert resealed(contents.files) == contents.files


def test_evidence_is_handed_on_of_a_candidate_without_any_problem_alone(contents: Contents) -> None:
    found = verify_contents(contents)
    assert found.evidence is not None
    assert len(found.evidence.models) == 5
    foreign = verify_contents(Contents("altered", contents.files, ("notes.txt is foreign",)))
    assert (foreign.problems, foreign.evidence) == (("notes.txt is foreign",), None)
    verdict = json.loads(contents.files[VERDICT_FILE]) | {"recommendation": "ship it"}
    reworded = verify_contents(
        Contents("altered", resealed({**contents.files, VERDICT_FILE: json_bytes(verdict)}))
    )
    assert reworded.problems
    assert reworded.evidence is None


def test_a_registry_against_its_schema_is_told_as_that_and_as_nothing_else(
    contents: Contents,
) -> None:
    registry = json.loads(contents.files["registry.json"])
    registry["models"][0]["description"] = 7
    found = verify_contents(
        Contents("altered", resealed({**contents.files, "registry.json": json_bytes(registry)}))
    )
    assert len(found.schema) == len(found.problems) == 1
    assert found.evidence is None


def test_a_problem_is_told_in_300_letters_at_most(contents: Contents, tmp_path: Path) -> None:
    for name, data in contents.files.items():
        (tmp_path / name).write_bytes(data)
    foreign = "x" * 250
    (tmp_path / foreign).write_bytes(b"")
    registry = json.loads(contents.files["registry.json"])
    registry["models"][0]["description"] = {"n" * 400: 1}
    registry["models"][0]["kind"] = ["k" * 400]
    for name, data in resealed({**contents.files, "registry.json": json_bytes(registry)}).items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(UnusableInput) as refusal:
        verified(UPath(tmp_path))
    named = str(refusal.value).split(", found ", 1)[1].rsplit("; make it again", 1)[0]
    assert max(len(part) for part in named.split("; ")) == 300


def test_intervals_of_recentred_members_need_a_correction_of_each(contents: Contents) -> None:
    told = json.loads(contents.files["calibration.json"])
    one_less = {**told["recentring"], "members": told["recentring"]["members"][1:]}
    for spoiled, problem in (
        ({k: v for k, v in told.items() if k != "recentring"}, "has no 'recentring'"),
        ({**told, "recentring": one_less}, "recentres 4 members, not 5"),
        ({**told, "recentring": {**told["recentring"], "version": 2}}, "'recentring.version'"),
    ):
        files = resealed({**contents.files, "calibration.json": json_bytes(spoiled)})
        assert any(problem in found for found in problems(files)), problem


SHARES = 8  # so that several processes can have some each


@pytest.mark.slow
@pytest.mark.parametrize("share", range(SHARES))
def test_every_single_value_of_every_document_is_refused(contents: Contents, share: int) -> None:
    mine = each_alteration(contents, share=slice(share, None, SHARES))
    tried = [(at, bool(problems(files))) for at, files in mine]
    assert [at for at, refused in tried if not refused] == []
    assert len(tried) > 2000 / SHARES


def test_every_document_has_values_that_are_altered(contents: Contents) -> None:
    documents = [data for name, data in contents.files.items() if name.endswith(".json")]
    assert len(documents) > 10
    assert all([*altered(json.loads(data))] for data in documents)


#: What no evidence in the folder gives: it hangs from the root digest alone.
UNDERIVABLE = {f"{VERDICT_FILE} generated_at_utc", f"{VERDICT_FILE} loso_dir"}
#: What was found in the corpus' rows, which no candidate holds; that they were fit it must say.
FROM_ROWS = f"{VERDICT_FILE} corpus.fitness."


@pytest.mark.parametrize(
    "name", [sidecar_file(1), MANIFEST_FILE, "registry.json", "registry.schema.json", VERDICT_FILE]
)
def test_with_every_digest_adjusted_what_evidence_gives_is_still_refused(
    contents: Contents, name: str
) -> None:
    passed = {
        at
        for at, files in each_alteration(contents, name)
        if not {"sha256", "digests"} & set(re.split(r"[ ._]", at))
        and not at.startswith((f"{VERDICT_FILE} results.", FROM_ROWS))
        if not problems(resealed(files))
    }
    assert passed == (UNDERIVABLE if name == VERDICT_FILE else set())


def test_verdict_that_does_not_say_its_corpus_was_fit_is_refused(contents: Contents) -> None:
    (fitness,) = (
        files for at, files in each_alteration(contents, VERDICT_FILE) if at == f"{FROM_ROWS}fit"
    )
    assert any("fit to be judged" in problem for problem in problems(resealed(fitness)))


NASTY = "\x1b]0;x\x07\n\u202e.json"


def test_names_that_others_wrote_are_cleaned_and_counted(contents: Contents, tmp_path: Any) -> None:
    for name, data in contents.files.items():
        (tmp_path / name).write_bytes(data)
    for number in range(15):
        (tmp_path / f"{number}{NASTY}").touch()
    listed = json.loads(contents.files[DIGESTS_FILE])
    listed["files"] |= {f"{number}{NASTY}": NASTY for number in range(50_000)}
    (tmp_path / DIGESTS_FILE).write_bytes(json_bytes(listed))
    told = verify_contents(read_contents(UPath(tmp_path))).problems
    assert "5 more files don't belong here" in told
    assert any(problem.startswith(f"{DIGESTS_FILE}: expected 'files.") for problem in told)
    assert all(problem.isprintable() and len(problem) < 400 for problem in told)
    assert len(told) < 30


FORGED: dict[str, tuple[str, str, str]] = {
    "the results' mean": ("loso_seed2.json", '"mean_plcc": 0.9', '"mean_plcc": 0.98'),
    "another corpus": (
        "calibration.json",
        '"corpus": {\n    "sha256": "',
        '"corpus": {"sha256":"0',
    ),
    "another quality range": ("calibration.json", '"max": 63.0', '"max": 62.0'),
    "rows": ("calibration.json", '"n_frames": 600', '"n_frames": 601'),
    "dry run": ("loso_seed2.json", '"epochs": 200', '"epochs": 20'),
    "a coverage that its groups don't give": (
        "calibration.json",
        '"mean_coverage": 0.',
        '"mean_coverage": 0.0',
    ),
}


@pytest.mark.parametrize("what", FORGED)
def test_parts_that_contradict_each_other_are_refused(contents: Contents, what: str) -> None:
    name, old, new = FORGED[what]
    text = contents.files[name].decode()
    assert old in text
    assert problems(resealed({**contents.files, name: text.replace(old, new).encode()}))


def test_one_member_copied_over_another_is_refused(contents: Contents) -> None:
    copied = export_onnx(read_member(contents.files[onnx_file(0)], 0), member_id(1))
    files = resealed({**contents.files, onnx_file(1): copied})
    assert problems(files) == (
        "two members are the same network: an ensemble of copies never disagrees",
    )


@pytest.mark.parametrize("name", ["calibration.json", MANIFEST_FILE, VERDICT_FILE, onnx_file(3)])
def test_predict_propose_and_status_refuse_alike(
    promoted: Home, contents: Contents, name: str
) -> None:
    (folder,) = promoted.candidates.iterdir()
    registry = UPath(str(promoted.root)) / "registry.json"
    registry.write_text('{"models": []}')
    data = contents.files[name]
    first = next(each_alteration(contents, name), ("", {name: data[:-1] + b"\0"}))[1]
    (folder / name).write_bytes(first[name])
    (shown,) = status_of(promoted).candidates
    assert shown.problems
    with pytest.raises(UnusableInput, match="expected a candidate that verifies") as predicting:
        load_candidate(folder)
    with pytest.raises(UnusableInput) as proposing:
        propose_candidate(folder, registry)
    assert str(predicting.value) == str(proposing.value)
    assert all(problem in str(predicting.value) for problem in shown.problems)
