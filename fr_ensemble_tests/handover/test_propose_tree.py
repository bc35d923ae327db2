"""One patch for the whole hand-over: git applies it, their rules hold, all else stays."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from upath import UPath

from fr_ensemble_assets.cli.main import app
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import sha256_of
from fr_ensemble_assets.handover.page import BEGIN, END
from fr_ensemble_assets.handover.patch import hand_over
from fr_ensemble_assets.handover.rules import broken_rules, missing_deliverables
from fr_ensemble_tests.conftest import Chain
from fr_ensemble_tests.fork import (
    ENSEMBLE,
    PAGE,
    REGISTRY,
    TINY,
    VERDICT,
    contents,
    dumped,
    fork_files,
    git,
    make_fork,
    old_sidecar,
    registry,
    their_row,
)

SEEDS = range(5)
DEAD = {f"{TINY}/{ENSEMBLE}_seed{seed}.onnx.data" for seed in SEEDS}
CALIBRATION = f"{TINY}/{ENSEMBLE}_calibration.json"
THRESHOLDS = f"{TINY}/{ENSEMBLE}_thresholds.json"
MEMBERS = {f"{TINY}/{ENSEMBLE}_seed{seed}.{kind}" for seed in SEEDS for kind in ("onnx", "json")}


@pytest.fixture
def candidate(promoted_once: Chain) -> UPath:
    folder = promoted_once[1].candidate_dir
    assert folder is not None
    return folder


@pytest.fixture
def fork(tmp_path: Path) -> Path:
    return make_fork(tmp_path / "fork")


def applied(tree: Path, patch: bytes) -> dict[str, bytes]:
    """What the tree holds after a person applied the patch."""
    git(tree, "apply", "--binary", "-", given=patch)
    return contents(tree)


Files = dict[str, bytes]


def no_ensemble(files: Files) -> Files:
    files = {path: data for path, data in files.items() if ENSEMBLE not in path}
    others = [row for row in json.loads(files[REGISTRY])["models"] if "seed" not in row["id"]]
    return {**files, REGISTRY: dumped(registry(*others))}


def windows_lines(files: Files) -> Files:
    """Lines end with CR LF in what git keeps, not only in the work tree."""
    texts = {path: files[path].replace(b"\n", b"\r\n") for path in (REGISTRY, PAGE)}
    return {**files, **texts, ".gitattributes": b"* -text\n"}


def another_order(files: Files) -> Files:
    rows = json.loads(files[REGISTRY])["models"]
    return {**files, REGISTRY: dumped(registry(*rows[::-1]))}


def bare_rows(files: Files) -> Files:
    """Rows without what their test has come to ask of every row."""
    asked = ("license", "license_url", "sigstore_bundle")
    rows = [
        {key: value for key, value in row.items() if "seed" not in row["id"] or key not in asked}
        for row in json.loads(files[REGISTRY])["models"]
    ]
    return {**files, REGISTRY: dumped(registry(*rows))}


def through_lfs(files: Files) -> Files:
    """Members kept as pointers, in a clone that has no git-lfs."""
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    members = {path: pointer for path in files if path.endswith(".onnx")}
    return {**files, **members, ".gitattributes": b"*.onnx filter=lfs diff=lfs merge=lfs -text\n"}


TREES: dict[str, Callable[[Files], Files]] = {
    "has the rows, half of it stale": dict,
    "lacks the ensemble": no_ensemble,
    "has Windows lines": windows_lines,
    "has another order": another_order,
    "has rows without signature and licence": bare_rows,
    "keeps members elsewhere": through_lfs,
    "has no page and no schema": lambda files: {
        path: data for path, data in files.items() if path != PAGE and "schema" not in path
    },
    "has our section already": lambda files: {
        **files,
        PAGE: f"# Theirs\n\n{BEGIN}\nolder\n{END}\n\nBelow.\n".encode(),
    },
    "has a damaged manifest": lambda files: {**files, f"{TINY}/{ENSEMBLE}.json": b"{"},
}


@pytest.mark.parametrize("name", TREES)
def test_git_applies_it_their_rules_hold_and_the_rest_stays(
    tmp_path: Path, candidate: UPath, name: str
) -> None:
    before = TREES[name](fork_files())
    fork = make_fork(tmp_path / "fork", before)
    made = hand_over(candidate, fork)
    after = applied(fork, made.patch)

    assert broken_rules(after) == ()
    assert not DEAD & set(after)
    for path in MEMBERS:
        assert after[path] == (candidate / Path(path).name).read_bytes()
    assert after[VERDICT] == (candidate / "PROMOTE.json").read_bytes()
    assert after[CALIBRATION] == (candidate / "calibration.json").read_bytes()
    assert after[THRESHOLDS] == (candidate / Path(THRESHOLDS).name).read_bytes()
    untouched = set(before) - set(made.changed)
    assert all(after[path] == before[path] for path in untouched)
    ours = {*MEMBERS, *DEAD, VERDICT, CALIBRATION, f"{TINY}/{ENSEMBLE}.json", REGISTRY, PAGE}
    ours |= {THRESHOLDS}
    assert {path for path in made.changed if "changelog.d" not in path} <= ours
    rows = {row["id"]: row for row in json.loads(after[REGISTRY])["models"]}
    for row in json.loads(before[REGISTRY])["models"]:
        assert "seed" in row["id"] or rows[row["id"]] == row
    assert after[REGISTRY].count(b"\r\n") == (
        after[REGISTRY].count(b"\n") if name == "has Windows lines" else 0
    )


def test_their_tree_is_never_written(candidate: UPath, fork: Path) -> None:
    os.utime(fork / REGISTRY, (1, 1))  # an index that git would like to refresh
    before = contents(fork, with_git=True)
    hand_over(candidate, fork)
    assert contents(fork, with_git=True) == before


def test_applied_and_committed_there_is_nothing_left_to_change(
    candidate: UPath, fork: Path
) -> None:
    made = hand_over(candidate, fork)
    applied(fork, made.patch)
    git(fork, "add", "--all")
    git(fork, "commit", "--quiet", "--message", "flip")
    assert hand_over(candidate, fork).patch == b""


def test_same_tree_and_candidate_give_the_same_patch(candidate: UPath, fork: Path) -> None:
    assert hand_over(candidate, fork) == hand_over(candidate, fork)


def test_clone_with_windows_lines_in_its_work_tree_takes_the_patch(
    tmp_path: Path, candidate: UPath
) -> None:
    make_fork(tmp_path / "origin", {**fork_files(), ".gitattributes": b"* text=auto\n"})
    clone = tmp_path / "clone"
    subprocess.run(
        ["git", "-c", "core.autocrlf=true", "clone", "-q", tmp_path / "origin", clone], check=True
    )
    git(clone, "config", "core.autocrlf", "true")
    assert b"\r\n" in (clone / REGISTRY).read_bytes()
    made = hand_over(candidate, clone)
    applied(clone, made.patch)
    git(clone, "add", "--all")
    kept = json.loads(git(clone, "show", f":{REGISTRY}"))
    assert {row["sha256"] for row in kept["models"] if "seed" in row["id"]} == {
        sha256_of((candidate / f"{ENSEMBLE}_seed{seed}.onnx").read_bytes()) for seed in SEEDS
    }


# --- what is refused ---------------------------------------------------------------------------


def dirty(fork: Path) -> None:
    (fork / REGISTRY).write_bytes((fork / REGISTRY).read_bytes() + b"\n")


def in_the_way(fork: Path) -> None:
    (fork / CALIBRATION).write_bytes(b"{}")


def changed_sidecar(**more: Any) -> Callable[[Path], None]:
    def change(fork: Path) -> None:
        (fork / f"{TINY}/{ENSEMBLE}_seed3.json").write_bytes(dumped({**old_sidecar(3), **more}))
        git(fork, "commit", "--quiet", "--all", "--message", "x")

    return change


def newer_manifest(fork: Path) -> None:
    (fork / f"{TINY}/{ENSEMBLE}.json").write_bytes(dumped({"codec_vocab_version": 3}))
    git(fork, "commit", "--quiet", "--all", "--message", "x")


def no_registry(fork: Path) -> None:
    git(fork, "rm", "--quiet", REGISTRY)
    git(fork, "commit", "--quiet", "--message", "x")


def link(fork: Path) -> None:
    (fork / REGISTRY).rename(fork / "elsewhere.json")
    (fork / REGISTRY).symlink_to("../../elsewhere.json")
    git(fork, "add", "--all")
    git(fork, "commit", "--quiet", "--message", "x")


def half_a_section(fork: Path) -> None:
    (fork / PAGE).write_text(f"# Theirs\n\n{END}\n{BEGIN}\n")
    git(fork, "commit", "--quiet", "--all", "--message", "x")


def strict_schema(fork: Path) -> None:
    path = fork / f"{TINY}/registry.schema.json"
    path.write_text(path.read_text().replace('"maxLength": 512', '"maxLength": 20'))
    git(fork, "commit", "--quiet", "--all", "--message", "x")


SPOILED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a dirty path": (dirty, "expected no uncommitted changes where the patch goes"),
    "a file in the way": (in_the_way, f"found {CALIBRATION}"),
    "a vocabulary of version 3": (
        changed_sidecar(encoder_vocab_version=3),
        "expected '.*seed3.json' to have encoder vocabulary version 2, found version 3",
    ),
    "another order of names": (
        changed_sidecar(encoder_vocab=["unknown"]),
        "found other names under that number",
    ),
    "a manifest of version 3": (newer_manifest, "version 2, found version 3"),
    "no registry": (no_registry, "expected the registry 'model/tiny/registry.json', found none"),
    "a registry that is a link": (link, "to be a link or a folder"),
    "half a section": (half_a_section, "once each"),
    "a schema that our notes don't fit": (strict_schema, "pass its own checks, found .*too long"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_tree_is_refused_with(candidate: UPath, fork: Path, name: str) -> None:
    spoil, message = SPOILED[name]
    spoil(fork)
    with pytest.raises(UnusableInput, match=message):
        hand_over(candidate, fork)


def test_what_is_no_checkout_is_refused(tmp_path: Path, candidate: UPath, fork: Path) -> None:
    with pytest.raises(UnusableInput, match="expected a checkout, found no such folder"):
        hand_over(candidate, tmp_path / "nowhere")
    (tmp_path / "plain").mkdir()
    with pytest.raises(UnusableInput, match="expected the top of a git checkout, found none"):
        hand_over(candidate, tmp_path / "plain")
    with pytest.raises(UnusableInput, match="found a folder within one"):
        hand_over(candidate, fork / TINY)
    (tmp_path / "new").mkdir()
    git(tmp_path / "new", "init", "--quiet")
    with pytest.raises(UnusableInput, match="expected a commit to make a patch against"):
        hand_over(candidate, tmp_path / "new")


def test_uncommitted_changes_elsewhere_are_nobodys_business(candidate: UPath, fork: Path) -> None:
    (fork / "libvmaf/src/dnn/model_loader.c").write_bytes(b"/* in the works */\n")
    assert hand_over(candidate, fork).patch


# --- their rules -------------------------------------------------------------------------------

BROKEN: dict[str, tuple[str, str, str, str]] = {
    "a forgotten manifest": (f"{TINY}/{ENSEMBLE}.json", "^.*$", "{}", "names other members"),
    "another scaler": (f"{TINY}/{ENSEMBLE}.json", r'"feature_mean": \[\s*', "\\g<0>9", "feature_m"),
    "another digest": (REGISTRY, r'seed1.onnx",\s*"opset": 17,\s*"sha256": "', "\\g<0>0", "sha256"),
    "a row with smoke": (REGISTRY, '"smoke": false', '"smoke": true', "smoke false"),
    "a row without signature": (REGISTRY, "sigstore_bundle", "signature", "sigstore_bundle"),
    "a HOLD": (VERDICT, '"PROMOTE"', '"HOLD"', "says HOLD"),
    "a mean that is too low": (VERDICT, r'"mean_plcc": 0.', '"mean_plcc": 0.8', "isn't 0.95"),
    "a spread that is too wide": (VERDICT, r'"plcc_spread": 0', '"plcc_spread": 0.1', "or less"),
    "a verdict without corpus": (VERDICT, r'"present": true', '"present": false', "no corpus"),
    "a gate that hasn't passed": (
        f"{TINY}/{ENSEMBLE}_seed2.json",
        '"passed": true',
        '"passed": false',
        "hasn't passed",
    ),
    "another kind first": (
        f"{TINY}/{ENSEMBLE}_seed2.json",
        r"^\{",
        '{"x": {"kind": "nr"},',
        "the first 'kind'",
    ),
    "another calibration": (CALIBRATION, r"^\{", "{ ", "isn't the calibration"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_rules_find(candidate: UPath, fork: Path, name: str) -> None:
    after = applied(fork, hand_over(candidate, fork).patch)
    path, pattern, replacement, told = BROKEN[name]
    flags = re.DOTALL if pattern == "^.*$" else re.NOFLAG
    text, times = re.subn(pattern, replacement, after[path].decode(), flags=flags)
    assert times
    problems = broken_rules({**after, path: text.encode()})
    assert any(told in problem.sentence for problem in problems), problems


def test_signature_before_its_model_is_where_their_reader_misses_it(
    candidate: UPath, fork: Path
) -> None:
    after = applied(fork, hand_over(candidate, fork).patch)
    document = json.loads(after[REGISTRY])
    last = document["models"][-1]
    document["models"][-1] = {"sigstore_bundle": last.pop("sigstore_bundle"), **last}
    (problem,) = broken_rules({**after, REGISTRY: dumped(document)})
    assert "before 'onnx'" in problem.sentence


def test_what_was_broken_before_is_told_and_not_ours(tmp_path: Path, candidate: UPath) -> None:
    unsigned = their_row("transnet_v2")
    del unsigned["sigstore_bundle"]
    files = fork_files()
    rows = json.loads(files[REGISTRY])["models"]
    fork = make_fork(tmp_path / "fork", {**files, REGISTRY: dumped(registry(unsigned, *rows))})
    made = hand_over(candidate, fork)
    assert any("Already so" in told and "'transnet_v2'" in told for told in made.left)
    assert b"transnet_v2.onnx.sigstore.json" not in applied(fork, made.patch)[REGISTRY]


# --- what goes with it -------------------------------------------------------------------------


def test_added_rows_have_their_keys_in_order_and_a_signatures_name(
    tmp_path: Path, candidate: UPath
) -> None:
    fork = make_fork(tmp_path / "fork", no_ensemble(fork_files()))
    made = hand_over(candidate, fork)
    assert len(made.proposal.added) == 5
    rows = json.loads(applied(fork, made.patch)[REGISTRY])["models"]
    for row in rows:
        assert list(row) == sorted(row)
        assert row["sigstore_bundle"] == f"{row['onnx']}.sigstore.json"
        assert row["license_url"].startswith("https://")


def test_what_they_settled_in_a_row_stays(candidate: UPath, fork: Path) -> None:
    rows = json.loads(applied(fork, hand_over(candidate, fork).patch)[REGISTRY])["models"]
    assert {row["license_url"] for row in rows} == {"https://example.org/LICENSE"}


def test_pull_request_has_six_items_the_corpus_and_every_file(candidate: UPath, fork: Path) -> None:
    made = hand_over(candidate, fork)
    verdict = json.loads((candidate / "PROMOTE.json").read_text())
    assert missing_deliverables(made.pull_request, made.changed) == ()
    assert missing_deliverables(made.pull_request, []) == (
        "CHANGELOG fragment (ticked, and not in the patch)",
    )
    assert len(missing_deliverables("nothing", made.changed)) == 6
    assert verdict["corpus"]["sha256"] in made.pull_request
    assert f"mean PLCC {verdict['gate']['mean_plcc']:.6f}" in made.pull_request
    for path in made.changed:
        assert f"`{path}`" in made.pull_request
    assert any("sigstore" in told for told in made.left)


def test_example_on_the_page_runs_in_their_tree(candidate: UPath, fork: Path) -> None:
    page = applied(fork, hand_over(candidate, fork).patch)[PAGE].decode()
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    ended = subprocess.run(
        [sys.executable, "-c", example], cwd=fork, capture_output=True, text=True, check=True
    )
    mu, lower, upper = map(float, re.findall(r"\[([-\d.]+)\]", ended.stdout))
    assert lower < mu < upper


def test_section_is_replaced_and_text_round_it_stays(tmp_path: Path, candidate: UPath) -> None:
    page = f"# Theirs\r\n\r\n{BEGIN}\r\nolder\r\n{END}\r\n\r\nBelow.\r\n".encode()
    fork = make_fork(tmp_path / "fork", {**fork_files(), PAGE: page, ".gitattributes": b"* -text"})
    after = applied(fork, hand_over(candidate, fork).patch)[PAGE]
    assert after.startswith(b"# Theirs\r\n\r\n<!--")
    assert after.endswith(b"-->\r\n\r\nBelow.\r\n")
    assert b"older\r\n" not in after
    assert after.count(b"\n") == after.count(b"\r\n")


def test_older_candidate_is_proposed_as_a_rollback(candidate: UPath, fork: Path) -> None:
    assert not hand_over(candidate, fork).rollback
    younger = {**json.loads((fork / VERDICT).read_text()), "generated_at_utc": "2999-01-01T00:00Z"}
    (fork / VERDICT).write_bytes(dumped(younger))
    git(fork, "commit", "--quiet", "--all", "--message", "x")
    made = hand_over(candidate, fork)
    assert made.rollback
    assert "This is a rollback" in made.pull_request
    assert broken_rules(applied(fork, made.patch)) == ()


# --- the command -------------------------------------------------------------------------------


def call(*arguments: object) -> tuple[int, bytes, str]:
    ended = CliRunner().invoke(app, ["propose", *map(str, arguments)])
    return ended.exit_code, ended.stdout_bytes, ended.stderr


def test_command_writes_the_patch_and_its_text(
    tmp_path: Path, candidate: UPath, fork: Path
) -> None:
    code, _, told = call("--tree", fork, "--candidate", candidate, "--out", tmp_path / "p.patch")
    assert (code, "left to a person: Signatures" in told) == (0, True)
    assert applied(fork, (tmp_path / "p.patch").read_bytes())[CALIBRATION]
    assert (tmp_path / "p.patch.md").read_text().startswith(f"# {ENSEMBLE}")


def test_command_prints_the_patch_alone_on_stdout(candidate: UPath, fork: Path) -> None:
    code, patch, told = call("--tree", fork, "--candidate", candidate)
    assert code == 0
    assert "ADR-0108" in told
    assert applied(fork, patch)[CALIBRATION]


@pytest.mark.parametrize("options", [(), ("--tree", "x", "--registry", "y"), ("--tree", "")])
def test_command_wants_a_tree_or_a_registry(candidate: UPath, options: tuple[str, ...]) -> None:
    code, patch, told = call(*options, "--candidate", candidate)
    assert (code, patch) == (2, b"")
    assert "expected" in told
