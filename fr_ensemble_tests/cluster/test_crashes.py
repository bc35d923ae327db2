"""kill -9 of the store and of the database under a run: the same bytes, no run left at work."""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from upath import UPath

from fr_ensemble_assets.foundation import seen, store, versions
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.operations.instance import close_dead_runs, open_instance, unfinished_runs
from fr_ensemble_tests.cluster.services import BUCKET, S3, Postgres
from fr_ensemble_tests.conftest import Chain, Row, contents_of, write_rows
from fr_ensemble_tests.platform import COMMAND

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

_PATIENCE_S = 400.0
#: So long a service is away.
_AWAY_S = 4.0


@contextmanager
def typed(home: Home, corpus: UPath) -> Iterator[subprocess.Popen[str]]:
    """``fr-ensemble run``, as somebody types it."""
    process = subprocess.Popen(
        [COMMAND, "run", "--home", str(home.root), "--corpus", str(corpus)],
        env={**os.environ, "FR_ENSEMBLE_LOCAL": str(home.local)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def wait_for(seen_now: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + _PATIENCE_S
    while not seen_now():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.2)


def until_it_is_done(
    home: Home, corpus: UPath, disturb: Callable[[Callable[[], None]], None]
) -> None:
    """Type the command until it is done; whoever disturbs it gets a way to wait for a seed."""

    with typed(home, corpus) as process:

        def a_seed_is_done() -> bool:
            seen.look_again()
            try:
                corpora = store.folders(home.store)
                inside = [folder for one in corpora for folder in store.folders(one)]
                return any("loso_seed1.json" in store.names(folder) for folder in inside)
            except OSError:
                return False

        disturb(lambda: wait_for(a_seed_is_done, process))
        said, _ = process.communicate(timeout=_PATIENCE_S)
        # It rode it out, or it says in a sentence that a service was gone.
        assert process.returncode in (0, 3), said
        assert "Traceback" not in said
    if process.returncode == 0:
        return
    assert "type the same command" in said, said
    with typed(home, corpus) as process:
        said, _ = process.communicate(timeout=_PATIENCE_S)
        assert process.returncode == 0, said


def assert_as_undisturbed(home: Home, promoted: Chain, folder: Path) -> None:
    local, sha256 = Home.at(promoted[0]), promoted[1].corpus_sha256
    seen.look_again()
    for number, (ours, theirs) in enumerate(
        (
            (home.store, local.store),
            (versions.standing(home.candidate_dir(sha256)), local.candidate_dir(sha256)),
        )
    ):
        copies = (folder / f"{whose}{number}" for whose in ("ours", "theirs"))
        assert contents_of(ours, next(copies)) == contents_of(theirs, next(copies))
    with open_instance(home) as instance:
        close_dead_runs(instance)
        assert unfinished_runs(instance) == []


def test_the_store_is_killed_under_a_run(
    s3: S3, promoted_once: Chain, rows: list[Row], tmp_path: Path
) -> None:
    home = Home.at(f"s3://{BUCKET}/{uuid.uuid4().hex}", tmp_path / "local")
    corpus = write_rows(promoted_once[0].parent / "corpus.jsonl", rows)

    def disturb(wait: Callable[[], None]) -> None:
        wait()
        s3.kill()
        time.sleep(_AWAY_S)
        s3.start()

    until_it_is_done(home, corpus, disturb)
    assert_as_undisturbed(home, promoted_once, tmp_path)


def test_the_database_is_killed_under_a_run(
    postgres: Postgres,
    promoted_once: Chain,
    rows: list[Row],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FR_ENSEMBLE_DATABASE", postgres.url)
    home = Home.at(tmp_path / "home")
    corpus = write_rows(promoted_once[0].parent / "corpus.jsonl", rows)

    def disturb(wait: Callable[[], None]) -> None:
        wait()
        postgres.kill()
        time.sleep(_AWAY_S)
        postgres.start()

    until_it_is_done(home, corpus, disturb)
    assert_as_undisturbed(home, promoted_once, tmp_path)
