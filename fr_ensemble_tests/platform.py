"""A real `fr-ensemble ui` over a home: web server, daemon and code server, in processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psutil

COMMAND = str(Path(sys.executable).with_name("fr-ensemble"))
_CHECKS = """query($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) { ... on AssetNode { assetChecksOrError { ... on AssetChecks {
    checks { name executionForLatestMaterialization {
      status evaluation { success description } } } } } } } }"""


class Platform:
    """Started with :func:`platform`."""

    def __init__(self, home: Path, *arguments: str, token: str = "") -> None:
        self.home, self.arguments, self.token = home, arguments, token
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.log = home.parent / "ui.log"

    def start(self) -> None:
        before = len(self.told())
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [
                    COMMAND,
                    "ui",
                    "--port",
                    str(self.port),
                    "--home",
                    str(self.home),
                    *self.arguments,
                ],
                env={**os.environ, "FR_ENSEMBLE_TOKEN": self.token},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.wait_for(lambda: self.address in self.told()[before:], "the web server answers")

    def stop(self) -> int:
        """Ctrl-C; returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)

    def told(self) -> str:
        """What the terminal shows."""
        return self.log.read_text() if self.log.exists() else ""

    def wait_for(self, seen: Callable[[], Any], what: str, seconds: float = 150) -> Any:
        """Look again and again until something is seen."""
        until = time.monotonic() + seconds
        while not (found := seen()):
            assert time.monotonic() < until, f"waited in vain until {what}: {self.told()}"
            assert self.process.poll() is None, self.told()
            time.sleep(0.25)
        return found

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Type a command over the same home."""
        return subprocess.run(
            [COMMAND, *arguments, "--home", str(self.home)],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "FR_ENSEMBLE_TOKEN": self.token},
        )

    # --- what Dagster says ---

    def graphql(self, query: str, **variables: Any) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = Request(f"{self.address}/graphql", body, {"Content-Type": "application/json"})
        with urlopen(request, timeout=30) as answer:
            return json.load(answer)["data"]

    def runs(self) -> list[dict[str, Any]]:
        """All runs, the newest first."""
        query = "{runsOrError{... on Runs{results{runId status jobName tags{key value}}}}}"
        found = self.graphql(query)["runsOrError"]["results"]
        return [{**run, "tags": {tag["key"]: tag["value"] for tag in run["tags"]}} for run in found]

    def checks(self, asset: str) -> dict[str, tuple[bool, str]]:
        """Of the latest materialisation: passed, and the description."""
        node = self.graphql(_CHECKS, key={"path": [asset]})["assetNodeOrError"]
        latest = {
            check["name"]: check["executionForLatestMaterialization"]
            for check in node["assetChecksOrError"]["checks"]
        }
        return {
            name: (execution["evaluation"]["success"], execution["evaluation"]["description"])
            for name, execution in latest.items()
            if execution is not None and execution["evaluation"] is not None
        }

    # --- its processes ---

    def processes(self, containing: str = "") -> list[psutil.Process]:
        """All that serve this home or work for it, by a part of their command line."""
        found = []
        for process in psutil.process_iter():
            try:
                environment = process.environ()
                command = " ".join(process.cmdline())
            except psutil.Error:
                continue
            if environment.get("FR_ENSEMBLE_HOME") == str(self.home) and containing in command:
                found.append(process)
        return found

    def kill(self, containing: str) -> None:
        """kill -9 the one process whose command line contains this."""
        (process,) = self.processes(containing)
        process.kill()


@contextmanager
def platform(home: Path, *arguments: str, token: str = "") -> Iterator[Platform]:
    """Serve ``home`` while the block runs; afterwards no process is left."""
    served = Platform(home, *arguments, token=token)
    served.start()
    try:
        yield served
    finally:
        if served.process.poll() is None:
            served.stop()
        for process in served.processes():
            process.kill()
