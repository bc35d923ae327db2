"""A Ray cluster of some hosts and a desk on this machine: network namespaces without an uplink.

Ray listens on all interfaces, whatever it is told, so it is never started outside of one. A switch
joins them, and nothing else: whoever is outside can't reach them, nor they anybody.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from deploy.topology import services_of
from fr_ensemble_tests.cluster.deployed import TOLD

ROOT = Path(__file__).parents[2]
HEAD, DESK, FIRST_WORKER = 1, 2, 3
WORKERS = (FIRST_WORKER, FIRST_WORKER + 1)
_OBJECT_STORE_BYTES = 100_000_000
_COMMAND = "from fr_ensemble_assets.cli.main import main; main()"
#: A head that was just started may be too busy to begin the conversation.
_CONNECT = """import time, ray
for left in reversed(range(10)):
    try:
        ray.init('{address}', logging_level='ERROR')
        break
    except Exception:
        if not left:
            raise
        time.sleep(1)
"""


class Lab:
    """A head, which gives no processor, workers of one each, and the desk from which one types."""

    def __init__(self, folder: Path, workers: Sequence[int] = WORKERS) -> None:
        self._folder, self._name = folder, f"fr{os.getpid()}"
        self._starts, self._workers = itertools.count(), workers

    @property
    def address(self) -> str:
        return f"ray://{_ip(HEAD)}:10001"

    # --- the network ---

    def build(self) -> None:
        """Namespaces and the switch between them; skips the test where that isn't permitted."""
        if shutil.which("ip") is None:
            pytest.skip("network namespaces: expected iproute2's `ip` on PATH, found none")
        made = subprocess.run(["ip", "netns", "add", self._ns(0)], capture_output=True, text=True)
        if made.returncode:
            pytest.skip(f"network namespaces aren't permitted here: {made.stderr.strip()}")
        _ip_in(self._ns(0), "link add switch type bridge", "link set switch up")
        for host in (HEAD, *self._workers, DESK):
            subprocess.run(["ip", "netns", "add", self._ns(host)], check=True)
            _ip_in(
                self._ns(0),
                f"link add port{host} type veth peer name eth0 netns {self._ns(host)}",
                f"link set port{host} master switch up",
            )
            there = f"addr add {_ip(host)}/24 dev eth0"
            _ip_in(self._ns(host), there, "link set eth0 up", "link set lo up")

    def tear_down(self) -> None:
        for host in (DESK, *self._workers, HEAD, 0):
            with suppress(subprocess.CalledProcessError):
                self.kill(host)
                subprocess.run(["ip", "netns", "del", self._ns(host)], check=True)

    def _ns(self, host: int) -> str:
        return f"{self._name}n{host}"

    # --- the cluster ---

    def start(self) -> None:
        """Ray on all hosts; the head first."""
        self._start(HEAD, {})
        with ThreadPoolExecutor() as at_once:
            started = at_once.map(lambda host: self._start(host, {}), self._workers)
        self._wait_for_nodes(list(started))

    def start_host(self, host: int, **environment: str) -> None:
        """Ray on one host; afterwards the head knows it."""
        self._wait_for_nodes([self._start(host, environment)])

    def _start(self, host: int, environment: Mapping[str, str]) -> str:
        """Start Ray; returns the name by which the cluster knows this start of it."""
        name = f"start{next(self._starts)}"
        told = (
            ["--head", "--port=6379", "--num-cpus=0", "--include-dashboard=false"]
            if host == HEAD
            else [f"--address={_ip(HEAD)}:6379", "--num-cpus=1"]
        )
        self._run(
            host,
            [
                str(Path(sys.executable).with_name("ray")),
                *("start", *told, f"--node-ip-address={_ip(host)}"),
                f'--resources={{"{name}": 1}}',
                f"--temp-dir={self._folder / str(host)}",
                f"--object-store-memory={_OBJECT_STORE_BYTES}",
            ],
            environment,
        )
        return name

    def _wait_for_nodes(self, names: Sequence[str]) -> None:
        """Until the cluster counts on what was started by these names."""
        self._told_by_ray(
            f"while not set({list(names)}) <= set(ray.cluster_resources()): time.sleep(0.1)"
        )

    def kill(self, host: int) -> None:
        """kill -9 everything that runs on a host."""
        asked = ["ip", "netns", "pids", self._ns(host)]
        found = subprocess.run(asked, check=True, capture_output=True, text=True)
        for pid in map(int, found.stdout.split()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def restart(self) -> None:
        for host in (*self._workers, HEAD):
            self.kill(host)
        self.start()

    def free_processors(self) -> float:
        """How many of the workers' processors nobody uses, as Ray tells it."""
        told = self._told_by_ray("print('free', ray.available_resources().get('CPU', 0))")
        return float(told.split("free")[1])

    def _told_by_ray(self, code: str) -> str:
        """What ``code`` prints at the desk, once it is connected."""
        connect = _CONNECT.format(address=self.address)
        return self.at_the_desk([sys.executable, "-c", connect + code])

    # --- what one types ---

    def at_the_desk(self, command: Sequence[str]) -> str:
        """What a command there prints."""
        return self._run(DESK, command).stdout

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``fr-ensemble`` at the desk, to its end."""
        with self.typed(*arguments) as process:
            out, err = process.communicate(timeout=600)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    @contextmanager
    def typed(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """``fr-ensemble`` at the desk, while the block runs."""
        command = [sys.executable, "-c", _COMMAND, *arguments]
        process = subprocess.Popen(
            self._within(DESK, command),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            env=_environment({}),
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()

    def _run(
        self, host: int, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self._within(host, command),
            env=_environment(environment or {}),
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def _within(self, host: int, command: Sequence[str]) -> list[str]:
        return ["ip", "netns", "exec", self._ns(host), *command]


@contextmanager
def lab(workers: Sequence[int] = WORKERS) -> Iterator[Lab]:
    """A running cluster; afterwards no process and no namespace of it is left."""
    # Short, since sockets lie in it: a path of one has at most 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="fr", dir="/tmp"))
    built = Lab(folder, workers)
    try:
        built.build()
        built.start()
        yield built
    finally:
        built.tear_down()
        shutil.rmtree(folder, ignore_errors=True)


def wait_for(seen: Callable[[], Any], what: str, seconds: float = 400) -> Any:
    """Look again and again until something is seen."""
    until = time.monotonic() + seconds
    while not (found := seen()):
        assert time.monotonic() < until, f"waited in vain until {what}"
        time.sleep(0.05)
    return found


def _ip(host: int) -> str:
    return f"10.77.0.{host}"


def _ip_in(namespace: str, *commands: str) -> None:
    for command in commands:
        subprocess.run(["ip", "-n", namespace, *command.split()], check=True)


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    search = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": search, "NO_COLOR": "1"}
    deployed = services_of(TOLD)["head"]["environment"]
    ray = {name: value for name, value in deployed.items() if name.startswith("RAY_")}
    # Whatever Ray was told elsewhere on this machine, tokens included, is not for these hosts.
    ours = {name: v for name, v in os.environ.items() if not name.startswith("RAY_")}
    # Workers would wait for all others, as if they shared their cores with these.
    hosts = {"RAY_AUTH_MODE": "disabled", "RAY_worker_niceness": "0"}
    return {**ours, **quiet, **ray, **hosts, **more}
