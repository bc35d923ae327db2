"""Dagster's settings in a home: its database, and who starts its runs.

The embedded ones are SQLite files and processes of this machine. Two variables of the environment
name others, and are written into the home's ``dagster.yaml`` as soon as a command sees them;
without them it stays as it is.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from upath import UPath

from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.objects import EXTRA
from fr_ensemble_assets.foundation.trouble import StorageTrouble, trouble_in
from fr_ensemble_assets.foundation.wording import shown

#: Dagster's settings, under its own home.
SETTINGS_FILE = "dagster.yaml"
#: ``postgresql://USER@HOST:5432/NAME``: Dagster's database. The password may stand in it, or in
#: PGPASSWORD or ~/.pgpass, as for every client of PostgreSQL.
DATABASE_VARIABLE = "FR_ENSEMBLE_DATABASE"
#: ``http://HEAD:8265``, a Ray cluster's dashboard: runs of the queue are its jobs.
CLUSTER_VARIABLE = "FR_ENSEMBLE_CLUSTER"
#: What SQLAlchemy is told: its default driver for PostgreSQL isn't the one that Dagster handles.
_DRIVER = "postgresql+psycopg2"
_SCHEME = re.compile(r"(postgresql|postgres)(\+psycopg2)?")
#: So long each address of the database may take to let us in (s); a name may have two.
_CONNECT_S = 3

_CLUSTER_LAUNCHER = {
    "module": "fr_ensemble_assets.doors.clusters",
    "class": "ClusterRunLauncher",
}

# Dagster warns at every command where this file is missing. A retried gate would only repeat its
# refusal, so retries are for crashes (a killed process), never for failures of ours; a crash is
# noticed by our launcher, which looks at the process itself. One run trains at a time: its seeds
# share all cores already.
_DAGSTER_YAML = """\
telemetry:
  enabled: false
nux:
  enabled: false
run_launcher:
  module: fr_ensemble_assets.doors.workers
  class: WatchedRunLauncher
run_monitoring:
  enabled: true
  poll_interval_seconds: 10
  start_timeout_seconds: 120
  max_resume_run_attempts: 0
run_retries:
  enabled: true
  max_retries: 2
  retry_on_asset_or_op_failure: false
concurrency:
  pools:
    default_limit: 1
    granularity: run
"""


def write(folder: Path) -> None:
    """Write ``dagster.yaml`` where there is none, and what the environment names where it differs.

    Raises
    ------
    UnusableInput
        If a variable names no database or cluster, or the file is no YAML.
    """
    settings = UPath(folder / SETTINGS_FILE)
    wanted = _wanted()
    if not settings.exists():
        text = _DAGSTER_YAML if not wanted else _yaml({**_parsed(_DAGSTER_YAML), **wanted})
    elif wanted and (told := _parsed(settings.read_text("utf-8"), settings)) != {**told, **wanted}:
        text = _yaml({**told, **wanted})
    else:
        return
    store.put(settings, text.encode())
    if "storage" in wanted:  # it may hold a password
        Path(str(settings)).chmod(0o600)


def are_the_embedded(folder: Path) -> bool:
    """Whether ``dagster.yaml`` is as :func:`write` writes it by itself."""
    try:
        return not _wanted() and (folder / SETTINGS_FILE).read_bytes() == _DAGSTER_YAML.encode()
    except (OSError, UnusableInput):
        return False


def require_services() -> None:
    """Ask the database that the environment names, before anything is written.

    Raises
    ------
    UnusableInput
        If the variable names none, the extra is missing, or the database doesn't let us in.
    StorageTrouble
        If it doesn't answer.
    """
    if database := os.environ.get(DATABASE_VARIABLE):
        require_database(_database_url(database))


def database_of(folder: Path) -> str | None:
    """The address of the database that ``dagster.yaml`` names; ``None`` where it is SQLite."""
    settings = UPath(folder / SETTINGS_FILE)
    if not settings.exists() or "postgres" not in (text := settings.read_text("utf-8")):
        return None
    told = _parsed(text, settings)
    try:
        return str(told["storage"]["postgres"]["postgres_url"])
    except (KeyError, TypeError):
        return None


@lru_cache(maxsize=8)
def require_database(url: str) -> None:
    """Connect once; asked once a process and address. Raises as :func:`require_services`."""
    # Dagster will want the first; importing it takes longer than an answer of the database.
    _require_packages(DATABASE_VARIABLE, "PostgreSQL", "dagster_postgres", "psycopg2")
    import psycopg2

    try:
        connect(url).close()
    except psycopg2.Error as error:
        found = " ".join(str(error).split())
        answered = "FATAL:" in found and "the database system is" not in found
        if answered or isinstance(error, psycopg2.ProgrammingError):
            raise UnusableInput(
                f"{without_password(url)}: expected a database of Dagster's that lets us in, found "
                f"'{shown(found, 200)}'; look at user, password and the database's name."
            ) from error
        trouble = trouble_in(found, without_password(url))
        raise trouble or StorageTrouble(f"{without_password(url)}: {shown(found, 200)}") from error


def _require_packages(variable: str, for_what: str, *packages: str) -> None:
    for package in packages:
        if find_spec(package) is None:
            raise UnusableInput(
                f"{variable}: expected the packages for {for_what}, found no '{package}'; install "
                f"them with 'pip install {EXTRA}'."
            )


def require_cluster() -> None:
    """Ask whether anybody is at the cluster that the environment names, before it is given runs.

    Raises
    ------
    UnusableInput
        If the variable names none, or the extra is missing.
    StorageTrouble
        If nobody is there.
    """
    if not (told := os.environ.get(CLUSTER_VARIABLE)):
        return
    _require_packages(CLUSTER_VARIABLE, "Ray", "dagster_ray", "ray")
    place = urlsplit(_cluster_address(told))
    try:
        port = place.port or (443 if place.scheme == "https" else 80)
        socket.create_connection((place.hostname or "", port), _CONNECT_S).close()
    except (OSError, ValueError) as error:
        raise StorageTrouble(
            f"{CLUSTER_VARIABLE} {told}: expected the dashboard of a Ray cluster, found "
            f"'{shown(getattr(error, 'strerror', None) or error)}'; start it, or mend the address, "
            "then type the same command."
        ) from error


def connect(url: str) -> Any:
    """A connection of psycopg2."""
    import psycopg2

    plain = re.sub(_SCHEME, "postgresql", url, count=1)
    # What stands in the address wins.
    limit = {} if "connect_timeout" in url else {"connect_timeout": _CONNECT_S}
    return psycopg2.connect(plain, **limit)


def without_password(url: str) -> str:
    """For messages."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1@", url)


def _wanted() -> dict[str, Any]:
    found: dict[str, Any] = {}
    if database := os.environ.get(DATABASE_VARIABLE):
        found["storage"] = {"postgres": {"postgres_url": _database_url(database)}}
    if cluster := os.environ.get(CLUSTER_VARIABLE):
        # A run waits for its parts, which are the cluster's work: it takes no CPU by itself.
        ray = {"address": _cluster_address(cluster), "num_cpus": 0}
        found["run_launcher"] = {**_CLUSTER_LAUNCHER, "config": {"ray": ray}}
    return found


def _database_url(text: str) -> str:
    scheme, there, rest = text.partition("://")
    if not there or not _SCHEME.fullmatch(scheme) or not urlsplit(text).path.strip("/"):
        raise UnusableInput(
            f"{DATABASE_VARIABLE}: expected postgresql://USER@HOST:5432/NAME, found "
            f"'{shown(without_password(text))}'."
        )
    return f"{_DRIVER}://{rest}"


def _cluster_address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UnusableInput(
            f"{CLUSTER_VARIABLE}: expected the address of a Ray dashboard such as "
            f"http://HEAD:8265, found '{shown(text)}'."
        )
    return text


def _parsed(text: str, where: UPath | None = None) -> dict[str, Any]:
    import yaml

    try:
        told = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        told = " ".join(str(error).split())[:300]
    if not isinstance(told, Mapping):
        raise UnusableInput(
            f"{where}: expected settings of Dagster, found '{told}'; mend the file, or remove it "
            "to have ours again."
        )
    return dict(told)


def _yaml(settings: Mapping[str, Any]) -> str:
    import yaml

    text: str = yaml.safe_dump(dict(settings), sort_keys=False)
    return text
