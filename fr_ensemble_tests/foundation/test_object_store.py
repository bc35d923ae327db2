"""The whole chain over a store of objects: what is kept there, and what still needs a disk."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from upath import UPath

from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.foundation.progress import Silent
from fr_ensemble_assets.operations.clean import list_stores, remove_stores
from fr_ensemble_assets.operations.run import Outcome, Plan, run_ensemble
from fr_ensemble_assets.operations.status import status_of
from fr_ensemble_tests.conftest import Chain, Row, without_times, write_rows

#: What needs a disk, whatever the root is.
LOCAL = {"cells", "clips", "dagster", "logs"}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.at(f"memory://{uuid.uuid4().hex}/home", tmp_path / "local")


def run_in(home: Home, corpus: UPath, epochs: int = 200) -> Outcome:
    return run_ensemble(Plan(home, str(corpus), ENSEMBLE.units, epochs, force=False), Silent())


def copy_of(folder: UPath, to: Path) -> Path:
    """The objects as files, where tools for files can look at them."""
    for name in store.names(folder):
        if (folder / name).is_dir():
            copy_of(folder / name, to / name)
        else:
            to.mkdir(parents=True, exist_ok=True)
            (to / name).write_bytes((folder / name).read_bytes())
    return to


def contents(folder: Path) -> dict[str, object]:
    """All files but their times, by name."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): without_times(path) for path in files}


@pytest.mark.slow
def test_the_chain_keeps_the_same_bytes_in_a_store_of_objects(
    home: Home, promoted_once: Chain, rows: list[Row], tmp_path: Path
) -> None:
    corpus = write_rows(promoted_once[0].parent / "corpus.jsonl", rows)
    outcome = run_in(home, corpus)
    assert outcome.candidate_dir == home.candidate_dir(outcome.corpus_sha256)
    copied = copy_of(home.root, tmp_path / "copied")
    for folder in ("store", "candidates"):
        assert contents(copied / folder) == contents(promoted_once[0] / folder)
    found = status_of(home)
    assert [candidate.problems for candidate in found.candidates] == [()]
    assert {path.name for path in home.local.iterdir()} == LOCAL
    assert list(home.scratch.iterdir()) == []


def test_a_dry_run_over_a_store_of_objects_is_looked_at_and_cleaned(
    home: Home, few_rows: list[Row], tmp_path: Path
) -> None:
    written = write_rows(tmp_path / "few.jsonl", few_rows)
    corpus = home.inbox / "few.jsonl"
    store.put(corpus, written.read_bytes())
    first = run_in(home, corpus, epochs=1)
    assert first.candidate_dir is None
    results = [store.read(first.results_dir / f"loso_seed{s}.json", "results") for s in range(5)]
    again = run_in(home, corpus, epochs=1)
    assert again.judgement.decision == first.judgement.decision
    # What is done is done: nothing was trained, nothing written again.
    assert results == [
        store.read(again.results_dir / f"loso_seed{s}.json", "results") for s in range(5)
    ]
    more = write_rows(tmp_path / "more.jsonl", few_rows[:-1])
    run_in(home, more, epochs=1)
    stores = list_stores(home)
    assert [(kept.verdict, bool(kept.kept_for)) for kept in stores] == [
        ("HOLD", True),
        ("HOLD", False),
    ]
    assert remove_stores(home, stores[1:]) == stores[1].size_bytes > 0
    assert [kept.folder for kept in list_stores(home)] == [stores[0].folder]


def test_what_needs_a_disk_is_given_one(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match="expected a local folder"):
        Home.at("memory://somewhere")
    one_folder = Home.at(tmp_path)
    assert one_folder.local == Path(str(one_folder.root)) == tmp_path
