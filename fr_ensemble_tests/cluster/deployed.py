"""The topology of deploy/ while a test runs, and what one asks of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import psutil
import pytest
import yaml

from deploy.topology import Topology, Unavailable
from fr_ensemble_tests.cluster.services import KEY, SECRET, require_postgres, weed

#: What an .env file beside the compose file would hold.
TOLD = {
    "FR_ENSEMBLE_TOKEN": "a-token-of-the-tests",
    "DATABASE_PASSWORD": SECRET,
    "STORE_KEY": KEY,
    "STORE_SECRET": SECRET,
}
HOME = "s3://fr-ensemble/home"
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}
#: Ray notices after up to seven minutes that an answer was lost with a connection.
_PATIENCE_S = 900.0
_RUNS = """{ runsOrError { ... on Runs { results {
  runId status jobName tags { key value } } } } }"""
_ASKED = """query($run: ID!) { runOrError(runId: $run) {
  ... on Run { jobName runConfigYaml tags { key value } } } }"""
_AGAIN = """mutation($job: String!, $config: RunConfigData!, $tags: [ExecutionTag!]!) {
  launchRun(executionParams: {
    selector: {repositoryLocationName: "fr_ensemble_assets.definitions",
      repositoryName: "__repository__", jobName: $job},
    runConfigData: $config, executionMetadata: {tags: $tags}}) {
      __typename ... on LaunchRunSuccess { run { runId } } ... on Error { message } } }"""
_RANGE = "dagster/asset_partition_range"
_CANCEL = """mutation($runs: [String!]!) {
  terminateRuns(runIds: $runs, terminatePolicy: SAFE_TERMINATE) {
    __typename ... on Error { message } } }"""
_PUT = "import sys, s3fs; s3fs.S3FileSystem().put_file(*sys.argv[1:])"
_LIST = "import sys, s3fs; print(*s3fs.S3FileSystem().find(sys.argv[1]), sep='\\n')"
_FORGET = """import sys, s3fs
fs = s3fs.S3FileSystem()
fs.rm([name for place in sys.argv[1:] for name in fs.find(place)])"""
_COPY = """import sys
from pathlib import Path
from fr_ensemble_assets.candidate.verify import verify_candidate
from fr_ensemble_assets.foundation import store, versions
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_tests.conftest import copy_of
home, to = Home.at(), Path(sys.argv[1])
copy_of(home.store, to / 'store')
for candidate in store.folders(home.candidates):
    copy_of(versions.standing(candidate), to / 'candidates' / candidate.name)
    print(*verify_candidate(candidate).problems)"""


class Deployed:
    """All services of the compose file, on hosts of their own."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self._front = f"http://{topology.outside}:3000"

    # --- the store, from inside ---

    def put(self, file: Path, name: str) -> None:
        self._python(_PUT, str(file), f"{HOME}/{name}")

    def lying(self, place: str) -> list[str]:
        return self._python(_LIST, f"{HOME}/{place}").split()

    def forget(self, *places: str) -> None:
        """Remove all objects there."""
        self._python(_FORGET, *(f"{HOME}/{place}" for place in places))

    def copy(self, to: Path) -> None:
        """What is kept and published, as files; a publication that isn't whole is told."""
        assert self._python(_COPY, str(to)).split() == []

    def _python(self, code: str, *arguments: str) -> str:
        done = self.topology.run("platform", ["python", "-c", code, *arguments])
        assert done.returncode == 0, done.stderr
        return done.stdout

    # --- Dagster, from outside ---

    def ask(self, query: str, **variables: Any) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        token = f"Bearer {TOLD['FR_ENSEMBLE_TOKEN']}"
        headers = {"Content-Type": "application/json", "Authorization": token}
        with urlopen(Request(f"{self._front}/graphql", body, headers), timeout=30) as answer:
            return json.load(answer)["data"]

    def answer(self, path: str, token: str = "") -> int:
        """The status by which the front answers."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            with urlopen(Request(f"{self._front}{path}", None, headers), timeout=30) as answer:
                return int(answer.status)
        except HTTPError as error:
            return error.code

    def runs(self) -> list[dict[str, Any]]:
        """All runs, the newest first; none while nobody answers."""
        try:
            found = self.ask(_RUNS)["runsOrError"]["results"]
        except (URLError, OSError, TypeError, KeyError, ValueError):
            return []
        return list(found)

    def run_again(self, run_id: str) -> str:
        """Ask for the same anew; a re-execution would count as a retry, of which there are two."""
        asked = self.ask(_ASKED, run=run_id)["runOrError"]
        config = json.dumps(yaml.safe_load(asked["runConfigYaml"]))
        tags = [tag for tag in asked["tags"] if tag["key"].startswith(_RANGE)]
        told = self.ask(_AGAIN, job=asked["jobName"], config=config, tags=tags)["launchRun"]
        assert told["__typename"] == "LaunchRunSuccess", told
        return str(told["run"]["runId"])

    def cancel(self, run_ids: Sequence[str]) -> None:
        told = self.ask(_CANCEL, runs=list(run_ids))["terminateRuns"]
        assert told["__typename"] == "TerminateRunsResult", told

    def wait_for(self, seen: Callable[[], Any], what: str) -> Any:
        until = time.monotonic() + _PATIENCE_S
        while not (found := seen()):
            told = {name: self.topology.said(name, 600) for name in ("platform", "head")}
            assert time.monotonic() < until, f"waited in vain until {what}: {self.runs()} {told}"
            time.sleep(0.5)
        return found

    def succeeded(self, run_id: str) -> bool:
        """Whether a run has, or its retry; false while nobody knows."""
        tries = {run_id}
        for run in reversed(found := self.runs()):
            if told_by(run, "dagster/parent_run_id") in tries:
                tries.add(run["runId"])
        return any(run["status"] == "SUCCESS" for run in found if run["runId"] in tries)

    def all_ended(self) -> bool:
        statuses = [run["status"] for run in self.runs()]
        return bool(statuses) and set(statuses) <= ENDED

    def notices(self) -> str:
        """What the platform told of failures."""
        log = self.topology.folder / "hosts" / "platform" / "state" / "logs" / "failures.log"
        return log.read_text("utf-8") if log.exists() else ""

    # --- what dies ---

    def kill_process(self, host: str, containing: str) -> None:
        """kill -9 of the one process of a host whose command line contains this."""
        found = []
        for pid in self.topology.pids(host):
            with suppress(psutil.Error):
                if containing in " ".join(psutil.Process(pid).cmdline()):
                    found.append(pid)
        (pid,) = found
        os.kill(pid, signal.SIGKILL)

    def start_again(self, *hosts: str) -> None:
        for host in hosts:
            self.topology.start(host)
        for host in hosts:
            self.topology.wait_until_ready(host)


def told_by(run: Mapping[str, Any], tag: str) -> str:
    return next((str(t["value"]) for t in run["tags"] if t["key"] == tag), "")


@contextmanager
def deployed(workers: int) -> Iterator[Deployed]:
    """Everything up while the block runs; skips where this machine doesn't permit it."""
    weed()
    require_postgres()
    # Short, since sockets lie in it: a path of one has at most 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="fr", dir="/tmp"))
    made = Topology(folder, TOLD, workers)
    try:
        made.build()
        made.up()
        yield Deployed(made)
    except Unavailable as error:
        pytest.skip(str(error))
    finally:
        made.down()
        shutil.rmtree(folder, ignore_errors=True)
