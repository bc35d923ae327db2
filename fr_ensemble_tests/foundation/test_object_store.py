"""The whole chain over a store of objects: what is kept there, and what still needs a disk."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from fr_ensemble_assets.foundation import objects, store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.foundation.trouble import StorageTrouble
from fr_ensemble_assets.foundation.versions import standing
from fr_ensemble_assets.operations.clean import list_stores, remove_stores
from fr_ensemble_assets.operations.status import status_of
from fr_ensemble_tests.conftest import Chain, Row, contents_of, run_in, write_rows

#: What needs a disk, whatever the root is.
LOCAL = {"cells", "clips", "dagster", "logs"}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.at(f"memory://{uuid.uuid4().hex}/home", tmp_path / "local")


@pytest.mark.slow
def test_the_chain_keeps_the_same_bytes_in_a_store_of_objects(
    home: Home, promoted_once: Chain, rows: list[Row], tmp_path: Path
) -> None:
    corpus = write_rows(promoted_once[0].parent / "corpus.jsonl", rows)
    outcome = run_in(home, corpus)
    assert outcome.candidate_dir == home.candidate_dir(outcome.corpus_sha256)
    local = Home.at(promoted_once[0])
    for number, (ours, theirs) in enumerate(
        (
            (home.store, local.store),
            (standing(outcome.candidate_dir), local.candidate_dir(outcome.corpus_sha256)),
        )
    ):
        copied = (tmp_path / f"{name}{number}" for name in ("ours", "theirs"))
        assert contents_of(ours, next(copied)) == contents_of(theirs, next(copied))
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
    cells, *stores = list_stores(home)
    assert (cells.kind, cells.verdict, bool(cells.kept_for)) == ("cells", "4 of 5 PASS", True)
    assert [(kept.verdict, bool(kept.kept_for)) for kept in stores] == [
        ("HOLD", True),
        ("HOLD", False),
    ]
    assert remove_stores(home, stores[1:]) == stores[1].size_bytes > 0
    assert [kept.folder for kept in list_stores(home)] == [cells.folder, stores[0].folder]


def test_what_needs_a_disk_is_given_one(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match="expected a local folder"):
        Home.at("memory://somewhere", tmp_path / "100%")
    one_folder = Home.at(tmp_path)
    assert one_folder.local == Path(str(one_folder.root)) == tmp_path


def test_an_address_has_a_folder_of_its_own_for_what_needs_a_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("FR_ENSEMBLE_LOCAL", raising=False)
    one, same, other = (Home.at(f"memory://{name}/home") for name in ("a-b", "a-b", "a"))
    assert one.local == same.local != other.local
    assert one.local.parent == tmp_path / "fr-ensemble"
    assert one.local.name.startswith("memory-a-b-home-")
    monkeypatch.setenv("FR_ENSEMBLE_LOCAL", str(tmp_path / "chosen"))
    assert Home.at("memory://a/home").local == tmp_path / "chosen"
    assert Home.at(tmp_path / "home").local == tmp_path / "home"


MD5 = "900150983cd24fb0d6963f7d28e17f72"


@pytest.mark.parametrize(
    ("record", "md5"),
    [
        ({"ETag": f'"{MD5}"'}, MD5),
        ({"ETag": f'"{MD5}-2"'}, ""),
        ({"etag": "CJ", "md5Hash": "kAFQmDzST7DWlj99KOF/cg=="}, MD5),
        # Whoever writes to Azure's says which MD5 it is to tell.
        ({"etag": '"0x1"', "content_settings": {"content_md5": bytearray.fromhex(MD5)}}, ""),
        ({"type": "directory"}, ""),
    ],
)
def test_the_md5_is_read_where_a_vendor_computes_it(record: dict[str, Any], md5: str) -> None:
    assert objects.md5_told(record) == md5


def test_a_refusal_is_an_error_of_the_system_and_silence_stays_what_it_is() -> None:
    with pytest.raises(OSError, match="^no$"), objects.as_os_errors():
        raise ValueError("no\n<Error/>")
    with pytest.raises(StorageTrouble), objects.as_os_errors():
        raise StorageTrouble("gone")
    with pytest.raises(FileNotFoundError), objects.as_os_errors():
        raise FileNotFoundError


@pytest.mark.parametrize(("scheme", "package"), [("gs", "gcsfs"), ("az", "adlfs"), ("s3", "fr-")])
def test_a_driver_that_is_missing_is_named(scheme: str, package: str) -> None:
    said = objects.missing_driver(f"{scheme}://bucket/home", ImportError())
    assert f"pip install {package}" in str(said)
    closed = objects.missing_driver(f"{scheme}://bucket/home", ValueError("no account"))
    assert "found 'no account'; look at the bucket's name and at the credentials (" in str(closed)
