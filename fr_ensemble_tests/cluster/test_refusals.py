"""Services that can't be reached or opened: one sentence within ten seconds, nothing written."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fr_ensemble_tests.cluster.services import BUCKET, SECRET, Postgres, free_ports
from fr_ensemble_tests.platform import COMMAND

pytestmark = pytest.mark.cluster

#: Times are no matter of tests; this one tells "at once, or after a look" from "hangs".
HANGS_S = 60.0


def told(home: str, local: Path, command: str = "status", **environment: str) -> tuple[int, str]:
    """Exit code of a command, and what it said: one sentence."""
    done = subprocess.run(
        [COMMAND, command, "--home", home],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "FR_ENSEMBLE_LOCAL": str(local), **environment},
        timeout=HANGS_S,
    )
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert SECRET not in done.stderr
    assert not local.exists()
    return done.returncode, done.stderr


@pytest.mark.usefixtures("s3")
def test_a_store_that_cannot_be_used_is_told_and_nothing_is_written(tmp_path: Path) -> None:
    local, home = tmp_path / "local", f"s3://{BUCKET}/home"
    nowhere = f"http://127.0.0.1:{free_ports(1)[0]}"
    for code, found, address, environment in (
        (3, "the store of objects doesn't answer", home, {"AWS_ENDPOINT_URL": nowhere}),
        (2, "look at the bucket's name and at the cred", home, {"AWS_SECRET_ACCESS_KEY": "other"}),
        (2, "look at the bucket's name and at the cred", home, {"AWS_ACCESS_KEY_ID": "other"}),
        (2, "bucket does not exist", "s3://no-such-bucket/home", {}),
        (2, "expected a bucket and a prefix", "s3://", {}),
        (2, "expected a path", "nonsense://bucket/home", {}),
    ):
        told_code, said = told(address, local, **environment)
        assert (told_code, found in said) == (code, True), said


def test_a_database_that_cannot_be_used_is_told_and_nothing_is_written(
    postgres: Postgres, tmp_path: Path
) -> None:
    nowhere = free_ports(1)[0]
    local = tmp_path / "home"
    for url, code, found in (
        (f"postgresql://dagster@127.0.0.1:{nowhere}/postgres", 3, "the database doesn't answer"),
        ("postgresql://dagster@no-such-host.invalid/postgres", 3, "the database doesn't answer"),
        (postgres.url.replace(SECRET, "wrong-word"), 2, "password authentication failed"),
        (postgres.url.replace("/postgres", "/none"), 2, 'database "none" does not exist'),
        ("mysql://dagster@127.0.0.1/dagster", 2, "expected postgresql://USER@HOST:5432/NAME"),
    ):
        told_code, said = told(str(local), local, FR_ENSEMBLE_DATABASE=url)
        assert (told_code, found in said) == (code, True), said
        assert "wrong-word" not in said


def test_runs_are_not_promised_to_a_cluster_that_is_not_there(tmp_path: Path) -> None:
    nowhere, home = f"http://127.0.0.1:{free_ports(1)[0]}", tmp_path / "home"
    for address, code, found in (
        (nowhere, 3, "expected the dashboard of a Ray cluster, found 'Connection refused'"),
        ("http://no-such-host.invalid:8265", 3, "expected the dashboard of a Ray cluster"),
        ("http://127.0.0.1:99999", 3, "Port out of range"),
        ("head:8265", 2, "expected the address of a Ray dashboard"),
    ):
        told_code, said = told(str(home), home, "ui", FR_ENSEMBLE_CLUSTER=address)
        assert (told_code, found in said) == (code, True), said


@pytest.mark.parametrize(
    ("missing", "command", "home", "environment"),
    [
        ("s3fs", "status", "s3://bucket/home", {}),
        ("dagster_postgres", "status", "", {"FR_ENSEMBLE_DATABASE": "postgresql://u@localhost/d"}),
        ("psycopg2", "status", "", {"FR_ENSEMBLE_DATABASE": "postgresql://u@localhost/d"}),
        ("dagster_ray", "ui", "", {"FR_ENSEMBLE_CLUSTER": "http://localhost:8265"}),
    ],
)
def test_without_the_extra_the_command_says_how_to_install_it(
    tmp_path: Path, missing: str, command: str, home: str, environment: dict[str, str]
) -> None:
    local = tmp_path / "local"
    code = (
        f"import sys; sys.modules[{missing!r}] = None; sys.argv[0] = 'fr-ensemble'\n"
        "from fr_ensemble_assets.cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, command, "--home", home or str(local)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "FR_ENSEMBLE_LOCAL": str(local), **environment},
    )
    assert done.returncode == 2, done.stderr
    assert "pip install fr-ensemble[cluster]" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not local.exists()


@pytest.mark.usefixtures("s3")
def test_a_server_that_is_silent_is_given_up(tmp_path: Path) -> None:
    """It takes the connection and says nothing, as a broken proxy does."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        port = silent.getsockname()[1]
        began = time.monotonic()
        code, said = told(
            f"s3://{BUCKET}/home", tmp_path / "local", AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}"
        )
        assert (code, "the store of objects" in said) == (3, True), said
        assert time.monotonic() - began < HANGS_S
        url = f"postgresql://dagster@127.0.0.1:{port}/postgres"
        code, said = told(str(tmp_path / "home"), tmp_path / "home", FR_ENSEMBLE_DATABASE=url)
        assert (code, "the database doesn't answer" in said) == (3, True), said
