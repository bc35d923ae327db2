"""Starts the services over one home, and keeps them alive until it is told to end.

The code server, the web server behind its front and the daemon each are a process of ours, in a
session of its own. One that dies, for whatever reason, is started again; ``dagster dev`` ends them
all with the web server and the daemon, and does not notice a dead code server. Runs are children of
the code server and outlive it; the daemon's monitoring (``doors/workers.py``) notices those that
are dead.
"""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import psutil

from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.foundation.trouble import trouble_behind
from fr_ensemble_assets.operations.front.policy import TOKEN_VARIABLE, Serving, policy_of
from fr_ensemble_assets.operations.front.service import answers, require_free
from fr_ensemble_assets.operations.instance import close_dead_runs, open_instance
from fr_ensemble_assets.operations.serving.lock import (
    FOLDER_PREFIX,
    Note,
    alone,
    read_note,
    remove_folder,
    remove_note,
    verdict_page,
    write_note,
)
from fr_ensemble_assets.operations.serving.services import Service, Services, services_over
from fr_ensemble_assets.operations.serving.sessions import Session, end_sessions

_SECONDS_BETWEEN_LOOKS = 0.5
#: Services that die within this time of their start, so often in a row, won't be mended by another.
_SHORT_LIFE_S, _SHORT_LIVES = 10.0, 5


@dataclass
class _Platform:
    """Everything that was started over a home by this process."""

    home: Home
    address: str
    folder: Path
    services: Services
    #: Every session that was ever started: a run may outlive its code server in one.
    sessions: list[Session] = field(default_factory=list)

    def start(self, service: Service) -> None:
        if service is self.services.daemon:
            with open_instance(self.home) as instance:
                close_dead_runs(instance)
        session = service.start()
        if session is not None:
            self.sessions.append(session)
        write_note(self.home, Note(self.address, tuple(self.sessions), str(self.folder)))


def serve(
    home: Home, serving: Serving, say: Callable[[str], None], warn: Callable[[str], None]
) -> None:
    """Serve until interrupted (SIGINT, SIGTERM).

    Raises
    ------
    UnusableInput
        If another process serves this home, the port is taken, a service doesn't stay alive, or
        it is to be reached from elsewhere without a token.
    StorageTrouble
        If the cluster that is to run the runs doesn't answer.
    """
    policy_of(serving, os.environ.get(TOKEN_VARIABLE, ""))
    with alone(home), _interruptible():
        left = read_note(home)
        swept = end_sessions(left.sessions)
        if swept:
            warn(f"ended {swept} processes left by a killed `fr-ensemble ui`")
        remove_folder(left)
        require_free(serving)
        with open_instance(home) as instance:
            close_dead_runs(instance, unattended=True)
        with tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX) as made:
            folder = Path(made)
            services = services_over(home, serving, folder)
            platform = _Platform(home, serving.address, folder, services)
            try:
                _start_all(platform)
                say(serving.address)
                say(f"verdict: {verdict_page(serving.address)}")
                _watch(platform, say, warn)
            finally:
                _stop(platform, warn)


def _start_all(platform: _Platform) -> None:
    """The code server first, since the others ask it for what there is; wait for the web server."""
    services = platform.services
    platform.start(services.code)
    _require(services.code, services.code_listens, "it listens")
    platform.start(services.web)
    platform.start(services.daemon)
    _require(services.web, lambda: answers(platform.address), "it answers")


def _require(service: Service, ready: Callable[[], bool], expected: str) -> None:
    if not service.wait_until(ready):
        raise UnusableInput(service.complaint(expected))


def _watch(platform: _Platform, say: Callable[[str], None], warn: Callable[[str], None]) -> None:
    """Start again whatever dies; show what the notices of failures and verdicts say."""
    failures, verdicts = _Tail(platform.home.failures_log), _Tail(platform.home.verdicts_log)
    while True:
        if any(service.ended for service in platform.services.all):
            try:
                _revive(platform, warn)
            except Exception as error:
                if trouble_behind(error) is None:
                    raise
                # Database or store are away: the next look may find them.
        for line in failures.new_lines():
            warn(line)
        for line in verdicts.new_lines():
            say(line)
        time.sleep(_SECONDS_BETWEEN_LOOKS)


class _Tail:
    """What is added to a log from now on."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._read = log.stat().st_size if log.exists() else 0

    def new_lines(self) -> list[str]:
        if not self._log.exists() or self._log.stat().st_size <= self._read:
            return []
        with self._log.open("rb") as handle:
            handle.seek(self._read)
            told = handle.read()
        self._read += len(told)
        return told.decode("utf-8", "replace").splitlines()


def _revive(platform: _Platform, warn: Callable[[str], None]) -> None:
    """Start what ended. The daemon goes with the code server, and comes back after it.

    A daemon that can't reach the code server when it wants to retry a run gives that run up.
    """
    services = platform.services
    for service in services.all:
        if service.ended and service.process is not None:
            young = time.time() - service.began < _SHORT_LIFE_S
            service.short_lives = service.short_lives + 1 if young else 0
            if service.short_lives >= _SHORT_LIVES:
                raise UnusableInput(service.complaint("it stays alive"))
            warn(f"the {service.name} ended ({service.process.returncode}); starting it again")
    if services.code.ended:
        services.daemon.terminate()
        platform.start(services.code)
        if not services.code.wait_until(services.code_listens):
            return  # the next look sees it
    for service in services.all:
        if service.ended:
            platform.start(service)


def _stop(platform: _Platform, warn: Callable[[str], None]) -> None:
    """End the daemon first, so that it starts nothing more; then the rest, with runs at work.

    A run that is ended so is noticed and retried when the home is served again; what its seeds or
    encodes had done is kept.
    """
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second would leave processes behind
    services = platform.services
    services.daemon.terminate()
    services.web.terminate()  # not the code server: it would mark its runs as failed, not as killed
    runs = _count_runs(services.code)
    end_sessions(platform.sessions)
    for service in services.all:
        if service.process is not None:
            service.process.wait()
    with open_instance(platform.home) as instance:
        instance.wipe_daemon_heartbeats()  # so that nobody believes the daemon still there
    if runs:
        warn("a run was at work; the next `fr-ensemble ui` resumes it")
    remove_note(platform.home)
    signal.signal(signal.SIGINT, before)


def _count_runs(code: Service) -> int:
    with contextlib.suppress(psutil.NoSuchProcess):
        if code.process is not None:
            children = psutil.Process(code.process.pid).children()
            return sum("spawn_main" in " ".join(child.cmdline()) for child in children)
    return 0


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
