"""The attacks that the web server let through once, replayed against a real `fr-ensemble ui`."""

from __future__ import annotations

import http.client
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from fr_ensemble_assets.foundation.files import sha256_of_file
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_tests.conftest import Chain
from fr_ensemble_tests.platform import Platform, platform

pytestmark = pytest.mark.live

_LAUNCH = """mutation($asset: String!, $job: String!, $config: RunConfigData!) {
  launchRun(executionParams: {
    selector: {repositoryName: "__repository__", pipelineName: $job,
               assetSelection: {path: [$asset]},
               repositoryLocationName: "fr_ensemble_assets.definitions"}
    runConfigData: $config}) {
    __typename ... on RunConfigValidationInvalid { errors { message } } } }"""


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory, promoted_once: Chain) -> Iterator[Platform]:
    home = tmp_path_factory.mktemp("victim") / "home"
    shutil.copytree(promoted_once[0], home)
    with platform(home) as served:
        yield served


@pytest.fixture
def attackers(tmp_path: Path, victim: Platform) -> Path:
    """A home of theirs, whose ``candidates`` leads to the victim's."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "candidates").symlink_to(victim.home / "candidates")
    return theirs


def contents(home: Path) -> dict[str, str]:
    """The digest of everything that was made in a home."""
    kept = Home.at(home)
    files = [f for folder in (kept.store, kept.candidates) for f in folder.rglob("*")]
    return {str(file): sha256_of_file(file) for file in files if file.is_file()}


def ask(
    served: Platform, method: str, target: str, body: Any = None, **headers: str
) -> tuple[int, str]:
    """One request, exactly as it is written here; the status and what is told."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, target, None if body is None else json.dumps(body), sent)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def launch(asset: str, job: str, config: dict[str, Any]) -> dict[str, Any]:
    variables = {"asset": asset, "job": job, "config": config}
    return {"query": _LAUNCH, "variables": variables}


def by_get(path: str, sent: dict[str, Any]) -> str:
    asked = {"query": sent["query"], "variables": json.dumps(sent["variables"])}
    return f"{path}?{urlencode(asked)}"


def test_home_and_ffmpeg_of_an_attacker_are_refused(
    victim: Platform, attackers: Path, tmp_path: Path
) -> None:
    """By whatever way it comes: by GET, from a foreign page, and from our own."""
    executed = tmp_path / "executed"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {executed}\n")
    program.chmod(0o755)
    before, runs = contents(victim.home), victim.runs()
    for sent in (
        launch(
            *("registry_candidate", "train_ensemble"),
            {"resources": {"home": {"config": {"path": str(attackers)}}}},
        ),
        launch(
            *("reference_clips", "list_clips"),
            {"resources": {"ffmpeg": {"config": {"path": str(program)}}}},
        ),
    ):
        for path in ("/graphql", "/%67raphql", "/graphql%0A", "//graphql"):
            assert ask(victim, "GET", by_get(path, sent))[0] in (400, 405)
        foreign = {"Host": "evil.example", "Origin": "http://evil.example"}
        assert ask(victim, "GET", by_get("/graphql", sent), **foreign)[0] == 421
        assert ask(victim, "GET", by_get("/graphql", sent), Origin="http://evil.example")[0] == 403
        posting = {"Content_Type": "application/json"}
        assert ask(victim, "POST", "/graphql", sent, **posting, **foreign)[0] == 421
        assert ask(victim, "POST", "/graphql", sent, **posting, Origin="null")[0] == 403
        assert ask(victim, "POST", "/graphql", sent, Content_Type="text/plain")[0] == 415
        # From our own page, or a command: the schema has no such field.
        refused = victim.graphql(sent["query"], **sent["variables"])["launchRun"]
        assert refused["__typename"] == "RunConfigValidationInvalid"
        assert 'unexpected config entry "path"' in refused["errors"][0]["message"]
    assert victim.runs() == runs
    assert contents(victim.home) == before
    assert not executed.exists()


def test_reported_corpus_is_refused_and_breaks_nothing(victim: Platform) -> None:
    standing = json.loads(victim.command("status", "--json").stdout)
    target = "/report_asset_materialization/corpus?" + urlencode(
        {"data_version": "../../../../etc"}
    )
    for way in (target, f"/{target}", target.replace("report", "%72eport")):
        assert ask(victim, "POST", way)[0] in (403, 405)
    report = {
        "query": 'mutation { reportRunlessAssetEvents(eventParams: {assetKey: {path: ["corpus"]} '
        "eventType: ASSET_MATERIALIZATION}) { __typename } }"
    }
    assert ask(victim, "POST", "/graphql", report, Content_Type="application/json")[0] == 403
    now = json.loads(victim.command("status", "--json").stdout)
    assert now == standing
    assert now["skipped_reports"] == 0
    assert "verdict: PROMOTE" in victim.command("backfill", "--seeds", "0", "--in-process").stdout


def test_reports_that_were_asked_for_still_make_no_corpus(
    tmp_path: Path, promoted_once: Chain
) -> None:
    """And another home, beyond the names of loopback: a token opens it, and nothing else does."""
    shutil.copytree(promoted_once[0], tmp_path / "home")
    token = "a-token-of-this-test"
    options = ("--allow-reports", "--host", "0.0.0.0", "--host-name", "trainer.example")
    with platform(tmp_path / "home", *options, token=token) as served:
        before = json.loads(served.command("status", "--json").stdout)
        assert before["served_at"] == served.address
        target = "/report_asset_materialization/corpus?data_version=" + quote("../../../../etc", "")
        assert ask(served, "POST", target)[0] == 401
        known = {"Authorization": f"Bearer {token}", "Host": "trainer.example"}
        assert ask(served, "POST", target, **known) == (200, "{}")
        now = json.loads(served.command("status", "--json").stdout)
        assert now == {**before, "skipped_reports": 1}
        assert now["corpus_sha256"] is not None
        told = served.command("status").stdout
        assert "1 materialisations of 'corpus' were reported, not made by a run" in " ".join(
            told.split()
        )
        assert token not in "".join(
            path.read_text("utf-8", "replace") for path in (tmp_path / "home/logs").iterdir()
        )
        code_server = served.processes("dagster api grpc")[0]
        assert "FR_ENSEMBLE_TOKEN" not in code_server.environ()


def test_ui_beyond_loopback_wants_a_token(tmp_path: Path) -> None:
    served = Platform(tmp_path / "home")
    done = served.command("ui", "--host", "0.0.0.0")
    assert done.returncode == 2
    assert "FR_ENSEMBLE_TOKEN: expected a token of at least 16" in done.stderr
