"""The three services: what each is started with, when it is ready, what it said last."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from fr_ensemble_assets.doors.dagster_internals import DAEMON_MODULE
from fr_ensemble_assets.foundation.home import HOME_VARIABLE, LOCAL_VARIABLE, Home
from fr_ensemble_assets.operations.front.policy import TOKEN_VARIABLE, Serving
from fr_ensemble_assets.operations.front.service import front_command
from fr_ensemble_assets.operations.serving.sessions import Session

MODULE = "fr_ensemble_assets.definitions"
_PATIENCE_S = 15.0
_START_S = 120.0
_LOG_BYTES_MAX = 10_000_000


@dataclass
class Service:
    """One of the three, and its life so far.

    Attributes
    ----------
    environment
        What this one alone is told, besides what all are.
    log
        Where its output goes.
    began
        When its process was started (seconds since 1970); 0 if it never was.
    short_lives
        How many of its processes in a row ended soon after they were started.
    """

    name: str
    command: list[str]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None)
    began: float = 0.0
    short_lives: int = 0

    @property
    def ended(self) -> bool:
        """Whether it was started and has ended."""
        return self.process is not None and self.process.poll() is not None

    def start(self) -> Session | None:
        """Start it in a session of its own, which is returned; ``None`` if it ended at once."""
        _turn_over(self.log)
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.began = time.time()
        try:
            return self.process.pid, psutil.Process(self.process.pid).create_time()
        except psutil.NoSuchProcess:
            return None

    def wait_until(self, ready: Callable[[], bool]) -> bool:
        """Wait until it is ready; false if it ended, or takes too long."""
        until = time.time() + _START_S
        while not ready():
            if self.ended or time.time() > until:
                return False
            time.sleep(0.1)
        return True

    def terminate(self) -> None:
        """Ask it to end, and give it a while."""
        if self.process is not None and not self.ended:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_PATIENCE_S)

    def complaint(self, expected: str) -> str:
        """One sentence: what was expected of it, and its last words."""
        lines = self.log.read_text("utf-8", "replace").splitlines() if self.log.exists() else []
        last = next((line.strip() for line in reversed(lines) if line.strip()), "nothing")
        return (
            f"the {self.name}: expected that {expected}, found that it didn't; its last words: "
            f"{last} (all of them: {self.log})."
        )


@dataclass(frozen=True)
class Services:
    """The code server, which the other two ask for what there is, the web server, the daemon."""

    code: Service
    web: Service
    daemon: Service
    socket: Path

    @property
    def all(self) -> tuple[Service, Service, Service]:
        return self.code, self.web, self.daemon

    def code_listens(self) -> bool:
        """Whether the code server can be asked."""
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.socket))
            except OSError:
                return False
        return True


def services_over(home: Home, serving: Serving, folder: Path) -> Services:
    """The three over ``home``, none of them started; ``folder`` takes sockets and settings."""
    code = folder / "code.sock"
    # Named as `dagster dev -m` names it, so that sensors keep their state between the two.
    workspace = folder / "workspace.yaml"
    workspace.write_text(
        "load_from:\n  - grpc_server:\n"
        f"      socket: {json.dumps(str(code))}\n      location_name: {MODULE}\n"
    )
    python = [sys.executable, "-m"]
    common = {
        **{name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE},
        "DAGSTER_HOME": str(home.dagster),
        HOME_VARIABLE: str(home.root),
        LOCAL_VARIABLE: str(home.local),
    }

    def service(name: str, command: list[str], more: Mapping[str, str] | None = None) -> Service:
        log = Path(str(home.logs)) / f"{name.replace(' ', '-')}.log"
        return Service(name, command, {**common, **(more or {})}, log)

    return Services(
        code=service(
            "code server",
            [*python, "dagster", "api", "grpc", "-m", MODULE, "--socket", str(code)],
        ),
        web=service(
            "web server",
            front_command(serving, folder, workspace),
            {TOKEN_VARIABLE: os.environ.get(TOKEN_VARIABLE, "")},
        ),
        daemon=service("daemon", [*python, DAEMON_MODULE, "run", "-w", str(workspace)]),
        socket=code,
    )


def _turn_over(log: Path) -> None:
    """Keep the log before this one when it has grown large."""
    if log.exists() and log.stat().st_size > _LOG_BYTES_MAX:
        log.replace(log.with_suffix(".log.1"))
