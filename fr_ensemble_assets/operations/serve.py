"""Dagster's three services over one home: started, kept alive, ended without a trace.

The code server, the web server behind its front and the daemon each are a process of ours, in a
session of its own. One that dies, for whatever reason, is started again; ``dagster dev`` ends them
all with the web server and the daemon, and does not notice a dead code server. Runs are children of
the code server and outlive it; the daemon's monitoring (``doors/workers.py``) notices those that
are dead.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import psutil
from upath import UPath

from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import parse_json
from fr_ensemble_assets.foundation.home import HOME_VARIABLE, Home
from fr_ensemble_assets.operations.front.policy import TOKEN_VARIABLE, Serving, policy_of
from fr_ensemble_assets.operations.front.service import answers, front_command, require_free
from fr_ensemble_assets.operations.instance import close_dead_runs, open_instance

MODULE = "fr_ensemble_assets.definitions"
_FOLDER_PREFIX = "fr-ensemble-"
_LOCK_FILE, _NOTE_FILE = "ui.lock", "ui.json"
_SECONDS_BETWEEN_LOOKS = 0.5
#: Services that die within this time of their start, so often in a row, won't be mended by another.
_SHORT_LIFE_S, _SHORT_LIVES = 10.0, 5
_PATIENCE_S = 15.0
_START_S = 120.0
_LOG_BYTES_MAX = 10_000_000


@dataclass
class _Service:
    """One of the three, and its life so far."""

    name: str
    command: list[str]
    #: What this one alone is told, besides what all are.
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    born: float = 0.0
    short_lives: int = 0

    @property
    def ended(self) -> bool:
        """Whether it was started and has ended."""
        return self.process is not None and self.process.poll() is not None


@dataclass
class _Platform:
    """Everything that was started over a home by this process."""

    home: Home
    address: str
    folder: Path
    services: list[_Service]
    environment: Mapping[str, str]
    #: Every session that was ever started: a run may outlive its code server in one.
    sessions: list[tuple[int, float]] = field(default_factory=list)

    def start(self, service: _Service) -> None:
        if service.name == "daemon":
            with open_instance(self.home) as instance:
                close_dead_runs(instance)
        log = _log_file(self.home, service.name)
        with log.open("ab") as output:
            service.process = subprocess.Popen(
                service.command,
                env={**self.environment, **service.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        service.born = time.time()
        with contextlib.suppress(psutil.NoSuchProcess):
            created = psutil.Process(service.process.pid).create_time()
            self.sessions.append((service.process.pid, created))
        note = {"address": self.address, "sessions": self.sessions, "folder": str(self.folder)}
        store.put_json(UPath(self.home.dagster / _NOTE_FILE), note)


def serve(
    home: Home, serving: Serving, say: Callable[[str], None], warn: Callable[[str], None]
) -> None:
    """Serve until interrupted (SIGINT, SIGTERM).

    Raises
    ------
    UnusableInput
        If another process serves this home, the port is taken, a service doesn't stay alive, or
        it is to be reached from elsewhere without a token.
    """
    policy_of(serving, os.environ.get(TOKEN_VARIABLE, ""))
    with _alone(home), _interruptible():
        swept = _end_sessions(_noted_sessions(home))
        if swept:
            warn(f"ended {swept} processes that a killed `fr-ensemble ui` had left")
        _remove_noted_folder(home)
        require_free(serving)
        with open_instance(home) as instance:
            close_dead_runs(instance, unattended=True)
        with tempfile.TemporaryDirectory(prefix=_FOLDER_PREFIX) as folder:
            platform = _platform(home, serving, Path(folder))
            try:
                _start_all(platform)
                say(serving.address)
                _watch(platform, warn)
            finally:
                _stop(platform, warn)


def served_at(home: Home) -> str | None:
    """The address of the UI that serves this home now, if any does."""
    path = home.dagster / _LOCK_FILE
    try:
        with Path(str(path)).open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _address(_note(home))
    except OSError:
        return None
    # Nobody holds the lock. Services that a killed `fr-ensemble ui` left go on serving.
    left = _address(_note(home))
    return left if left is not None and answers(left) else None


def _address(note: dict[str, object]) -> str | None:
    return str(note["address"]) if "address" in note else None


# --- the pieces -------------------------------------------------------------------------------


def _platform(home: Home, serving: Serving, folder: Path) -> _Platform:
    code = folder / "code.sock"
    # Named as `dagster dev -m` names it, so that sensors keep their state between the two.
    workspace = folder / "workspace.yaml"
    workspace.write_text(
        "load_from:\n  - grpc_server:\n"
        f"      socket: {json.dumps(str(code))}\n      location_name: {MODULE}\n"
    )
    python = [sys.executable, "-m"]
    services = [
        _Service(
            "code server",
            [*python, "dagster", "api", "grpc", "-m", MODULE, "--socket", str(code)],
        ),
        _Service(
            "web server",
            front_command(serving, folder, workspace),
            {TOKEN_VARIABLE: os.environ.get(TOKEN_VARIABLE, "")},
        ),
        _Service("daemon", [*python, "dagster._daemon", "run", "-w", str(workspace)]),
    ]
    environment = {
        **{name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE},
        "DAGSTER_HOME": str(home.dagster),
        HOME_VARIABLE: str(home.root),
    }
    return _Platform(home, serving.address, folder, services, environment)


def _start_all(platform: _Platform) -> None:
    """The code server first, since the others ask it for what there is; wait for the web server."""
    code, web, daemon = platform.services
    platform.start(code)
    _require(platform, code, lambda: _is_listening(code.command[-1]), "it listens")
    platform.start(web)
    platform.start(daemon)
    _require(platform, web, lambda: answers(platform.address), "it answers")


def _require(
    platform: _Platform, service: _Service, ready: Callable[[], bool], expected: str
) -> None:
    if not _wait(service, ready):
        raise UnusableInput(_told(platform, service, expected))


def _wait(service: _Service, ready: Callable[[], bool]) -> bool:
    """Wait until the service is ready; false if it ended, or takes too long."""
    until = time.time() + _START_S
    while not ready():
        if service.ended or time.time() > until:
            return False
        time.sleep(0.1)
    return True


def _watch(platform: _Platform, warn: Callable[[str], None]) -> None:
    """Start again whatever dies; show what the failure notices say."""
    notices = Path(str(platform.home.failures_log))
    read = notices.stat().st_size if notices.exists() else 0
    while True:
        if any(service.ended for service in platform.services):
            _revive(platform, warn)
        if notices.exists() and notices.stat().st_size > read:
            with notices.open("rb") as handle:
                handle.seek(read)
                told = handle.read()
            read += len(told)
            for line in told.decode("utf-8", "replace").splitlines():
                warn(line)
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def _revive(platform: _Platform, warn: Callable[[str], None]) -> None:
    """Start what ended. The daemon goes with the code server, and comes back after it.

    A daemon that can't reach the code server when it wants to retry a run gives that run up.
    """
    code, *_, daemon = platform.services
    for service in platform.services:
        if service.ended and service.process is not None:
            young = time.time() - service.born < _SHORT_LIFE_S
            service.short_lives = service.short_lives + 1 if young else 0
            if service.short_lives >= _SHORT_LIVES:
                raise UnusableInput(_told(platform, service, "it stays alive"))
            warn(f"the {service.name} ended ({service.process.returncode}); starting it again")
    if code.ended:
        _terminate(daemon)
        platform.start(code)
        if not _wait(code, lambda: _is_listening(code.command[-1])):
            return  # the next look sees it
    for service in platform.services:
        if service.ended:
            platform.start(service)


def _terminate(service: _Service) -> None:
    if service.process is not None and not service.ended:
        service.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            service.process.wait(_PATIENCE_S)


def _stop(platform: _Platform, warn: Callable[[str], None]) -> None:
    """End the daemon first, so that it starts nothing more; then the rest, with runs at work.

    A run that is ended so is noticed and retried when the home is served again; what its seeds or
    encodes had done is kept.
    """
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second would leave processes behind
    _, web, daemon = platform.services
    _terminate(daemon)
    _terminate(web)  # and not the code server: it would mark its runs as failed, not as killed
    runs = _count_runs(platform)
    _end_sessions(platform.sessions)
    for service in platform.services:
        if service.process is not None:
            service.process.wait()
    with open_instance(platform.home) as instance:
        instance.wipe_daemon_heartbeats()  # so that nobody believes the daemon still there
    if runs:
        warn("a run was at work; it is taken up when the home is served again")
    (platform.home.dagster / _NOTE_FILE).unlink(missing_ok=True)
    signal.signal(signal.SIGINT, before)


def _count_runs(platform: _Platform) -> int:
    code = platform.services[0].process
    with contextlib.suppress(psutil.NoSuchProcess):
        if code is not None:
            children = psutil.Process(code.pid).children()
            return sum("spawn_main" in " ".join(child.cmdline()) for child in children)
    return 0


def _end_sessions(sessions: list[tuple[int, float]]) -> int:
    """Kill every process of these sessions; count them. A number that was given anew is spared."""
    leaders = dict(sessions)
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            session = os.getsid(process.pid)
            if session in leaders and process.create_time() >= leaders[session] - 1:
                found.append(process)
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(found, timeout=_PATIENCE_S)
    return len(found)


# --- one home, one server ---------------------------------------------------------------------


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    with Path(str(home.dagster / _LOCK_FILE)).open("wb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            where = _address(_note(home)) or "an address that isn't known yet"
            raise UnusableInput(
                f"{home.root}: expected a home that nobody serves, found one that is served at "
                f"{where} already; use that one, or another --home."
            ) from None
        yield


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM, as a service manager sends it, end things as Ctrl-C does.

    SIGINT too is asked for: a shell's background jobs are started deaf to it.
    """

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {
        number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _note(home: Home) -> dict[str, object]:
    path = UPath(home.dagster / _NOTE_FILE)
    try:
        note = parse_json(store.read(path, "a note of the UI"), str(path))
    except UnusableInput:
        return {}
    return note if isinstance(note, dict) else {}


def _noted_sessions(home: Home) -> list[tuple[int, float]]:
    sessions = _note(home).get("sessions")
    try:
        return [(int(pid), float(created)) for pid, created in sessions or []]  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        return []


def _remove_noted_folder(home: Home) -> None:
    folder = Path(str(_note(home).get("folder", "")))
    if folder.name.startswith(_FOLDER_PREFIX) and folder.parent == Path(tempfile.gettempdir()):
        shutil.rmtree(folder, ignore_errors=True)


# --- what they say ----------------------------------------------------------------------------


def _log_file(home: Home, service: str) -> Path:
    """The log of a service; the one before it is kept when it has grown large."""
    path = Path(str(home.logs)) / f"{service.replace(' ', '-')}.log"
    if path.exists() and path.stat().st_size > _LOG_BYTES_MAX:
        path.replace(path.with_suffix(".log.1"))
    return path


def _told(platform: _Platform, service: _Service, expected: str) -> str:
    log = _log_file(platform.home, service.name)
    lines = log.read_text("utf-8", "replace").splitlines() if log.exists() else []
    last = next((line.strip() for line in reversed(lines) if line.strip()), "nothing")
    return (
        f"the {service.name}: expected that {expected}, found that it didn't; its last words: "
        f"{last} (all of them: {log})."
    )


def _is_listening(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True
