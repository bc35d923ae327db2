"""The clips' assets, through a real Dagster instance: from a folder of clips to a corpus."""

from __future__ import annotations

import subprocess
from pathlib import Path

import dagster as dg
import pytest
from upath import UPath

from fr_ensemble_assets.clips.ffmpeg import find_ffmpeg
from fr_ensemble_assets.clips.inventory import inventory_file, load_inventory
from fr_ensemble_assets.corpus.reader import read_corpus
from fr_ensemble_assets.definitions import build_definitions
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.encodes.assets import GridResource
from fr_ensemble_assets.encodes.shards import shard_file, shards_of
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.operations.instance import open_instance

GRID = GridResource(encoders="libx264", qualities="19,25,31,37,43")
SHARDS = dg.AssetKey("corpus_shards")


def draw(path: Path, source: str = "testsrc2") -> None:
    drawn = ["-f", "lavfi", "-i", f"{source}=size=160x120", "-frames:v", "12"]
    command = [str(find_ffmpeg().path), "-y", "-loglevel", "error", *drawn]
    subprocess.run([*command, "-c:v", "ffv1", "-pix_fmt", "yuv420p", str(path)], check=True)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with two clips in its folder."""
    made = Home.at(tmp_path / "home")
    made.prepare()
    draw(Path(made.clips) / "moving.mkv")
    draw(Path(made.clips) / "zoom.mkv", "mandelbrot")
    return made


@pytest.fixture
def instance(home: Home) -> dg.DagsterInstance:
    return open_instance(home)


def execute(
    home: Home,
    instance: dg.DagsterInstance,
    job: str,
    first: str = "",
    last: str = "",
    grid: GridResource = GRID,
) -> dg.ExecuteInProcessResult:
    """Run a job as the UI would, over the partitions from ``first`` to ``last``."""
    tags = {
        "dagster/asset_partition_range_start": first,
        "dagster/asset_partition_range_end": last or first,
    }
    definitions = build_definitions(home=HomeResource(path=str(home.root)), grid=grid)
    return definitions.resolve_job_def(job).execute_in_process(
        instance=instance, tags=tags if first else None, raise_on_error=False
    )


def materialise_corpus(home: Home, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    definitions = build_definitions(home=HomeResource(path=str(home.root)), grid=GRID)
    job = definitions.resolve_job_def("train_ensemble")
    return job.execute_in_process(
        instance=instance, asset_selection=[dg.AssetKey("corpus")], raise_on_error=False
    )


def refusal(result: dg.ExecuteInProcessResult) -> str:
    (failure,) = [e for e in result.all_events if e.event_type_value == "STEP_FAILURE"]
    told = failure.step_failure_data.user_failure_data
    assert told is not None
    return str(told.description)


def test_clips_become_partitions_shards_and_a_corpus(
    home: Home, instance: dg.DagsterInstance
) -> None:
    assert execute(home, instance, "list_clips").success
    assert instance.get_dynamic_partitions("clips") == ["moving", "zoom"]
    assert execute(home, instance, "score_clips", "moving", "zoom").success
    assert instance.get_materialized_partitions(SHARDS) == {"moving", "zoom"}
    assert materialise_corpus(home, instance).success
    event = instance.get_latest_materialization_event(dg.AssetKey("corpus"))
    assert event is not None
    assert event.asset_materialization is not None
    told = event.asset_materialization.metadata
    assert told["read_from"].value == "the shards of 2 clips"
    assert told["dagster/row_count"].value == 2 * 5 * 12
    # The same rows as from the folder of shards, read as a ready-made corpus.
    inventory = load_inventory(inventory_file(home))
    assert len(shards_of(home.shards, inventory)) == 2
    assert read_corpus(home.shards).corpus.sha256.startswith(told["corpus_sha256"].value)


def test_new_clip_means_one_new_partition_and_no_rebuild(
    home: Home, instance: dg.DagsterInstance
) -> None:
    execute(home, instance, "list_clips")
    execute(home, instance, "score_clips", "moving", "zoom")
    before = shard_file(home.shards, "zoom").stat().st_mtime_ns
    draw(Path(home.clips) / "new.mkv", "smptebars")
    execute(home, instance, "list_clips")
    assert instance.get_dynamic_partitions("clips") == ["moving", "zoom", "new"]
    assert "found no shard for new" in refusal(materialise_corpus(home, instance))
    assert execute(home, instance, "score_clips", "new").success
    assert shard_file(home.shards, "zoom").stat().st_mtime_ns == before
    assert materialise_corpus(home, instance).success
    (Path(home.clips) / "moving.mkv").unlink()
    execute(home, instance, "list_clips")
    assert instance.get_dynamic_partitions("clips") == ["zoom", "new"]


def test_shard_of_another_content_is_not_taken(home: Home, instance: dg.DagsterInstance) -> None:
    execute(home, instance, "list_clips")
    execute(home, instance, "score_clips", "moving")
    draw(Path(home.clips) / "zoom.mkv", "smptebars")
    assert "expected the content that the inventory knows" in refusal(
        execute(home, instance, "score_clips", "zoom")
    )
    execute(home, instance, "list_clips")
    assert execute(home, instance, "score_clips", "zoom").success
    draw(Path(home.clips) / "zoom.mkv", "rgbtestsrc")
    execute(home, instance, "list_clips")
    assert "a shard of another content for zoom" in refusal(materialise_corpus(home, instance))


def test_shards_over_two_grids_make_no_corpus(home: Home, instance: dg.DagsterInstance) -> None:
    execute(home, instance, "list_clips")
    execute(home, instance, "score_clips", "moving")
    other = GridResource(encoders="libx264", qualities="20,30,40")
    execute(home, instance, "score_clips", "zoom", grid=other)
    assert "found those of zoom made otherwise than that of moving" in refusal(
        materialise_corpus(home, instance)
    )


def test_failing_cell_fails_its_partition_and_no_other(
    home: Home, instance: dg.DagsterInstance
) -> None:
    execute(home, instance, "list_clips")
    inventory = load_inventory(inventory_file(home))
    # A clip that has fewer frames than the inventory says can't be scored to its end.
    path = Path(str(inventory_file(home)))
    path.write_text(path.read_text().replace('"frames": 12', '"frames": 13', 1))
    result = execute(home, instance, "score_clips", "moving", "zoom")
    assert not result.success
    assert "moving libx264 19: expected 13 scored frames, as the clip has, found 12" in refusal(
        result
    )
    assert instance.get_materialized_partitions(SHARDS) == {"zoom"}
    assert [clip.src for clip in inventory.clips] == ["moving", "zoom"]


def test_file_that_is_no_video_is_named_by_a_check(
    home: Home, instance: dg.DagsterInstance
) -> None:
    (Path(home.clips) / "text.mkv").write_text("hello")
    result = execute(home, instance, "list_clips")
    assert result.success
    (check,) = result.get_asset_check_evaluations()
    assert not check.passed
    assert "text.mkv: expected a video, found none" in (check.description or "")
    assert instance.get_dynamic_partitions("clips") == ["moving", "zoom"]


def test_foreign_file_in_a_shards_place_is_refused(
    home: Home, instance: dg.DagsterInstance
) -> None:
    execute(home, instance, "list_clips")
    execute(home, instance, "score_clips", "moving", "zoom")
    shard_file(home.shards, "zoom").write_bytes(b"PAR1 no parquet")
    with pytest.raises(UnusableInput, match="expected a shard of ours"):
        shards_of(UPath(home.shards), load_inventory(inventory_file(home)))


def test_empty_clips_folder_leaves_the_bundled_corpus(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "empty")
    home.prepare()
    instance = open_instance(home)
    assert execute(home, instance, "list_clips").success
    assert instance.get_dynamic_partitions("clips") == []
    result = materialise_corpus(home, instance)
    (event,) = [e for e in result.all_events if e.is_step_materialization]
    assert event.materialization.metadata["read_from"].value == "the bundled corpus"
