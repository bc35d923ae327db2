"""A home in a real S3 store: the same chain, few requests, whole candidates, one winner."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from upath import UPath

from fr_ensemble_assets.candidate.verify import verify_candidate
from fr_ensemble_assets.corpus.arrivals import MARKER_FILE, Memory, look_into, unchanged_arrival
from fr_ensemble_assets.corpus.reader import read_corpus
from fr_ensemble_assets.foundation import objects, seen, store, versions
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.operations.clean import list_stores, remove_stores
from fr_ensemble_assets.operations.run import Outcome
from fr_ensemble_tests.cluster.services import BUCKET, S3, counted_requests
from fr_ensemble_tests.conftest import Chain, Row, contents_of, run_in, write_rows

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("s3")]

MOST_REQUESTS = 150
FILES = {"a": b"1", "b": b"2", "manifest": b"a b"}


@pytest.fixture
def address() -> str:
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture
def requests(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[tuple[str, str]]]:
    monkeypatch.setattr(seen, "_BELIEVED_S", float("inf"))  # as if every step took no time
    with counted_requests(s3) as counted:
        yield counted


def forget() -> None:
    """As in a process that was just started."""
    seen.look_again()
    seen.forget_contents()


@pytest.fixture(scope="module")
def in_s3(
    s3_once: S3, promoted_once: Chain, rows: list[Row], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Home, UPath, Outcome]:
    """The chain of ``promoted_once``, over S3."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3_once.environment.items():
            patch.setenv(name, value)
        corpus = write_rows(promoted_once[0].parent / "corpus.jsonl", rows)
        home = Home.at(f"s3://{BUCKET}/promoted", tmp_path_factory.mktemp("s3") / "local")
        return home, corpus, run_in(home, corpus)


def test_the_candidate_is_the_local_one_to_the_byte(
    in_s3: tuple[Home, UPath, Outcome], promoted_once: Chain, tmp_path: Path
) -> None:
    home, _, outcome = in_s3
    local = Home.at(promoted_once[0])
    assert outcome.candidate_dir == home.candidate_dir(outcome.corpus_sha256)
    ours = contents_of(versions.standing(outcome.candidate_dir), tmp_path / "candidate")
    theirs = contents_of(local.candidate_dir(outcome.corpus_sha256), tmp_path / "theirs")
    assert ours == theirs
    assert contents_of(home.store, tmp_path / "store") == contents_of(
        local.store, tmp_path / "their store"
    )
    assert verify_candidate(outcome.candidate_dir).problems == ()


def test_a_run_in_which_everything_is_done_asks_little_and_writes_nothing(
    in_s3: tuple[Home, UPath, Outcome], requests: Counter[tuple[str, str]]
) -> None:
    home, corpus, before = in_s3
    forget()
    again = run_in(home, corpus)
    assert again.judgement.decision == before.judgement.decision
    assert 0 < sum(requests.values()) <= MOST_REQUESTS, requests.most_common(20)
    assert {operation for operation, _ in requests} <= {"ListObjectsV2", "GetObject"}
    # No content is read twice, however many sources and rows there are in it.
    assert max(n for (operation, _), n in requests.items() if operation == "GetObject") == 1


def test_requests_do_not_grow_with_sources_and_rows(
    address: str,
    few_rows: list[Row],
    rows: list[Row],
    tmp_path: Path,
    requests: Counter[tuple[str, str]],
) -> None:
    counts = []
    for number, chosen in enumerate((few_rows, rows)):
        home = Home.at(f"{address}/{number}", tmp_path / f"local{number}")
        corpus = write_rows(tmp_path / f"{number}.jsonl", chosen)
        run_in(home, corpus, epochs=1)
        forget()
        requests.clear()
        run_in(home, corpus, epochs=1)
        counts.append(sum(requests.values()))
    assert counts[0] == counts[1]


@pytest.mark.parametrize("publishers", [2, 8])
def test_publishers_at_once_leave_one_whole_winner(address: str, publishers: int) -> None:
    folder, start = UPath(address) / "candidate", threading.Barrier(publishers)
    told: list[str] = []

    def publish(number: int) -> None:
        files = {name: data * (number + 1) for name, data in FILES.items()}
        start.wait()
        try:
            versions.publish(folder, files, "manifest")
        except UnusableInput as error:
            told.append(str(error))

    threads = [threading.Thread(target=publish, args=(n,)) for n in range(publishers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    forget()
    standing = versions.standing(folder)
    lying = {name: store.read(standing / name, name) for name in store.names(standing)}
    assert lying in [{n: d * (k + 1) for n, d in FILES.items()} for k in range(publishers)]
    assert all("expected to be the only one that publishes here" in one for one in told)
    # Who lost took its files away again; who won later left those of who had won before.
    left = [version for version in versions.unpointed(folder) if objects.under(version)]
    assert len(left) == publishers - 1 - len(told)


def who_put_it(path: UPath, racers: int = 16) -> list[bytes]:
    """What each of those put who, of all that tried at once, were told that they had put it."""
    start, won = threading.Barrier(racers), []

    def put(number: int) -> None:
        start.wait()
        if store.put_new(path, b"%d" % number):
            won.append(b"%d" % number)

    threads = [threading.Thread(target=put, args=(n,)) for n in range(racers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return won


def test_of_those_who_put_a_new_object_at_once_one_has_put_it(address: str) -> None:
    path = UPath(address) / "pointer"
    assert who_put_it(path) == [store.read(path, "a pointer")]


def test_a_publisher_that_is_killed_leaves_what_stood(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = UPath(address) / "candidate"
    versions.publish(folder, FILES, "manifest")
    before = versions.standing(folder)
    with monkeypatch.context() as patched:
        patched.setattr(store, "put_new", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            versions.publish(folder, {**FILES, "a": b"other"}, "manifest")
    forget()
    assert versions.standing(folder) == before
    assert len(versions.unpointed(folder)) == 1
    versions.publish(folder, {**FILES, "a": b"other"}, "manifest")
    assert store.read(versions.standing(folder) / "a", "a") == b"other"


def test_versions_that_were_replaced_are_cleaned_and_the_standing_stays(
    address: str, tmp_path: Path
) -> None:
    home = Home.at(address, tmp_path / "local")
    folder = home.candidate_dir("0" * 64)
    for data in (b"first", b"second", b"third"):
        versions.publish(folder, {**FILES, "a": data}, "manifest")
    stores = list_stores(home)
    assert [kept.verdict for kept in stores] == ["replaced"] * 2
    assert remove_stores(home, stores) == sum(kept.size_bytes for kept in stores) > 0
    assert list_stores(home) == []
    assert store.read(versions.standing(folder) / "a", "a") == b"third"


def test_a_pointer_that_was_altered_is_told(address: str) -> None:
    folder = UPath(address) / "candidate"
    store.put_json(folder / versions.PUBLICATIONS / "00000001.json", {"version": "../../elsewhere"})
    with pytest.raises(UnusableInput, match="expected the name of a version"):
        versions.standing(folder)


def test_the_inbox_is_one_listing_and_each_content_is_taken_once(
    address: str, few_rows: list[Row], tmp_path: Path, requests: Counter[tuple[str, str]]
) -> None:
    inbox, memory = UPath(address) / "inbox", Memory()
    data = write_rows(tmp_path / "few.jsonl", few_rows).read_bytes()
    for name in ("a.jsonl", "copy.jsonl", "shards/1.jsonl", "notes.txt", ".hidden.jsonl"):
        store.put(inbox / name, data)

    def look() -> list[str]:
        nonlocal memory
        seen.look_again()
        found = look_into(inbox, Memory.from_text(memory.to_text()))
        memory = found.memory
        return [arrival.path.name for arrival in found.arrivals]

    assert look() == []
    assert look() == ["a.jsonl"]
    store.put(inbox / "shards" / MARKER_FILE, b"")
    assert look() == []
    assert look() == ["shards"]
    requests.clear()
    assert look() == []
    assert requests == {("ListObjectsV2", f"/{BUCKET}"): 1}
    store.put(inbox / "a.jsonl", data + data)
    assert [look(), look()] == [[], ["a.jsonl"]]


def test_an_arrival_that_is_replaced_is_not_read(
    address: str, few_rows: list[Row], tmp_path: Path
) -> None:
    inbox = UPath(address) / "inbox"
    data = write_rows(tmp_path / "few.jsonl", few_rows).read_bytes()
    store.put(inbox / "a.jsonl", data)
    memory = look_into(inbox, Memory()).memory
    (arrival,) = look_into(inbox, memory).arrivals
    with unchanged_arrival(arrival.path, arrival.sha256) as held:
        assert read_corpus(arrival.path, held).corpus.n_rows == len(few_rows)
    store.put(inbox / "a.jsonl", data + b"\n")
    with (
        pytest.raises(UnusableInput, match="it was replaced in the meantime"),
        unchanged_arrival(arrival.path, arrival.sha256),
    ):
        pass


def test_what_another_process_writes_is_seen_at_the_next_look(address: str) -> None:
    path = UPath(address) / "file"
    store.put(path, b"ours")
    assert store.read(path, "a file") == b"ours"
    path.fs.pipe_file(path.path, b"theirs")
    seen.look_again()
    assert store.read(path, "a file") == b"theirs"
