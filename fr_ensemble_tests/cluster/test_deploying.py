"""What deploy/ starts is there, is closed where it should be, and works with these settings."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import click
import psutil
import pytest
import typer.main
import yaml
from upath import UPath

from fr_ensemble_assets.cli.main import app
from fr_ensemble_assets.foundation import store
from fr_ensemble_tests.cluster.services import KEY, S3, SECRET, Postgres, free_ports
from fr_ensemble_tests.conftest import Row, write_rows
from fr_ensemble_tests.platform import COMMAND

ROOT = Path(__file__).parents[2]
#: What an .env file beside the compose file would hold.
TOLD = {
    "FR_ENSEMBLE_TOKEN": "a-token-of-the-tests",
    "DATABASE_PASSWORD": SECRET,
    "STORE_KEY": KEY,
    "STORE_SECRET": SECRET,
}
#: Of other programs; every other variable must be one that our code reads.
FOREIGN = re.compile(r"AWS_\w+|PG\w+|POSTGRES_\w+")
_PATIENCE_S = 400.0


def substituted(text: str) -> str:
    """As Compose puts variables in: ``${NAME:?why}`` must be there, ``${NAME:-else}`` may be."""

    def put(found: re.Match[str]) -> str:
        name, sign, rest = found.groups()
        if name in TOLD:
            return TOLD[name]
        assert sign == ":-", f"{name} isn't told, and has no default"
        return rest or ""

    return re.sub(r"\$\{(\w+)(:[-?])?([^}]*)\}", put, text)


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    told = yaml.safe_load(substituted((ROOT / "deploy" / "compose.yaml").read_text()))
    found: dict[str, Any] = told["services"]
    return found


def test_commands_and_variables_are_ours(services: dict[str, Any]) -> None:
    commands: click.Group = typer.main.get_command(app)  # type: ignore[assignment]
    program, name, *words = services["platform"]["command"]
    assert program == "fr-ensemble"
    options = {option for p in commands.commands[name].params for option in p.opts}
    assert {word for word in words if word.startswith("--")} <= options
    code = "".join(file.read_text() for file in (ROOT / "fr_ensemble_assets").rglob("*.py"))
    for service in services.values():
        for variable in service.get("environment", {}):
            assert FOREIGN.fullmatch(variable) or f'"{variable}"' in code, variable


def test_one_service_is_published_and_none_is_roots(services: dict[str, Any]) -> None:
    assert [name for name, service in services.items() if "ports" in service] == ["platform"]
    assert services["platform"]["ports"] == ["127.0.0.1:3000:3000"]
    for name, service in services.items():
        assert service["user"] not in ("", "root", "0"), name
        assert service["cap_drop"] == ["ALL"], name
        assert "outside" not in service["networks"] or name == "platform"
        assert "healthcheck" in service or name == "bucket", name  # that one ends
        tag = service["image"].rpartition(":")[2]
        assert tag not in ("", "latest"), name
    told = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    assert told["networks"]["inside"] == {"internal": True}


def test_no_secret_has_a_default() -> None:
    text = (ROOT / "deploy" / "compose.yaml").read_text()
    secrets = re.findall(r"\$\{(\w*(?:PASSWORD|SECRET|KEY|TOKEN))(:.)", text)
    assert {name for name, _ in secrets} == set(TOLD)
    assert {sign for _, sign in secrets} == {":?"}


def test_the_image_has_what_its_commands_need(services: dict[str, Any]) -> None:
    recipe = (ROOT / "deploy" / "Dockerfile").read_text()
    ours = {service["user"] for service in services.values() if "build" in service}
    assert ours == {re.findall(r"^USER (\S+)$", recipe, re.MULTILINE)[-1]}
    sources = " ".join(re.findall(r"^COPY (?!--from)(.*) \S+$", recipe, re.MULTILINE)).split()
    lock = "constraints-cluster.txt"  # of the extra: written by `make lock`
    assert [name for name in sources if name != lock and not (ROOT / name).exists()] == []


# --- started --------------------------------------------------------------------------------------


class Served:
    """``platform`` as a process on loopback, told what the compose file tells it."""

    def __init__(self, service: dict[str, Any], moved: dict[str, str], folder: Path) -> None:
        self.port = free_ports(1)[0]
        self._log = folder / "ui.log"
        words = [
            {"0.0.0.0": "127.0.0.1", "3000": str(self.port)}.get(w, w) for w in service["command"]
        ]
        environment = {
            name: moved.get(name, value) for name, value in service["environment"].items()
        }
        # Ray is started in namespaces of its own by other tests; here runs are processes.
        for name in ("FR_ENSEMBLE_CLUSTER", "FR_ENSEMBLE_EXECUTOR"):
            environment.pop(name, None)
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                [COMMAND, *words[1:]],
                env={**os.environ, **environment, "FR_ENSEMBLE_LOCAL": str(folder / "local")},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def ask(self, path: str, token: str = "", body: Any = None) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json"}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"http://127.0.0.1:{self.port}{path}", data, headers)
        try:
            with urlopen(request, timeout=30) as answer:
                text = answer.read().decode()
                return answer.status, json.loads(text) if text.startswith("{") else text
        except HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def wait_for(self, seen: Callable[[], Any], what: str) -> Any:
        until = time.monotonic() + _PATIENCE_S
        while not (found := seen()):
            told = self._log.read_text()
            assert time.monotonic() < until, f"waited in vain until {what}: {told}"
            assert self.process.poll() is None, told
            time.sleep(0.5)
        return found

    def runs(self) -> list[tuple[str, str]]:
        query = "{runsOrError{... on Runs{results{status jobName}}}}"
        _, told = self.ask("/graphql", TOLD["FR_ENSEMBLE_TOKEN"], {"query": query})
        return [(run["jobName"], run["status"]) for run in told["data"]["runsOrError"]["results"]]

    def end(self) -> None:
        leader = psutil.Process(self.process.pid)
        children = leader.children(recursive=True)
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(60)
        finally:
            for process in (*children, leader):
                if process.is_running():
                    process.kill()


@pytest.fixture
def served(
    services: dict[str, Any], s3: S3, postgres: Postgres, tmp_path: Path
) -> Iterator[Served]:
    """The store, the database and the platform, at addresses of loopback."""
    platform = services["platform"]
    moved = {
        "AWS_ENDPOINT_URL": s3.address,
        "FR_ENSEMBLE_DATABASE": postgres.url.replace(f":{SECRET}", ""),
    }
    (command,) = (word for word in services["bucket"]["command"] if "s3fs" in word)
    subprocess.run([sys.executable, "-c", command], check=True)
    started = Served(platform, moved, tmp_path)
    try:
        yield started
    finally:
        started.end()


@pytest.mark.cluster
@pytest.mark.slow
def test_a_corpus_in_the_bucket_is_trained_on_and_the_front_is_closed(
    served: Served, services: dict[str, Any], few_rows: list[Row], tmp_path: Path
) -> None:
    served.wait_for(lambda: served.ask("/server_info")[0] == 401, "the front answers")
    token = TOLD["FR_ENSEMBLE_TOKEN"]
    mutation = quote("mutation { reloadWorkspace { __typename } }")
    assert served.ask(f"/graphql?query={mutation}", token)[0] == 405
    served.wait_for(lambda: served.ask("/server_info", token)[0] == 200, "Dagster answers")
    home = UPath(services["platform"]["environment"]["FR_ENSEMBLE_HOME"])
    # A corpus in which nothing varies is refused at once: what matters here is who hears of it.
    corpus = write_rows(tmp_path / "few.jsonl", [{**row, "vmaf": 50.0} for row in few_rows])
    store.put(home / "inbox" / "few.jsonl", corpus.read_bytes())
    served.wait_for(lambda: ("train_ensemble", "FAILURE") in served.runs(), "the run has ended")
    notices = tmp_path / "local" / "logs" / "failures.log"
    told = served.wait_for(
        lambda: notices.exists() and notices.read_text(), "the notice is written"
    )
    assert "corpus check" in told
