"""What Dagster's records say at a glance, for whoever only looks: without importing Dagster.

That import takes longer than all else that ``status`` does. A glance answers only where nothing is
in doubt: over our own settings, and databases whose tables have the form that is known here.
Everything else is left to Dagster itself.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from fr_ensemble_assets.foundation.digests import is_digest
from fr_ensemble_assets.foundation.home import Home

#: Dagster's databases under its home: of runs and backfills, and of what was materialised.
RUNS_DATABASE, EVENTS_DATABASE = "history/runs.db", "history/runs/index.db"
#: States that a backfill, or a run, never leaves.
BACKFILL_ENDED = frozenset(
    {"COMPLETED", "COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED", "CANCELED"}
)
RUN_ENDED = frozenset({"SUCCESS", "FAILURE", "CANCELED"})
#: The form of the tables that is read here, as Dagster stamps it.
_FORM = "29b539ebc72a"
_CORPUS, _CELLS = '["corpus"]', '["planning_corpus"]'


@dataclass(frozen=True)
class Glance:
    """What was seen.

    Attributes
    ----------
    corpus_sha256
        The corpus that a run materialised last; ``None`` if none did.
    skipped
        How many newer materialisations of it were only reported.
    at_work
        Whether a run or a backfill waits or is at work.
    cells_sha256
        The planning cells that a run materialised last; ``None`` if none did.
    """

    corpus_sha256: str | None
    skipped: int
    at_work: bool
    cells_sha256: str | None = None


def glance_at(home: Home) -> Glance | None:
    """What stands in the records under ``home``; ``None`` where Dagster has to be asked.

    That is: in a home that was never opened, with other settings than ours, after an upgrade that
    changed the tables, when materialisations of the corpus were wiped, and wherever anything can't
    be read as expected.
    """
    if not home.has_our_settings:
        return None
    try:
        with _opened(home, RUNS_DATABASE) as runs, _opened(home, EVENTS_DATABASE) as events:
            if any(map(_other_form, (runs, events))) or _wiped(events):
                return None
            (sha256, skipped), (cells, _) = _newest(events, _CORPUS), _newest(events, _CELLS)
            return Glance(sha256, skipped, _at_work(runs), cells)
    except (sqlite3.Error, ValueError, KeyError, TypeError):
        return None


@contextmanager
def _opened(home: Home, name: str) -> Iterator[sqlite3.Connection]:
    path = home.dagster / name
    # SQLite makes files beside a database even to read it; where it can't, nobody writes either, as
    # long as no file of a writer lies there.
    still = not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists()
    uri = f"{path.as_uri()}?{'immutable=1' if still else 'mode=ro'}"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        yield connection


def _other_form(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT version_num FROM alembic_version").fetchall() != [(_FORM,)]


def _wiped(events: sqlite3.Connection) -> bool:
    query = (
        "SELECT count(*) FROM asset_keys WHERE asset_key IN (?, ?) AND wipe_timestamp IS NOT NULL"
    )
    (count,) = events.execute(query, (_CORPUS, _CELLS)).fetchone()
    return int(count) > 0


def _at_work(runs: sqlite3.Connection) -> bool:
    states = (("runs", RUN_ENDED), ("bulk_actions", BACKFILL_ENDED))
    return any(
        state not in ended
        for table, ended in states
        for (state,) in runs.execute(f"SELECT DISTINCT status FROM {table}")
    )


def _newest(events: sqlite3.Connection, key: str) -> tuple[str | None, int]:
    """As :func:`~fr_ensemble_assets.corpus.in_use.newest_corpus` chooses."""
    query = (
        "SELECT run_id, event FROM event_logs WHERE asset_key = ? "
        "AND dagster_event_type = 'ASSET_MATERIALIZATION' ORDER BY id DESC"
    )
    skipped = 0
    for run_id, text in events.execute(query, (key,)):
        told = json.loads(text)["dagster_event"]["event_specific_data"]["materialization"]["tags"]
        version = told.get("dagster/data_version")
        if run_id and isinstance(version, str) and is_digest(version):
            return version, skipped
        skipped += 1
    return None, skipped
