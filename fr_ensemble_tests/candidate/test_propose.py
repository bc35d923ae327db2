"""The diff for somebody else's registry: our rows, and not a byte more."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upath import UPath

from fr_ensemble_assets.candidate.propose import (
    path_in_tree,
    propose,
    propose_candidate,
    unified_diff,
)
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home


def our_row(seed: int) -> dict[str, Any]:
    name = f"fr_regressor_v2_ensemble_v1_seed{seed}"
    return {
        "id": name,
        "kind": "fr",
        "onnx": f"{name}.onnx",
        "opset": 17,
        "sha256": f"{seed}" * 64,
        "smoke": False,
        "license": "BSD-3-Clause-Plus-Patent",
        "notes": f"seed {seed}, LOSO",
    }


OURS = [our_row(seed) for seed in range(5)]


def their_row(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "kind": "nr", "onnx": f"{name}.onnx", "sha256": "f" * 64} | more


def registry(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"$schema": "./registry.schema.json", "schema_version": 1, "models": list(rows)}


def by_id(text: str) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in json.loads(text)["models"]}


def applied(tmp_path: Path, before: bytes, diff: str) -> bytes:
    """What ``git apply`` makes of the diff."""
    file = tmp_path / "model" / "tiny" / "registry.json"
    file.parent.mkdir(parents=True)
    file.write_bytes(before)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "apply", "-"], cwd=tmp_path, check=True, input=diff.encode())
    return file.read_bytes()


THEIRS = {
    "two spaces": json.dumps(registry(their_row("a"), their_row("z")), indent=2) + "\n",
    "four spaces, no newline at the end": json.dumps(
        registry(their_row("a"), their_row("z")), indent=4
    ),
    "tabs": json.dumps(registry(their_row("a"), their_row("z")), indent="\t") + "\n",
    "one line": json.dumps(registry(their_row("a"), their_row("z"))) + "\n",
    "Windows lines": json.dumps(registry(their_row("a"), their_row("z")), indent=2).replace(
        "\n", "\r\n"
    ),
    "empty": '{\n  "schema_version": 1,\n  "models": []\n}\n',
    "ours are first": json.dumps(registry(their_row("z")), indent=2) + "\n",
    "ours are last": json.dumps(registry(their_row("a")), indent=2) + "\n",
    "text beyond ASCII": json.dumps(
        registry(their_row("a", notes="6→16 — tiny\u2028\x0c")), indent=2, ensure_ascii=False
    ),
    "odd white space": '{ "models" :[\n\n  {"id":"a" , "kind":"nr"},\n  {"id": "z"}\n ] ,"x":1}',
}


@pytest.mark.parametrize("name", THEIRS)
def test_rows_are_added_in_order_and_the_rest_stays(tmp_path: Path, name: str) -> None:
    before = THEIRS[name]
    proposal = propose(before, OURS, "registry.json")
    assert len(proposal.added) == 5
    after = by_id(proposal.text)
    assert {row["id"]: row for row in OURS}.items() <= after.items()
    assert {k: v for k, v in after.items() if "ensemble" not in k} == by_id(before)
    assert list(after) == sorted(after)
    diff = unified_diff(before, proposal.text, "model/tiny/registry.json")
    assert applied(tmp_path, before.encode(), diff) == proposal.text.encode()


def test_rows_that_are_there_change_in_digest_smoke_and_notes_alone(tmp_path: Path) -> None:
    stale = [
        {**row, "sha256": "e" * 64, "smoke": True, "notes": "scaffold", "license_url": "https://x"}
        for row in OURS
    ]
    before = json.dumps(registry(their_row("a"), *stale, their_row("z")), indent=2) + "\n"
    proposal = propose(before, OURS, "registry.json")
    assert len(proposal.replaced) == 5
    assert by_id(proposal.text)[OURS[2]["id"]] == OURS[2] | {"license_url": "https://x"}
    diff = unified_diff(before, proposal.text, "model/tiny/registry.json")
    removed = [line for line in diff.splitlines() if line.startswith("-") and "---" not in line]
    assert len(removed) == 15
    assert {line.split('"')[1] for line in removed} == {"sha256", "smoke", "notes"}
    assert applied(tmp_path, before.encode(), diff) == proposal.text.encode()


def test_key_that_their_row_lacks_is_added_to_it() -> None:
    bare = {"id": OURS[0]["id"], "onnx": OURS[0]["onnx"]}
    for indent in (2, None):
        before = json.dumps(registry(bare), indent=indent)
        after = propose(before, OURS[:1], "registry.json").text
        assert by_id(after)[OURS[0]["id"]] == OURS[0]


def test_value_that_only_python_takes_for_ours_is_replaced() -> None:
    loose = json.dumps(registry({**OURS[0], "smoke": 0, "opset": 17.0}))
    assert propose(loose, OURS[:1], "registry.json").text == json.dumps(registry(OURS[0]))


def test_nothing_to_change_is_no_diff() -> None:
    text = json.dumps(registry(*OURS), indent=2)
    proposal = propose(text, OURS, "registry.json")
    assert (proposal.replaced, proposal.added) == ((), ())
    assert unified_diff(text, proposal.text, "registry.json") == ""


def test_signature_of_the_old_digest_is_pointed_out() -> None:
    signed = {**OURS[0], "sha256": "e" * 64, "sigstore_bundle": "x.sigstore.json"}
    proposal = propose(json.dumps(registry(signed)), OURS, "registry.json")
    assert proposal.stale_signatures == (OURS[0]["id"],)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"models": [', "expected a registry in JSON"),
        ("[]", "expected an object with a list 'models'"),
        ('{"models": [1]}', "expected an object with a list 'models'"),
        (json.dumps(registry(OURS[0], OURS[0])), "once, found it 2 times"),
        ('{"models": [], "models": [{"id": "a"}]}', "the key 'models' twice"),
        ('{"models": [{"id": "a", "id": "b"}]}', "the key 'id' twice"),
    ],
)
def test_what_is_no_registry_is_refused(text: str, message: str) -> None:
    with pytest.raises(UnusableInput, match=message):
        propose(text, OURS, "registry.json")


PLACES = [
    "with space/registry.json",
    'q"uote/registry.json',
    "back\\slash/registry.json",
    "tab\there/registry.json",
    "new\nline/registry.json",
    "é/registry.json",
    os.fsdecode(b"not \xff utf-8/registry.json"),
]


@pytest.mark.parametrize("place", PLACES)
def test_git_finds_the_registry_whatever_its_folder_is_called(tmp_path: Path, place: str) -> None:
    before = THEIRS["two spaces"]
    file = tmp_path / place
    file.parent.mkdir()
    file.write_text(before)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    after = propose(before, OURS, "registry.json").text
    diff = unified_diff(before, after, path_in_tree(UPath(file)))
    subprocess.run(["git", "apply", "-"], cwd=tmp_path, check=True, input=diff.encode())
    assert file.read_text() == after


@pytest.mark.parametrize("kind", ["pipe", "endless device"])
def test_registry_that_never_ends_is_refused(promoted: Home, tmp_path: Path, kind: str) -> None:
    registry = tmp_path / "registry.json"
    os.mkfifo(registry) if kind == "pipe" else registry.symlink_to("/dev/zero")
    (candidate,) = promoted.candidates.iterdir()
    with pytest.raises(UnusableInput, match="found a folder, a pipe or a device"):
        propose_candidate(candidate, UPath(registry))


keys = st.text(min_size=1, max_size=6).filter(lambda key: key != "id")
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.dictionaries(
        st.text(max_size=8), st.dictionaries(keys, values, max_size=4), max_size=5
    ),
    there=st.sets(st.integers(0, 4)),
    around=st.dictionaries(st.text(max_size=5).filter(lambda k: k != "models"), values, max_size=3),
    indent=st.sampled_from([None, 1, 2, 4, "\t"]),
    ascii_only=st.booleans(),
)
def test_any_registry_keeps_what_is_theirs(
    rows: dict[str, dict[str, Any]],
    there: set[int],
    around: dict[str, Any],
    indent: int | str | None,
    ascii_only: bool,
) -> None:
    models = [{**row, "id": name} for name, row in rows.items()]
    models += [{"id": OURS[seed]["id"], "theirs": "kept", "smoke": True} for seed in there]
    before = json.dumps({**around, "models": models}, indent=indent, ensure_ascii=ascii_only)
    after = propose(before, OURS, "registry.json").text
    document, was = json.loads(after), json.loads(before)
    assert {k: v for k, v in document.items() if k != "models"} == {
        k: v for k, v in was.items() if k != "models"
    }
    found, theirs = by_id(after), by_id(before)
    for name, row in theirs.items():
        if name not in {ours["id"] for ours in OURS}:
            assert found[name] == row
    for row in OURS:
        assert found[row["id"]].items() >= row.items()
        assert found[row["id"]].get("theirs") == theirs.get(row["id"], {}).get("theirs")
    assert propose(after, OURS, "registry.json").text == after
