"""The clips folder: what appears there is looked into, and its shards are made, once."""

from __future__ import annotations

import shutil
from pathlib import Path

import dagster as dg
import pytest

from fr_ensemble_assets.clips.ffmpeg import Children, find_ffmpeg
from fr_ensemble_assets.clips.inventory import (
    clip_files,
    inventory_file,
    save_inventory,
    take_inventory,
)
from fr_ensemble_assets.definitions import build_definitions
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.encodes.arrivals import Look, Memory, look_into, remember_scored
from fr_ensemble_assets.encodes.assets import GridResource
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.operations.instance import open_instance
from fr_ensemble_tests.video import MakeClip


class Watcher:
    """Looks again and again, and remembers as the sensor does: through text."""

    def __init__(self, home: Home) -> None:
        self.home, self.cursor = home, ""

    def look(self) -> Look:
        look = look_into(self.home, Memory.from_text(self.cursor))
        self.cursor = remember_scored(look.memory, look.unscored).to_text()
        return look


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home.at(tmp_path / "home")
    made.prepare()
    return made


@pytest.fixture
def watcher(home: Home) -> Watcher:
    return Watcher(home)


def list_clips(home: Home) -> None:
    """What the run does that the sensor asks for."""
    with Children() as children:
        files, _ = clip_files([Path(str(home.clips))])
        found = take_inventory(find_ffmpeg(""), children, files, raw=None)
    save_inventory(inventory_file(home), found)


def test_empty_folder_asks_for_nothing(watcher: Watcher) -> None:
    for _ in range(3):
        look = watcher.look()
        assert (look.listing, look.unscored) == (None, ())


def test_clip_that_is_still_copied_waits(watcher: Watcher, home: Home) -> None:
    for size in (10, 20, 30):
        (Path(str(home.clips)) / "a.mkv").write_bytes(b"." * size)
        look = watcher.look()
        assert look.listing is None
        assert look.remarks == ("the clips folder changes; waiting until it stays the same",)
    assert watcher.look().listing is not None
    assert watcher.look().listing is None


def test_each_content_of_a_clip_is_scored_once(
    watcher: Watcher, home: Home, make_clip: MakeClip
) -> None:
    clips = Path(str(home.clips))
    make_clip(clips / "a.mkv")
    watcher.look(), watcher.look()
    list_clips(home)
    assert [clip.src for clip in watcher.look().unscored] == ["a"]
    assert watcher.look().unscored == ()

    make_clip(clips / "b.mkv", source="mandelbrot")
    watcher.look(), watcher.look()
    list_clips(home)
    assert [clip.src for clip in watcher.look().unscored] == ["b"]

    shutil.copy(clips / "b.mkv", clips / "a.mkv")  # another content under a known name
    (clips / "b.mkv").unlink()
    watcher.look(), watcher.look()
    list_clips(home)
    assert [clip.src for clip in watcher.look().unscored] == ["a"]


def test_state_of_the_folder_that_recurs_is_looked_into_again(
    watcher: Watcher, home: Home, tmp_path: Path
) -> None:
    clip = Path(str(home.clips)) / "a.mkv"
    clip.write_bytes(b"clip")
    watcher.look()
    first = watcher.look().listing
    clip.rename(tmp_path / "aside.mkv")
    watcher.look(), watcher.look()
    (tmp_path / "aside.mkv").rename(clip)
    watcher.look()
    again = watcher.look().listing
    assert again is not None
    assert again != first


@pytest.mark.parametrize("cursor", [None, "", "rubbish", "{}", '{"version": 99}', "[]"])
def test_memory_that_can_not_be_read_is_empty(cursor: str | None) -> None:
    assert Memory.from_text(cursor) == Memory()


def test_sensor_lists_and_scores_what_appears(home: Home, make_clip: MakeClip) -> None:
    """Through Dagster: two clips that came together are scored by one run."""
    make_clip(Path(str(home.clips)) / "a.mkv")
    make_clip(Path(str(home.clips)) / "b.mkv", source="mandelbrot")
    definitions = build_definitions(
        home=HomeResource(path=str(home.root)),
        grid=GridResource(encoders="libx264", qualities="30"),
    )
    sensor = definitions.resolve_sensor_def("clips_folder")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    done, cursor = [], None
    with open_instance(home) as instance:
        for _ in range(6):
            context = dg.build_sensor_context(
                instance, cursor, definitions=definitions, resources=definitions.resources
            )
            ticked = sensor.evaluate_tick(context)
            cursor = ticked.cursor
            for request in ticked.run_requests:
                job = definitions.resolve_job_def(request.job_name)
                assert job.execute_in_process(instance=instance, tags=request.tags).success
                done.append(request.job_name)
    assert done == ["list_clips", "score_clips"]
    assert sorted(path.name for path in home.shards.glob("*.parquet")) == ["a.parquet", "b.parquet"]
