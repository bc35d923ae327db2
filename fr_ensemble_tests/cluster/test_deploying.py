"""What deploy/compose.yaml says: what is there, what is closed, what has no default."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import pytest
import typer.main
import yaml

from deploy.topology import services_of
from fr_ensemble_assets.cli.main import app
from fr_ensemble_tests.cluster.deployed import TOLD

ROOT = Path(__file__).parents[2]
#: Of other programs; every other variable must be one that our code reads.
FOREIGN = re.compile(r"AWS_\w+|PG\w+|POSTGRES_\w+|RAY_\w+")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return services_of(TOLD)


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
