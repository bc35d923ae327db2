"""Dagster's storage on PostgreSQL: whether it is made, and made by one process at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from fr_ensemble_assets.foundation.orchestration import connect

#: Tables of Dagster's three storages, and the stamp of their form, which is given last.
_TABLES = ("runs", "event_logs", "concurrency_limits", "instigators", "alembic_version")
#: The number by which those who make the tables know each other; PostgreSQL frees it when whoever
#: holds it ends, even killed.
_LOCK = 0x66725F656E73656D


def is_initialised(url: str) -> bool:
    """Whether the tables are there."""
    with closing(connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(to_regclass(name)) FROM unnest(%s) AS name", [list(_TABLES)])
        (count,) = cursor.fetchone()
    return int(count) == len(_TABLES)


@contextmanager
def alone(url: str) -> Iterator[None]:
    """Be the only one, on any host, who makes the tables while the block runs."""
    with closing(connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        yield
