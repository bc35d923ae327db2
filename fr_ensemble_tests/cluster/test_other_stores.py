"""Homes in Azure's and Google's stores, as their emulators have them, by their usual drivers."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest
from upath import UPath

from fr_ensemble_assets.corpus.arrivals import MARKER_FILE, Memory, look_into
from fr_ensemble_assets.foundation import objects, seen, store, versions
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.foundation.trouble import StorageTrouble
from fr_ensemble_assets.operations.clean import list_stores, remove_stores
from fr_ensemble_tests.cluster.emulators import Azure, Emulator, Google, refusing
from fr_ensemble_tests.cluster.services import BUCKET, free_ports
from fr_ensemble_tests.cluster.test_object_store import FILES, MOST_REQUESTS, forget, who_put_it
from fr_ensemble_tests.cluster.test_refusals import told
from fr_ensemble_tests.conftest import Row, contents_of, run_in, write_rows

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module", params=[Azure, Google], ids=["az", "gs"])
def emulator(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Emulator]:
    kind: type[Emulator] = request.param
    pytest.importorskip(kind.driver, reason=f"expected the driver; 'pip install {kind.driver}'")
    server = kind(tmp_path_factory.mktemp(kind.scheme))
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        try:
            fsspec.filesystem(kind.scheme).mkdir(BUCKET)
            yield server
        finally:
            server.kill()


@pytest.fixture
def address(emulator: Emulator) -> str:
    return f"{emulator.home}/{uuid.uuid4().hex}"


@pytest.fixture
def asked(emulator: Emulator) -> Callable[[], list[str]]:
    """The methods of the requests since it was last called."""
    before = len(emulator.requests())

    def since() -> list[str]:
        nonlocal before
        found = emulator.requests()[before:]
        before += len(found)
        return [method for method, _ in found]

    return since


def test_a_run_leaves_what_a_local_one_leaves_and_done_again_asks_little_and_writes_nothing(
    emulator: Emulator,
    address: str,
    asked: Callable[[], list[str]],
    few_rows: list[Row],
    tmp_path: Path,
) -> None:
    corpus = write_rows(tmp_path / "few.jsonl", few_rows)
    there, here = Home.at(address, tmp_path / "local"), Home.at(tmp_path / "home")
    for home in (there, here):
        run_in(home, corpus, epochs=1)
    ours, theirs = (contents_of(h.store, tmp_path / f"of {h.root.name}") for h in (there, here))
    assert ours == theirs
    forget()
    asked()
    run_in(there, corpus, epochs=1)
    methods = asked()
    assert set(methods) <= {"GET", "HEAD"}
    # Azure's tells no MD5 that could be believed: what was read is read again.
    assert 0 < len(methods) <= (MOST_REQUESTS if emulator.scheme == "gs" else 2 * MOST_REQUESTS)


def test_a_publication_is_read_back_whole_and_the_next_replaces_it(
    address: str, tmp_path: Path
) -> None:
    home = Home.at(address, tmp_path / "local")
    folder = home.candidate_dir("0" * 64)
    for data in (b"first", b"second", b"third"):
        files = {**FILES, "a": data}
        versions.publish(folder, files, "manifest")
        forget()
        assert store.files_in(versions.standing(folder)) == files
    stores = list_stores(home)
    assert [kept.verdict for kept in stores] == ["replaced"] * 2
    assert remove_stores(home, stores) == sum(kept.size_bytes for kept in stores) > 0
    assert list_stores(home) == []
    assert store.read(versions.standing(folder) / "a", "a") == b"third"


def test_of_those_who_put_a_new_object_at_once_one_has_put_it(address: str) -> None:
    path = UPath(address) / "pointer"
    assert who_put_it(path) == [store.read(path, "a pointer")]


def test_publishers_at_once_leave_one_whole_winner(address: str) -> None:
    folder, start, lost = UPath(address) / "candidate", threading.Barrier(8), []

    def publish(number: int) -> None:
        files = {name: data * (number + 1) for name, data in FILES.items()}
        start.wait()
        try:
            versions.publish(folder, files, "manifest")
        except UnusableInput as error:
            lost.append(str(error))

    threads = [threading.Thread(target=publish, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    forget()
    lying = store.files_in(versions.standing(folder))
    assert lying in [{name: d * (k + 1) for name, d in FILES.items()} for k in range(8)]
    assert all("expected to be the only one that publishes here" in one for one in lost)
    left = [version for version in versions.unpointed(folder) if objects.under(version)]
    assert len(left) == 7 - len(lost)


def test_what_was_read_is_neither_read_nor_put_again_and_what_others_write_is_seen(
    emulator: Emulator, address: str, asked: Callable[[], list[str]]
) -> None:
    path = UPath(address) / "file"
    store.put(path, b"ours")
    forget()
    assert store.read(path, "a file") == b"ours"
    asked()
    store.put(path, b"ours")
    assert store.read(path, "a file") == b"ours"
    if emulator.scheme == "gs":
        assert asked() == []
    path.fs.pipe_file(path.path, b"theirs")
    seen.look_again()
    assert store.read(path, "a file") == b"theirs"


def test_a_content_under_the_md5_of_another_is_not_taken_for_it(
    emulator: Emulator, address: str
) -> None:
    """Who commits a block list to Azure's names the MD5 that it tells; nobody computes it."""
    if emulator.scheme != "az":
        pytest.skip("expected a store that tells the MD5 that its writer names; Google's doesn't")
    from azure.storage.blob import BlobBlock, BlobServiceClient, ContentSettings

    path = UPath(address) / "file"
    store.put(path, b"honest")
    forget()
    assert store.read(path, "a file") == b"honest"
    service = BlobServiceClient.from_connection_string(
        emulator.environment["AZURE_STORAGE_CONNECTION_STRING"], api_version="2023-11-03"
    )
    blob = service.get_blob_client(BUCKET, path.path.split("/", 1)[1])
    blob.stage_block("b25l", b"forged")
    told = ContentSettings(content_md5=bytearray(hashlib.md5(b"honest").digest()))
    blob.commit_block_list([BlobBlock("b25l")], content_settings=told)
    seen.look_again()
    assert store.read(path, "a file") == b"forged"
    store.put(path, b"honest")
    forget()
    assert store.read(path, "a file") == b"honest"


def test_what_a_store_refuses_in_mid_run_is_told_in_a_sentence(emulator: Emulator) -> None:
    there = UPath(f"{emulator.scheme}://no-such-{uuid.uuid4().hex}/pointer")
    with pytest.raises((UnusableInput, StorageTrouble)):
        store.put_new(there, b"ours")


def test_the_inbox_tells_what_is_new_what_changed_and_what_is_a_copy(
    address: str, few_rows: list[Row], tmp_path: Path
) -> None:
    inbox, memory = UPath(address) / "inbox", Memory()
    data = write_rows(tmp_path / "few.jsonl", few_rows).read_bytes()

    def look() -> list[str]:
        nonlocal memory
        seen.look_again()
        found = look_into(inbox, Memory.from_text(memory.to_text()))
        memory = found.memory
        return [arrival.path.name for arrival in found.arrivals]

    assert look() == []
    names = ("a b.jsonl", "copy.jsonl", "shards/1.jsonl", "notes.txt", ".hidden.jsonl")
    for name in names:
        store.put(inbox / name, data)
    assert [look(), look(), look()] == [[], ["a b.jsonl"], []]
    store.put(inbox / "shards" / MARKER_FILE, b"")
    assert [look(), look(), look()] == [[], ["shards"], []]
    store.put(inbox / "a b.jsonl", data + data)
    assert [look(), look(), look()] == [[], ["a b.jsonl"], []]


def test_a_store_that_cannot_be_used_is_told_and_nothing_is_written(
    emulator: Emulator, tmp_path: Path
) -> None:
    local, home, scheme = tmp_path / "local", f"{emulator.home}/home", emulator.scheme
    for code, found, address, environment in (
        (3, "look whether it runs", home, emulator.told(free_ports(1)[0])),
        (2, "no such bucket or container: none-such", f"{scheme}://none-such/home", {}),
        (2, "expected a bucket and a prefix", f"{scheme}://", {}),
        *((2, text, home, told_wrong) for text, told_wrong in emulator.wrong()),
    ):
        told_code, said = told(address, local, **environment)
        assert (told_code, found in said) == (code, True), said
        assert "AWS_" not in said


@pytest.mark.parametrize(("status", "code"), [(403, 2), (401, 3)])
def test_what_google_says_of_wrong_credentials_is_told(
    status: int, code: int, tmp_path: Path
) -> None:
    """Its emulator takes whatever it is shown. A 401 its driver takes for a passing one."""
    pytest.importorskip("gcsfs", reason="expected gcsfs, found none; 'pip install gcsfs'")
    with refusing(status) as port:
        environment = Google(tmp_path).told(port)
        told_code, said = told(f"gs://{BUCKET}/home", tmp_path / "local", **environment)
    assert told_code == code, said
    assert "the credentials (GOOGLE_APPLICATION_CREDENTIALS" in said


@pytest.mark.parametrize("kind", [Azure, Google], ids=["az", "gs"])
def test_without_its_driver_the_command_says_what_to_install(
    kind: type[Emulator], tmp_path: Path
) -> None:
    code = (
        f"import sys; sys.modules[{kind.driver!r}] = None; sys.argv[0] = 'fr-ensemble'\n"
        "from fr_ensemble_assets.cli.main import main; main()"
    )
    local = tmp_path / "local"
    done = subprocess.run(
        [sys.executable, "-c", code, "status", "--home", f"{kind.scheme}://bucket/home"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "FR_ENSEMBLE_LOCAL": str(local)},
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert f"pip install {kind.driver}" in done.stderr
    assert not local.exists()
