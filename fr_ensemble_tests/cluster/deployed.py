"""The topology of deploy/ while a test runs, and what one asks of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
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

from deploy.topology import Topology, Unavailable
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_tests.cluster.services import KEY, SECRET, require_postgres, weed

#: What an .env file beside the compose file would hold.
TOLD = {
    "FR_ENSEMBLE_TOKEN": "a-token-of-the-tests",
    "DATABASE_PASSWORD": SECRET,
    "STORE_KEY": KEY,
    "STORE_SECRET": SECRET,
}
BUCKET, HOME = "s3://fr-ensemble", "s3://fr-ensemble/home"
#: What is printed is not folded to a terminal's width.
WIDE = {"COLUMNS": "200", "NO_COLOR": "1"}
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}
_PATIENCE_S = 600.0
_RUNS = """{ runsOrError { ... on Runs { results {
  runId status jobName tags { key value } } } } }"""
_LAUNCH = """mutation($job: String!, $config: RunConfigData!, $tags: [ExecutionTag!]!) {
  launchRun(executionParams: {
    selector: {repositoryLocationName: "fr_ensemble_assets.definitions",
      repositoryName: "__repository__", jobName: $job},
    runConfigData: $config, executionMetadata: {tags: $tags}}) {
      __typename ... on LaunchRunSuccess { run { runId } } ... on Error { message } } }"""
_FAILURES = """{ runsOrError { ... on Runs { results { eventConnection(limit: 1000) { events {
  ... on RunFailureEvent { message } } } } } } }"""
_RANGE = "dagster/asset_partition_range"
_CANCEL = """mutation($runs: [String!]!) {
  terminateRuns(runIds: $runs, terminatePolicy: SAFE_TERMINATE) {
    __typename ... on Error { message } } }"""
_PUT = "import sys, s3fs; s3fs.S3FileSystem().put_file(*sys.argv[1:])"
_AWAIT = """import re, sys, time, s3fs
fs = s3fs.S3FileSystem(use_listings_cache=False)
while not any(re.search(sys.argv[2], name) for name in fs.find(sys.argv[1])):
    time.sleep(0.2)"""
_CLOSE = """from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.operations.instance import close_dead_runs, open_instance
home = Home.at()
home.prepare()
with open_instance(home) as instance:
    print(close_dead_runs(instance))"""
_FORGET = """import sys, s3fs
fs = s3fs.S3FileSystem()
if names := [name for place in sys.argv[1:] for name in fs.find(place)]:
    fs.rm(names)"""
_COPY = """import sys
from pathlib import Path
from fr_ensemble_assets.candidate.verify import verify_candidate
from fr_ensemble_assets.foundation import objects, store, versions
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_tests.conftest import copy_of
home, to = Home.at(), Path(sys.argv[1])
copy_of(home.store, to / 'store')
for candidate in store.folders(home.candidates):
    if not objects.under(candidate):  # a folder outlives its objects for a while
        continue
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

    def wait_for_object(self, named: str) -> None:
        """Until something lies there whose name is like this; one process that looks and looks."""
        self._python(_AWAIT, HOME, named)

    def forget(self, *places: str) -> None:
        """Remove all objects there."""
        self._python(_FORGET, *(f"{HOME}/{place}" for place in places))

    def copy(self, to: Path, home: str = HOME) -> None:
        """What is kept and published, as files; a publication that isn't whole is told."""
        problems = self._python(_COPY, str(to), FR_ENSEMBLE_HOME=home)
        assert problems.split() == [], problems

    def _python(self, code: str, *arguments: str, **environment: str) -> str:
        within = ["timeout", f"{_PATIENCE_S:.0f}", "python", "-c", code]
        done = self.topology.run("platform", [*within, *arguments], **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    # --- what one types, on any host ---

    def type(self, host: str, home: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``fr-ensemble`` over another home in the store, with a local folder of its own."""
        local = f"{self.topology.folder}/state/{home}"
        told = {"FR_ENSEMBLE_HOME": f"{BUCKET}/{home}", "FR_ENSEMBLE_LOCAL": local, **WIDE}
        return self.topology.run(host, ["fr-ensemble", *arguments], **told)

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

    def statuses(self) -> dict[str, str]:
        return {run["runId"]: run["status"] for run in self.runs()}

    def launch(self, corpus: Path) -> str:
        """Ask for a run over a corpus, as the inbox' sensor does; returns its id."""
        config = json.dumps({"ops": {"corpus": {"config": {"path": str(corpus)}}}})
        seeds = {"start": ENSEMBLE.units[0], "end": ENSEMBLE.units[-1]}
        tags = [{"key": f"{_RANGE}_{end}", "value": str(seed)} for end, seed in seeds.items()]
        told = self.ask(_LAUNCH, job="train_ensemble", config=config, tags=tags)["launchRun"]
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

    def given_up(self) -> list[str]:
        """What the daemon says of runs that it took for dead, be they done by now."""
        runs = self.ask(_FAILURES)["runsOrError"]["results"]
        events = [event for run in runs for event in run["eventConnection"]["events"]]
        return [e["message"] for e in events if "worker" in (e.get("message") or "")]

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

    def closed_as_dead(self, host: str) -> int:
        """How many runs a command on this host closes, since it finds that nobody works on them."""
        done = self.topology.run(host, ["python", "-c", _CLOSE])
        assert done.returncode == 0, done.stderr
        return int(done.stdout)

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
