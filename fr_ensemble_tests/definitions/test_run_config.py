"""What a run's config, its tags and reported events may say: no path, no address, no odd digest."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from fr_ensemble_assets.corpus.in_use import CORPUS_TAG, newest_corpus
from fr_ensemble_assets.corpus.store import load_corpus
from fr_ensemble_assets.definitions import build_definitions, defs
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.doors.workers import PROCESS_TAG
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.digests import is_digest, require_digest
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.operations.backfill import plan_backfill
from fr_ensemble_assets.operations.clean import list_stores
from fr_ensemble_assets.operations.instance import open_instance
from fr_ensemble_assets.operations.status import status_of

JOBS = (
    *("list_clips", "score_clips", "train_ensemble", "train_with_controls", "train_seeds"),
    *("train_study", "train_predictors"),
)
_WITH_A_PATH = {
    "home": "path",
    "ffmpeg": "path",
    "io_manager": "base_dir",
    "grid": "qsv_device",
    "executor": "address",
}
ODD = ("../../../../etc", "", "A" * 64, "a" * 63, "a" * 65, "a" * 64 + "\n", "٣" * 64)


def _resource(name: str, field: str, value: str) -> dict[str, Any]:
    return {"resources": {name: {"config": {field: value}}}}


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize(("resource", "field"), [*_WITH_A_PATH.items(), ("notices", "webhook")])
def test_no_run_config_says_where_or_what_to_execute(job: str, resource: str, field: str) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match=f'"{field}"'):
        dg.validate_run_config(defs.resolve_job_def(job), _resource(resource, field, "/tmp/theirs"))


def test_clips_are_those_of_the_home() -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match='"folder"'):
        dg.validate_run_config(
            defs.resolve_job_def("list_clips"),
            {"ops": {"reference_clips": {"config": {"folder": "/"}}}},
        )


def test_two_paths_are_left_in_all_run_configs() -> None:
    """Every text that a run config may hold is listed here, so that a new one is thought about."""
    texts: set[str] = set()
    for job in JOBS:
        texts |= _texts(defs.resolve_job_def(job).run_config_schema.config_type, "")
    assert texts == {
        "execution.marker_to_close",
        "loggers.console.log_level",
        "loggers.console.name",
        "ops.corpus.arrival_sha256",
        "ops.corpus.path",
        "ops.planning_corpus.arrival_sha256",
        "ops.planning_corpus.path",
        "ops.reference_clips.pixel_format",
        "ops.reference_clips.rate",
        "ops.reference_clips.size",
        "resources.grid.encoders",
        "resources.grid.qualities",
        "resources.trainer.device",
    }


def _texts(kind: Any, where: str) -> set[str]:
    fields = getattr(kind, "fields", None)
    if fields is None:
        return {where} if "String" in kind.key else set()
    found: set[str] = set()
    for name, field in fields.items():
        below = where if name == "config" else f"{where}.{name}".strip(".")
        found |= _texts(field.config_type, below)
    return found


def test_ffmpeg_workers_are_bounded() -> None:
    from fr_ensemble_assets.clips.resources import FfmpegResource

    for workers in (-1, 257):
        with pytest.raises(UnusableInput, match="expected 0 to 256"):
            FfmpegResource(workers=workers).at_a_time()


# --- digests -------------------------------------------------------------------------------------


@pytest.mark.parametrize("odd", ODD)
def test_only_a_sha256_names_a_folder(tmp_path: Path, odd: str) -> None:
    home = Home.at(tmp_path)
    assert not is_digest(odd)
    for enters in (home.corpus_dir, home.candidate_dir, lambda text: require_digest(text, "here")):
        with pytest.raises(UnusableInput, match="expected a sha256"):
            enters(odd)


def report(home: Home, version: str | None) -> None:
    """As Dagster's web server does for whoever asks it to."""
    tags = {} if version is None else {"dagster/data_version": version}
    with open_instance(home) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("corpus", tags=tags))


@pytest.mark.parametrize("version", ["../../../../etc", "0" * 64, "", None])
def test_reported_corpus_never_becomes_current(promoted: Home, version: str | None) -> None:
    with open_instance(promoted) as instance:
        before = newest_corpus(instance)
    report(promoted, version)
    found = status_of(promoted)
    assert found.corpus_sha256 == before
    assert (found.skipped, found.damage) == (1, "")
    with open_instance(promoted) as instance:
        assert plan_backfill(instance, promoted, (0, 1), None).corpus_sha256 == before


def test_home_with_nothing_but_reports_has_no_corpus(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    home.prepare()
    for _ in range(60):
        report(home, "../../../../etc")
    found = status_of(home)
    assert (found.corpus_sha256, found.skipped) == (None, 60)
    with open_instance(home) as instance, pytest.raises(UnusableInput, match="found none"):
        plan_backfill(instance, home, (0,), None)


def test_current_corpus_that_left_the_store_is_told(promoted: Home) -> None:
    for folder in promoted.store.iterdir():
        shutil.rmtree(folder)
    found = status_of(promoted)
    assert found.corpus_sha256 is not None
    assert "expected a stored corpus, found no such file" in found.damage


def test_tags_of_a_run_are_not_believed(promoted: Home) -> None:
    definitions = build_definitions(home=HomeResource(path=str(promoted.root)))
    verify = definitions.resolve_job_def("verify_candidate")
    with open_instance(promoted) as instance:
        done = verify.execute_in_process(
            instance=instance, tags={CORPUS_TAG: "../../../../etc"}, raise_on_error=False
        )
        assert "tag fr_ensemble/corpus_sha256: expected a sha256" in str(
            [event.step_failure_data.user_failure_data for event in done.get_step_failure_events()]
        )
        instance.create_run_for_job(
            verify, status=dg.DagsterRunStatus.STARTED, tags={PROCESS_TAG: "9" * 99}
        )
    assert [work.state for work in status_of(promoted).work] == ["STARTED"]


def test_folder_of_another_name_in_the_store_is_left_alone(promoted: Home) -> None:
    (promoted.store / "notes").mkdir()
    assert {s.kept_for for s in list_stores(promoted) if s.folder.name == "notes"} == {
        "not being a corpus' store by its name"
    }


# --- links ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["clips", "cells", "shards", "inbox", "store", "candidates", "logs", "dagster"]
)
def test_link_among_the_homes_folders_is_refused(tmp_path: Path, name: str) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    home = tmp_path / "home"
    home.mkdir()
    (home / name).symlink_to(victim)
    with pytest.raises(UnusableInput, match=f"{name}: expected no symbolic link inside the home"):
        Home.at(home).prepare()
    assert list(victim.iterdir()) == []


@pytest.mark.parametrize("folder", ["store", "candidates"])
def test_link_to_another_corpus_is_refused(promoted: Home, folder: str) -> None:
    (inside,) = (promoted.root / folder).iterdir()
    Path(str(promoted.root / folder / ("f" * 12))).symlink_to(str(inside))
    with pytest.raises(UnusableInput, match="expected no symbolic link inside the home"):
        status_of(promoted)


def test_nothing_is_published_through_a_link(tmp_path: Path) -> None:
    home, victim = Home.at(tmp_path / "home"), tmp_path / "victim"
    home.prepare()
    victim.mkdir()
    shutil.rmtree(str(home.candidates))
    Path(str(home.candidates)).symlink_to(victim)
    with pytest.raises(UnusableInput, match="symbolic link"):
        store.publish(home.candidate_dir("0" * 64), {"a": b""}, "a")
    assert list(victim.iterdir()) == []


def test_home_itself_may_be_a_link(promoted: Home, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(str(promoted.root))
    linked = Home.at(tmp_path / "link")
    found = status_of(linked)
    assert found.corpus_sha256 is not None
    assert load_corpus(linked, found.corpus_sha256).n_rows == 600
    assert [candidate.problems for candidate in found.candidates] == [()]
