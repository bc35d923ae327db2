"""The inbox: what arrives is noticed by its content, once, and only when it is whole."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet
import pytest
from upath import UPath

from fr_ensemble_assets.corpus.arrival_digest import PIECE_BYTES, Budget, whole_digest
from fr_ensemble_assets.corpus.arrivals import (
    MARKER_FILE,
    Look,
    Memory,
    look_into,
    unchanged_arrival,
)
from fr_ensemble_assets.corpus.parsing import read_shard
from fr_ensemble_assets.definitions import build_definitions
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.operations.instance import open_instance
from fr_ensemble_assets.training.resources import RecipeResource
from fr_ensemble_tests.conftest import Row, write_rows


class Watcher:
    """Looks again and again, and remembers as the sensor does: through text."""

    def __init__(self, inbox: Path) -> None:
        self.inbox, self.cursor = inbox, ""

    def look(self, budget: Budget | None = None) -> Look:
        look = look_into(self.inbox, Memory.from_text(self.cursor), budget)
        self.cursor = look.memory.to_text()
        return look

    def names(self) -> list[str]:
        return [arrival.path.name for arrival in self.look().arrivals]


@pytest.fixture
def watcher(tmp_path: Path) -> Watcher:
    (tmp_path / "inbox").mkdir()
    return Watcher(tmp_path / "inbox")


def test_file_is_taken_once_it_stays_the_same(watcher: Watcher) -> None:
    (watcher.inbox / "a.jsonl").write_text("{}\n")
    assert watcher.names() == []
    assert watcher.names() == ["a.jsonl"]
    assert watcher.names() == []


def test_file_that_still_grows_waits(watcher: Watcher) -> None:
    path = watcher.inbox / "a.jsonl"
    for line in range(5):
        with path.open("a") as handle:
            handle.write(f"{line}\n")
        look = watcher.look()
        assert look.arrivals == ()
        assert look.remarks == ("'a.jsonl' waits until it is whole",)
    assert watcher.names() == ["a.jsonl"]


@pytest.mark.parametrize("kind", ["gzip", "parquet", "folder"])
def test_half_a_file_waits_until_it_is_whole(watcher: Watcher, kind: str) -> None:
    if kind == "folder":
        path = watcher.inbox / "shards"
        path.mkdir()
        (path / "a.jsonl").write_text("{}\n")
    else:
        path = watcher.inbox / ("a.jsonl.gz" if kind == "gzip" else "a.parquet")
        whole = gzip.compress(os.urandom(5000))
        if kind == "parquet":
            pyarrow.parquet.write_table(pa.table({"a": range(500)}), watcher.inbox / ".whole")
            whole = (watcher.inbox / ".whole").read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    assert [watcher.names(), watcher.names(), watcher.names()] == [[], [], []]
    if kind == "folder":
        (path / MARKER_FILE).touch()
    else:
        path.write_bytes(whole)
    assert [watcher.names(), watcher.names()] == [[], [path.name]]


def test_file_that_never_becomes_whole_is_taken_so_that_its_run_says_why(
    watcher: Watcher,
) -> None:
    (watcher.inbox / "broken.jsonl.gz").write_bytes(gzip.compress(b"{}" * 999)[:20])
    (watcher.inbox / "sound.jsonl").write_text("{}\n")
    assert [watcher.names() for _ in range(5)] == [[], ["sound.jsonl"], [], ["broken.jsonl.gz"], []]


def test_folder_waits_for_its_marker_as_long_as_it_takes(watcher: Watcher) -> None:
    """Its shards so far would pass for a smaller corpus."""
    (watcher.inbox / "shards").mkdir()
    (watcher.inbox / "shards" / "a.jsonl").write_text("{}\n")
    assert [watcher.names() for _ in range(10)] == [[]] * 10
    assert watcher.look().remarks == (f"'shards' waits until a file {MARKER_FILE} lies in it",)


def test_name_that_is_not_utf8_is_left_alone_and_holds_up_no_other(watcher: Watcher) -> None:
    (watcher.inbox / "shards").mkdir()
    for folder in (watcher.inbox, watcher.inbox / "shards"):
        Path(os.fsdecode(os.fsencode(folder) + b"/x\xff.jsonl")).write_text("{}\n")
    (watcher.inbox / "shards" / MARKER_FILE).touch()
    (watcher.inbox / "sound.jsonl").write_text("{}\n")
    assert [watcher.names(), watcher.names()] == [[], ["sound.jsonl"]]
    told = "'x\\udcff.jsonl' is left alone: its name is not UTF-8, rename it"
    assert watcher.look().remarks == (told, told)
    for said in watcher.look().remarks:
        said.encode("utf-8")  # the UI can show it


def test_sentences_about_entries_print(watcher: Watcher) -> None:
    (watcher.inbox / "a\x1b[2J\n.jsonl").write_text("{}\n")
    (watcher.inbox / "b\x1b[2J\n.jsonl").write_text("{}\n")
    said = [sentence for _ in range(2) for sentence in watcher.look().remarks]
    assert any("is skipped: its content came as" in sentence for sentence in said)
    assert all(sentence.isprintable() for sentence in said)


def test_link_to_the_inbox_is_no_folder_of_shards(watcher: Watcher) -> None:
    (watcher.inbox / "itself").symlink_to(watcher.inbox)
    (watcher.inbox / "above").symlink_to(watcher.inbox.parent)
    (watcher.inbox / MARKER_FILE).touch()
    assert [watcher.names(), watcher.names()] == [[], []]


def test_known_content_is_skipped_and_said_so(watcher: Watcher) -> None:
    path = watcher.inbox / "a.jsonl"
    path.write_text("{}\n")
    watcher.look(), watcher.look()
    shutil.copy(path, watcher.inbox / "copy.jsonl")
    os.utime(path)
    watcher.look()
    look = watcher.look()
    assert look.arrivals == ()
    assert "'copy.jsonl' is skipped: its content came as 'a.jsonl'" in look.remarks
    path.rename(watcher.inbox / "renamed.jsonl")
    watcher.look()
    assert "'renamed.jsonl' is skipped: its content came as 'a.jsonl'" in watcher.look().remarks


def test_other_content_under_the_same_name_is_new(watcher: Watcher) -> None:
    path = watcher.inbox / "a.jsonl"
    path.write_text("{}\n")
    watcher.look(), watcher.look()
    path.write_text("[]\n")
    os.utime(path, (0, 0))  # older than anything seen: time decides nothing
    assert [watcher.names(), watcher.names()] == [[], ["a.jsonl"]]


def test_files_that_are_no_corpus_are_left_alone(watcher: Watcher) -> None:
    (watcher.inbox / "notes.txt").write_text("hello")
    (watcher.inbox / ".hidden.jsonl").write_text("{}")
    assert (watcher.names(), watcher.look().remarks) == ([], ())


@pytest.mark.parametrize("cursor", [None, "", "rubbish", "{}", '{"version": 99}'])
def test_memory_that_can_not_be_read_is_empty(cursor: str | None) -> None:
    assert Memory.from_text(cursor) == Memory()


def test_what_was_noticed_is_what_must_be_read(watcher: Watcher) -> None:
    path = watcher.inbox / "a.jsonl"
    path.write_text("{}\n")
    watcher.look()
    (arrival,) = watcher.look().arrivals
    with unchanged_arrival(path, arrival.sha256):
        assert path.read_text() == "{}\n"
    with (
        pytest.raises(UnusableInput, match="one that changed while it was read"),
        unchanged_arrival(path, arrival.sha256),
    ):
        path.write_text("{}\n")  # the same bytes, by another hand
    path.write_text("[]\n")
    with (
        pytest.raises(UnusableInput, match="it was replaced in the meantime"),
        unchanged_arrival(path, arrival.sha256),
    ):
        pytest.fail("nothing is read of what was not noticed")


# --- what is large, or becomes it ---------------------------------------------------------------


def write_bomb(path: Path, megabytes: int) -> None:
    """Zeros, as gzip packs them best: a thousandth of their size."""
    with gzip.open(path, "wb", compresslevel=9) as handle:
        for _ in range(megabytes):
            handle.write(bytes(1 << 20))


def test_gzip_that_expands_beyond_measure_holds_up_no_other_and_its_run_refuses_it(
    watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bomb(watcher.inbox / "bomb.jsonl.gz", 200)
    (watcher.inbox / "good.jsonl").write_text("{}\n")
    with monkeypatch.context() as patch:
        patch.setattr(gzip, "GzipFile", None)  # a look unpacks nothing
        taken = [watcher.names() for _ in range(4)]
    assert taken == [[], ["good.jsonl"], [], ["bomb.jsonl.gz"]]
    with pytest.raises(
        UnusableInput, match="expected at most 200 times its packed size in a gzip, found "
    ):
        read_shard(UPath(watcher.inbox / "bomb.jsonl.gz"))


def test_large_file_is_read_over_several_looks_after_the_small_ones(watcher: Watcher) -> None:
    large = watcher.inbox / "a-large.jsonl"
    large.write_bytes(b"0" * (3 * PIECE_BYTES + 5))
    (watcher.inbox / "z-small.jsonl").write_text("{}\n")
    watcher.look()
    looks = [watcher.look(Budget(PIECE_BYTES)) for _ in range(5)]
    assert [[a.path.name for a in look.arrivals] for look in looks] == [
        *(["z-small.jsonl"], [], [], ["a-large.jsonl"], [])
    ]
    assert looks[0].remarks == ("'a-large.jsonl' is being read, 50 MB take more than one look",)
    assert looks[3].arrivals[0].sha256 == whole_digest([large], as_folder=False)


def test_large_file_that_changes_while_it_is_read_is_read_from_its_start(
    watcher: Watcher,
) -> None:
    large = watcher.inbox / "large.jsonl"
    large.write_bytes(b"0" * (2 * PIECE_BYTES))
    watcher.look(), watcher.look(Budget(PIECE_BYTES))
    large.write_bytes(b"1" * (2 * PIECE_BYTES))
    assert watcher.look(Budget(PIECE_BYTES)).arrivals == ()
    (arrival,) = watcher.look().arrivals
    assert arrival.sha256 == whole_digest([large], as_folder=False)


def test_folder_is_read_over_several_looks(watcher: Watcher) -> None:
    folder = watcher.inbox / "shards"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.jsonl").write_text(f'{{"{name}": 1}}\n')
    (folder / MARKER_FILE).touch()
    watcher.look()
    assert [bool(watcher.look(Budget(1)).arrivals) for _ in range(4)] == [
        *(False, False, True, False)
    ]


# --- through Dagster ------------------------------------------------------------------------


def test_sensor_is_on_and_starts_the_whole_chain(tmp_path: Path, few_rows: list[Row]) -> None:
    home = Home.at(tmp_path / "home")
    home.prepare()
    definitions = build_definitions(
        home=HomeResource(path=str(home.root)), recipe=RecipeResource(epochs=2)
    )
    sensor = definitions.resolve_sensor_def("corpus_inbox")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    write_rows(Path(home.inbox) / "arrived.jsonl", few_rows)
    with open_instance(home) as instance:
        cursor = None
        for _ in range(2):
            context = dg.build_sensor_context(
                instance, cursor, definitions=definitions, resources=definitions.resources
            )
            ticked = sensor.evaluate_tick(context)
            cursor = ticked.cursor
        (request,) = ticked.run_requests
        result = definitions.resolve_job_def("train_ensemble").execute_in_process(
            instance=instance,
            run_config=request.run_config,
            tags=request.tags,
            raise_on_error=False,
        )
        told = {
            event.asset_key.to_user_string(): event.step_materialization_data.materialization
            for event in result.all_events
            if event.event_type_value == "ASSET_MATERIALIZATION"
        }
    assert told["corpus"].metadata["read_from"].value.endswith("arrived.jsonl")
    (verdict,) = home.store.glob("*/loso-*/HOLD.json")  # two epochs are a dry run
    assert json.loads(verdict.read_text())["verdict"] == "HOLD"
    assert list(home.candidates.iterdir()) == []
