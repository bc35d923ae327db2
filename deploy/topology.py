"""What ``compose.yaml`` starts, as processes of this machine: for where no containers are at hand.

``sudo python -m deploy.topology FOLDER`` reads the same file and the same variables. Each container
becomes a host of its own: network, processes, name, ``/tmp`` and ``/state`` are its own; files are
this machine's. A switch without an uplink joins the hosts, as the network ``inside`` does; a cable
to this machine stands for ``outside``. Commands, addresses and health checks are those of the file,
to the letter; only users are not: PostgreSQL runs as ``postgres``, all else as who starts this.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
COMPOSE = ROOT / "deploy" / "compose.yaml"
#: What a container has for itself. All hosts see theirs at the same path, as containers do.
_OWN = ("tmp", "state")
_PATIENCE_S = 180.0
_INSIDE, _OUTSIDE = "10.77.1", "10.77.2"
_VARIABLE = re.compile(r"\$\{(\w+)(?:(:[-?])([^}]*))?\}")
#: Names a host, gives it what is its own, and becomes its program.
_BECOME = (
    'hostname "$1"; there="$2"; here="$3"; shift 3; '
    + "; ".join(f'mount --bind "$there/{own}" "$here/{own}"' for own in _OWN)
    + '; exec "$@"'
)


class Unavailable(Exception):
    """This machine doesn't permit hosts of their own, or lacks a program; its text says what."""


def substituted(text: str, told: Mapping[str, str]) -> str:
    """``text`` with the variables put in as Compose does it.

    Raises
    ------
    Unavailable
        If one is wanted (``${NAME:?why}``) and not told.
    """

    def put(found: re.Match[str]) -> str:
        name, sign, rest = found.groups()
        if told.get(name):
            return told[name]
        if sign == ":?":
            raise Unavailable(f"{name}: expected it in the environment, found none; {rest}.")
        return rest or ""

    return _VARIABLE.sub(put, text)


def services_of(told: Mapping[str, str], file: Path = COMPOSE) -> dict[str, dict[str, Any]]:
    """The services of a compose file, by name."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(substituted(file.read_text(), told))[
        "services"
    ]
    return found


@dataclass
class Host:
    """A container, as a host of its own.

    Attributes
    ----------
    name
        By which the others know it.
    service
        What the compose file says of it.
    number
        The last figure of its address.
    process
        Its first process, whose end ends all others.
    """

    name: str
    service: Mapping[str, Any]
    number: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"{_INSIDE}.{self.number}"


@dataclass
class Topology:
    """All services of the compose file, started in its order, killed and cut off at will.

    Parameters
    ----------
    folder
        Takes volumes and logs. A short path: sockets lie under it.
    told
        What an ``.env`` file beside the compose file would hold.
    workers
        How many workers, as ``--scale worker=N``.
    """

    folder: Path
    told: Mapping[str, str]
    workers: int = 1
    hosts: dict[str, Host] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names: list[tuple[str, Mapping[str, Any]]] = []
        # Who finds it by its address asks for that Host, unless told otherwise.
        told = {"FR_ENSEMBLE_NAME": self.outside, **self.told}
        for name, service in services_of(told).items():
            more = range(2, self.workers + 1) if name == "worker" else ()
            names += [(name, service), *((f"{name}{n}", service) for n in more)]
        self.hosts = {n: Host(n, s, number) for number, (n, s) in enumerate(names, start=2)}
        self._name = f"fr{os.getpid()}"

    @property
    def outside(self) -> str:
        """The address at which this machine finds what is published."""
        return f"{_OUTSIDE}.2"

    # --- the network ---

    def build(self) -> None:
        """Make the hosts and their network; nothing runs yet.

        Raises
        ------
        Unavailable
            Where that isn't permitted.
        """
        for program in ("ip", "unshare", "hostname"):
            if shutil.which(program) is None:
                raise Unavailable(f"expected the program '{program}' on PATH, found none")
        made = subprocess.run(["ip", "netns", "add", self._ns("switch")], capture_output=True)
        if made.returncode:
            raise Unavailable(f"network namespaces aren't permitted: {made.stderr.decode()}")
        self.folder.chmod(0o755)
        for own in _OWN:
            (self.folder / own).mkdir(exist_ok=True)
        self._ip("switch", "link add switch type bridge", "link set switch up")
        for host in self.hosts.values():
            self._build_host(host)

    def _build_host(self, host: Host) -> None:
        for own in _OWN:
            self._own(host, own).mkdir(parents=True, exist_ok=True)
        subprocess.run(["ip", "netns", "add", self._ns(host.name)], check=True)
        port = f"p{host.number}"
        self._ip(
            "switch",
            f"link add {port} type veth peer name eth0 netns {self._ns(host.name)}",
            f"link set {port} master switch up",
        )
        self._ip(
            host.name, f"addr add {host.address}/24 dev eth0", "link set eth0 up", "link set lo up"
        )
        if "outside" in host.service["networks"]:
            cable = f"{self._name}o"
            there = ["netns", self._ns(host.name)]
            for words in (
                ["link", "add", cable, "type", "veth", "peer", "name", "eth1", *there],
                ["addr", "add", f"{_OUTSIDE}.1/30", "dev", cable],
                ["link", "set", cable, "up"],
            ):
                subprocess.run(["ip", *words], check=True)
            self._ip(host.name, f"addr add {self.outside}/30 dev eth1", "link set eth1 up")
        # `ip netns exec` puts these in the place of /etc/hosts and /etc/resolv.conf.
        names = "".join(f"{other.address} {other.name}\n" for other in self.hosts.values())
        etc = self._etc(host)
        etc.mkdir(parents=True)
        (etc / "hosts").write_text(f"127.0.0.1 localhost\n{names}")
        (etc / "resolv.conf").write_text("")

    def cut(self, name: str) -> None:
        """Take a host off the network; what runs there goes on."""
        self._ip("switch", f"link set p{self.hosts[name].number} down")

    def join(self, name: str) -> None:
        """Put it back."""
        self._ip("switch", f"link set p{self.hosts[name].number} up")

    # --- the services ---

    def up(self) -> None:
        """Start everything, each as soon as what it depends on is ready."""
        ready: dict[str, Future[None]] = {name: Future() for name in self.hosts}
        with ThreadPoolExecutor(len(ready)) as at_once:
            for _ in at_once.map(lambda name: self._up(name, ready), ready):
                pass

    def _up(self, name: str, ready: Mapping[str, Future[None]]) -> None:
        try:
            for other in self.hosts[name].service.get("depends_on", {}):
                ready[other].result()
            self.start(name)
            self.wait_until_ready(name)
        except BaseException as error:
            ready[name].set_exception(error)
            raise
        ready[name].set_result(None)

    def start(self, name: str) -> None:
        """Start one, as its command says."""
        host = self.hosts[name]
        command = self._command(host)
        with self.log(name).open("ab") as output:
            host.process = subprocess.Popen(
                self.within(name, command),
                env=self.environment(name),
                cwd=self._own(host, "state"),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_ready(self, name: str) -> None:
        """Until its health check passes; a service without one has ended well."""
        host, until = self.hosts[name], time.monotonic() + _PATIENCE_S
        assert host.process is not None
        if "healthcheck" not in host.service:
            if host.process.wait(_PATIENCE_S):
                raise RuntimeError(f"{name} failed: {self.said(name)}")
            return
        while not self.is_healthy(name):
            if host.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{name} didn't get ready: {self.said(name)}")
            time.sleep(0.5)

    def is_healthy(self, name: str) -> bool:
        """Whether its health check passes now."""
        _, *check = self.hosts[name].service["healthcheck"]["test"]
        return self.run(name, check).returncode == 0

    def kill(self, name: str) -> None:
        """kill -9 of all that runs on a host."""
        host = self.hosts[name]
        if host.process is not None:
            for pid in (host.process.pid, *self.pids(name)):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            host.process.wait()
            host.process = None

    def pids(self, name: str) -> list[int]:
        """All processes of a host, by this machine's numbers."""
        asked = ["ip", "netns", "pids", self._ns(name)]
        told = subprocess.run(asked, capture_output=True, text=True, check=False)
        return list(map(int, told.stdout.split()))

    def run(
        self, name: str, command: Sequence[str], **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """A command beside a service, told what it is told, to its end."""
        return subprocess.run(
            self.within(name, command),
            env={**self.environment(name), **environment},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def down(self) -> None:
        """End everything, and take the hosts away; volumes and logs stay."""
        for name, host in reversed(self.hosts.items()):
            self.kill(name)
            shutil.rmtree(self._etc(host), ignore_errors=True)
            self._forget(name)
        self._forget("switch")

    def _forget(self, name: str) -> None:
        gone = ["ip", "netns", "del", self._ns(name)]
        subprocess.run(gone, capture_output=True, check=False)

    # --- what each is told ---

    def environment(self, name: str) -> dict[str, str]:
        """Nothing of this shell but where programs lie."""
        programs = [str(Path(sys.executable).parent), *_folders_of_postgres()]
        search = os.pathsep.join([*programs, os.environ.get("PATH", "/usr/bin:/bin")])
        ours = {
            "PATH": search,
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "HOME": str(self.folder / "state"),
            "TMPDIR": str(self.folder / "tmp"),
            "PGHOST": str(self.folder / "tmp"),
            "LANG": "C.UTF-8",
            # Ray's workers would wait for all others, as if they shared their cores with these.
            "RAY_worker_niceness": "0",
        }
        told = self.hosts[name].service.get("environment", {})
        return ours | {variable: self._placed(str(value)) for variable, value in told.items()}

    def _command(self, host: Host) -> list[str]:
        image = str(host.service["image"]).partition(":")[0]
        told = [self._placed(word) for word in host.service.get("command", ())]
        if image == "postgres":
            return self._database(host)
        return ["weed", *told] if image.endswith("/seaweedfs") else told

    def _placed(self, word: str) -> str:
        """A word that names a folder of a container, with where that folder is."""
        return re.sub(r"(^|=)/(state|data)$", rf"\g<1>{self.folder}/state", word)

    def _database(self, host: Host) -> list[str]:
        """What the image's entry point does: make a database where there is none, and serve it."""
        data, told = self._own(host, "state") / "data", host.service["environment"]
        as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        as_postgres = as_postgres if os.getuid() == 0 else []
        seen = str(self.folder / "state" / "data")
        if not data.exists():
            for own in _OWN:
                if as_postgres:
                    shutil.chown(self._own(host, own), "postgres", "postgres")
            password = self._own(host, "state") / "password"
            password.write_text(told["POSTGRES_PASSWORD"])
            password.chmod(0o644)
            make = ["initdb", "-D", seen, "-U", told["POSTGRES_USER"], "--pwfile"]
            make += [str(self.folder / "state" / "password"), "-E", "UTF8", "--locale=C"]
            make += [*told["POSTGRES_INITDB_ARGS"].split(), "--auth-local=trust"]
            self._must(host.name, [*as_postgres, *make])
            password.unlink()
            with (data / "pg_hba.conf").open("a") as rules:
                rules.write("host all all all scram-sha-256\n")
            database = f"CREATE DATABASE {told['POSTGRES_DB']}"
            single = f"echo '{database}' | postgres --single -D {seen} postgres"
            self._must(host.name, [*as_postgres, "sh", "-c", single])
        here = ["-k", str(self.folder / "tmp"), "-c", "listen_addresses=*"]
        return [*as_postgres, "postgres", "-D", seen, *here]

    def _must(self, name: str, command: Sequence[str]) -> None:
        done = self.run(name, command)
        if done.returncode:
            raise RuntimeError(f"{name}: {command}: {done.stdout}{done.stderr}")

    def log(self, name: str) -> Path:
        return self.folder / "hosts" / name / "log"

    def said(self, name: str, most: int = 3000) -> str:
        log = self.log(name)
        return log.read_text("utf-8", "replace")[-most:] if log.exists() else ""

    # --- namespaces ---

    def within(self, name: str, command: Sequence[str]) -> list[str]:
        """The command line that runs ``command`` on a host."""
        there = self.folder / "hosts" / name
        return [
            *("ip", "netns", "exec", self._ns(name)),
            *("unshare", "--uts", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc"),
            *("sh", "-ec", _BECOME, "sh", name, str(there), str(self.folder), *command),
        ]

    def _own(self, host: Host, own: str) -> Path:
        return self.folder / "hosts" / host.name / own

    def _ns(self, name: str) -> str:
        return f"{self._name}-{name}"

    def _etc(self, host: Host) -> Path:
        return Path("/etc/netns") / self._ns(host.name)

    def _ip(self, name: str, *commands: str) -> None:
        for command in commands:
            subprocess.run(["ip", "-n", self._ns(name), *command.split()], check=True)


def _folders_of_postgres() -> list[str]:
    """Debian keeps the server's programs in a folder a version, off the path."""
    return [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]


@contextmanager
def topology(folder: Path, told: Mapping[str, str], workers: int = 1) -> Iterator[Topology]:
    """Everything up while the block runs; afterwards no process and no host is left."""
    made = Topology(folder, told, workers)
    try:
        made.build()
        made.up()
        yield made
    finally:
        made.down()


def main() -> None:
    asked = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    asked.add_argument("folder", type=Path, help="takes volumes and logs; a short path")
    asked.add_argument("--workers", type=int, default=1, help="how many workers [1]")
    told = asked.parse_args()
    told.folder.mkdir(parents=True, exist_ok=True)
    with topology(told.folder.resolve(), os.environ, told.workers) as started:
        sys.stdout.write(f"http://{started.outside}:3000 is up; Ctrl-C ends it.\n")
        with suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    try:
        main()
    except Unavailable as error:
        sys.exit(f"error: {error}")
