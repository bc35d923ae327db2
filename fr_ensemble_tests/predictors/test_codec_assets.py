"""The codecs' predictors through a real Dagster instance, and on into a candidate."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from typer.testing import CliRunner
from upath import UPath

from fr_ensemble_assets.candidate.build import build_candidate
from fr_ensemble_assets.candidate.contents import Contents, read_contents
from fr_ensemble_assets.candidate.verify import verify_candidate, verify_contents
from fr_ensemble_assets.cli.main import app
from fr_ensemble_assets.clips.ffmpeg import Children, Ffmpeg
from fr_ensemble_assets.clips.inventory import inventory_file as inventory_of
from fr_ensemble_assets.clips.inventory import load_inventory
from fr_ensemble_assets.contract.agreed import CODECS, ENSEMBLE
from fr_ensemble_assets.contract.places import Places
from fr_ensemble_assets.corpus.in_use import CELLS as CELLS_KIND
from fr_ensemble_assets.corpus.in_use import newest_corpus
from fr_ensemble_assets.corpus.store import load_corpus
from fr_ensemble_assets.definitions import build_definitions
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.encodes.assets import GridResource
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.foundation.progress import Silent
from fr_ensemble_assets.gate.verdict import authorise
from fr_ensemble_assets.handover.patch import hand_over
from fr_ensemble_assets.operations.codecs import standing_codecs
from fr_ensemble_assets.operations.in_process import execute
from fr_ensemble_assets.operations.instance import open_instance
from fr_ensemble_assets.operations.status import status_of
from fr_ensemble_assets.prediction.candidate import predictors_of
from fr_ensemble_assets.predictors.arrivals import holds_cells
from fr_ensemble_assets.predictors.cell_schema import PROBE_FEATURES
from fr_ensemble_assets.predictors.cells import read_cells
from fr_ensemble_assets.predictors.clip_cells import cells_file, read_clip_cells
from fr_ensemble_assets.predictors.names import PREDICTOR_FILES, file_names, scored_probe_file
from fr_ensemble_assets.predictors.pooling import cells_bytes
from fr_ensemble_assets.predictors.probe_features import probe_clip
from fr_ensemble_assets.predictors.published import make_predictors, published_folder
from fr_ensemble_assets.schemas import DOCUMENTS
from fr_ensemble_tests.conftest import CPU, Chain
from fr_ensemble_tests.fork import contents, git, make_fork
from fr_ensemble_tests.house.test_schemas import require_known
from fr_ensemble_tests.predictors.made import easy_cells
from fr_ensemble_tests.video import MakeClip

CELLS = easy_cells()
EVERY_CODEC = (CODECS[0], CODECS[-1])
X264 = "libx264"


def train(home: Home, path: str = "", force: bool = False) -> dg.ExecuteInProcessResult:
    """What ``run`` does for the codecs, on the cells at ``path``."""
    ops = {
        "planning_corpus": {"config": {"path": path}},
        "predictor_results": {"config": {"force": force}},
    }
    with open_instance(home) as instance:
        return execute(instance, home, "train_predictors", EVERY_CODEC, Silent(), ops=ops)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, dg.ExecuteInProcessResult]:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "easy.csv.gz").write_bytes(gzip.compress(cells_bytes(CELLS)))
    home = Home.at(folder / "home")
    home.prepare()
    return home, train(home, str(folder / "easy.csv.gz"))


def test_cells_go_to_a_verdict_a_codec_and_files_of_those_that_pass(
    trained: tuple[Home, dg.ExecuteInProcessResult],
) -> None:
    home, result = trained
    assert result.success
    told = {
        (event.asset_key.to_user_string(), event.partition): event.step_materialization_data
        for event in result.all_events
        if event.event_type_value == "ASSET_MATERIALIZATION"
    }
    assert {key for _, key in told if key is not None} == set(CODECS)
    metadata = told["predictor_results", X264].materialization.metadata
    assert metadata["status"].value == metadata["status_of_unscored_probe"].value == "pass"
    assert {"mean_plcc", "plcc_spread", "lowest_plcc", "rmse"} <= set(metadata)
    tags = told["planning_corpus", None].materialization.tags or {}
    assert tags["dagster/data_version"] == CELLS.sha256
    files = {entry.name for entry in published_folder(home, CELLS.sha256).iterdir()}
    assert files == {"predictors.json", scored_probe_file(X264), *file_names(X264).values()}
    with open_instance(home) as instance:
        (codec,) = standing_codecs(home, newest_corpus(instance, kind=CELLS_KIND)).verdicts
    assert (codec.encoder, codec.scored.passed) == (X264, True)


def test_verdicts_page_leads_with_what_passes_and_what_is_held(
    trained: tuple[Home, dg.ExecuteInProcessResult],
) -> None:
    (event,) = (
        event
        for event in trained[1].all_events
        if event.event_type_value == "ASSET_MATERIALIZATION"
        and event.asset_key.path == ["predictor_verdict"]
    )
    told = event.step_materialization_data.materialization.metadata
    assert [*told][:3] == ["passing", "held", "without_cells"]
    assert (told["passing"].value, told["held"].value) == (X264, "none")
    assert "h264_nvenc" in told["without_cells"].value
    assert told["stored_at"].value == f"planning/{CELLS.sha256[:12]}*/predictors.json"


def test_check_of_each_codec_shows_its_figures(
    trained: tuple[Home, dg.ExecuteInProcessResult],
) -> None:
    checks = {
        event.asset_check_evaluation_data.check_name: event.asset_check_evaluation_data
        for event in trained[1].all_events
        if event.event_type_value == "ASSET_CHECK_EVALUATION"
    }
    assert set(checks) == {codec.replace("-", "_") for codec in CODECS}
    passing, absent = checks[X264], checks["h264_nvenc"]
    assert (passing.passed, passing.severity.value) == (True, "ERROR")
    for name in ("mean_plcc", "plcc_spread", "lowest_plcc", "rmse"):
        assert isinstance(passing.metadata[name].value, float)
    assert absent.passed
    assert absent.metadata["status"].value == "missing-rows"


def test_codec_that_is_done_is_not_trained_again(
    trained: tuple[Home, dg.ExecuteInProcessResult], tmp_path: Path
) -> None:
    home = trained[0]
    (tmp_path / "same.csv").write_bytes(cells_bytes(CELLS))
    for force in (False, True):
        again = train(home, str(tmp_path / "same.csv"), force)
        (event,) = (
            event
            for event in again.all_events
            if event.event_type_value == "ASSET_MATERIALIZATION" and event.partition == X264
        )
        metadata = event.step_materialization_data.materialization.metadata
        assert metadata["reused"].value is not force


def test_cells_that_can_not_be_used_fail_with_the_readers_sentence(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    home.prepare()
    (tmp_path / "bad.jsonl").write_text('{"src": "a", "encoder": "libx264", "cq": 20}\n')
    result = train(home, str(tmp_path / "bad.jsonl"))
    assert not result.success
    (failure,) = (e for e in result.all_events if e.event_type_value == "STEP_FAILURE")
    told = failure.step_failure_data.user_failure_data.description
    assert "bad.jsonl line 1: expected the columns src, encoder" in told
    assert [entry.name for entry in home.planning.iterdir()] == []


# --- the clips' cells ----------------------------------------------------------------------------


def run_job(home: Home, job: str, **tags: str) -> dg.ExecuteInProcessResult:
    definitions = build_definitions(
        home=HomeResource(path=str(home.root)),
        grid=GridResource(encoders="libx264,libsvtav1", qualities="25,35", frames=8, every=3),
    )
    with open_instance(home) as instance:
        return definitions.resolve_job_def(job).execute_in_process(
            instance=instance, tags=tags, raise_on_error=False
        )


def score(home: Home) -> dg.ExecuteInProcessResult:
    ends = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
    return run_job(home, "score_clips", **dict(zip(ends, "ab", strict=True)))


def test_each_clip_gets_cells_with_every_frame_pooled_and_a_probe(
    tmp_path: Path, make_clip: MakeClip, ffmpeg: Ffmpeg
) -> None:
    home = Home.at(tmp_path / "home")
    home.prepare()
    clips = Path(str(home.clips))
    make_clip(clips / "a.mkv")
    make_clip(clips / "b.mkv", source="mandelbrot")
    assert run_job(home, "list_clips").success
    assert score(home).success
    read = read_cells(cells_file(home.clip_cells, "a")).cells
    assert [(row.encoder, row.cq) for row in read.frame.itertuples()] == [
        *(("libsvtav1", 25.0), ("libsvtav1", 35.0), ("libx264", 25.0), ("libx264", 35.0))
    ]
    assert set(read.frame["frames"]) == {8.0}  # all that are encoded, whatever the corpus samples
    inventory = load_inventory(inventory_of(home))
    with Children() as children:
        encoded = replace(inventory.clips[0], frames=8)
        served = probe_clip(ffmpeg, children, encoded, X264, tmp_path)
    trained_on = read.of_encoder(X264)[list(PROBE_FEATURES)].iloc[0]
    assert tuple(trained_on) == served.values  # what is served is what was trained on

    kept = {path: path.stat().st_mtime_ns for path in Path(str(home.cells)).rglob("*.json")}
    assert sum("probe-" in path.name for path in kept) == 4
    assert score(home).success
    assert kept == {path: path.stat().st_mtime_ns for path in kept}  # scored and probed once

    (note, *_) = sorted(Path(str(home.clip_cells)).glob("*.json"))
    require_known(DOCUMENTS["clip_cells"], "clip_cells", note)
    probe = next(path for path in kept if "probe-" in path.name)
    require_known(DOCUMENTS["probe"], "probe", probe)

    reading = read_clip_cells(home.clip_cells, inventory)
    assert reading.cells.sources == ("a", "b")
    result = train(home)
    (event,) = (
        event
        for event in result.all_events
        if event.event_type_value == "ASSET_MATERIALIZATION"
        and event.asset_key.path == ["planning_corpus"]
    )
    metadata = event.step_materialization_data.materialization.metadata
    assert metadata["read_from"].value == "the planning cells of 2 clips"
    assert reading.cells.sha256.startswith(metadata["cells_sha256"].value)

    make_clip(clips / "b.mkv", source="testsrc")  # another content under a known name
    assert run_job(home, "list_clips").success
    with pytest.raises(UnusableInput, match="found those of another content for b"):
        read_clip_cells(home.clip_cells, load_inventory(inventory_of(home)))
    cells_file(home.clip_cells, "a").write_bytes(b"src\n")
    with pytest.raises(UnusableInput, match=r"expected the cells that a\.json names"):
        read_clip_cells(home.clip_cells, inventory)


# --- the inbox -----------------------------------------------------------------------------------

FRAME = '{"src": "a", "encoder": "libx264", "cq": 20, "frame_index": 0, "vmaf": 90}'
CELL = '{"source": "a", "codec": "libx264", "crf": 20, "vmaf_score": 90, "framerate": 25}'


@pytest.mark.parametrize(
    ("name", "data", "cells"),
    [
        ("a.jsonl", FRAME.encode(), False),
        ("a.jsonl", CELL.encode(), True),
        ("a.jsonl", b"\n" + CELL.encode() + b"\n" + FRAME.encode(), True),
        ("a.jsonl.gz", gzip.compress(CELL.encode() * 3000, mtime=0), False),
        ("a.jsonl.gz", gzip.compress((CELL + "\n").encode() * 3000, mtime=0), True),
        ("a.jsonl.gz", gzip.compress((CELL + "\n").encode(), mtime=0)[:20], False),
        ("a.jsonl", b"[" * 100_000, False),
        ("a.jsonl", b'["frames"]', False),
        ("a.parquet", b"PAR1", False),
        ("a.csv", b"frame_index\n", True),
        ("a.csv.gz", b"", True),
    ],
)
def test_first_row_tells_cells_from_frames(
    tmp_path: Path, name: str, data: bytes, cells: bool
) -> None:
    (tmp_path / name).write_bytes(data)
    assert holds_cells(UPath(tmp_path / name)) is cells


def test_sensor_starts_a_job_for_cells_and_another_for_frames(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    home.prepare()
    inbox = Path(str(home.inbox))
    (inbox / "cells.csv.gz").write_bytes(gzip.compress(cells_bytes(CELLS)))
    (inbox / "frames.jsonl").write_text(FRAME + "\n")
    definitions = build_definitions(home=HomeResource(path=str(home.root)))
    sensor = definitions.resolve_sensor_def("corpus_inbox")
    cursor, requests = None, []
    with open_instance(home) as instance:
        for _ in range(2):
            context = dg.build_sensor_context(
                instance, cursor, definitions=definitions, resources=definitions.resources
            )
            ticked = sensor.evaluate_tick(context)
            cursor, requests = ticked.cursor, [*requests, *ticked.run_requests]
        asked = {request.job_name: request for request in requests}
        assert set(asked) == {"train_ensemble", "train_predictors"}
        request = asked["train_predictors"]
        result = definitions.resolve_job_def(request.job_name).execute_in_process(
            instance=instance, run_config=request.run_config, tags=request.tags
        )
        assert result.success
        (codec,) = standing_codecs(home, newest_corpus(instance, kind=CELLS_KIND)).verdicts
    assert codec.scored.passed


# --- in a candidate ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(trained: tuple[Home, dg.ExecuteInProcessResult]) -> dict[str, bytes]:
    return make_predictors(trained[0], CELLS.sha256)


@pytest.fixture
def candidate(promoted: Home, promoted_once: Chain, files: dict[str, bytes]) -> UPath:
    """A candidate that carries files of a codec of which both kinds pass."""
    corpus = load_corpus(promoted, promoted_once[1].corpus_sha256)
    places = Places(promoted, ENSEMBLE, corpus.sha256)
    judgement = authorise(places.results, corpus, ENSEMBLE)
    build_candidate(places, corpus, judgement, CPU, predictors=files)
    return places.candidate


def test_candidate_carries_predictors_and_the_ensemble_keeps_its_bytes(
    candidate: UPath, promoted_once: Chain, files: dict[str, bytes]
) -> None:
    assert verify_candidate(candidate).problems == ()
    earlier = promoted_once[1].candidate_dir
    assert earlier is not None
    for name in {entry.name for entry in earlier.iterdir()} - PREDICTOR_FILES:
        # The list of digests names the predictors', and the manifest the list's.
        if name not in ("digests.json", "fr_regressor_v2_ensemble_v1.json"):
            assert (candidate / name).read_bytes() == (earlier / name).read_bytes(), name
    assert {name: (candidate / name).read_bytes() for name in files} == files


def test_candidate_without_predictors_stays_valid(
    candidate: UPath, promoted: Home, promoted_once: Chain
) -> None:
    corpus = load_corpus(promoted, promoted_once[1].corpus_sha256)
    places = Places(promoted, ENSEMBLE, corpus.sha256)
    build_candidate(places, corpus, authorise(places.results, corpus, ENSEMBLE), CPU)
    names = {entry.name for entry in candidate.iterdir()}
    assert names.isdisjoint(PREDICTOR_FILES)
    assert verify_candidate(candidate).problems == ()
    assert predictors_of(candidate).carried == {}


def resealed(read: Contents, change: Callable[[dict[str, bytes]], None]) -> Contents:
    """Files changed by somebody who mends every digest."""
    from fr_ensemble_assets.candidate.contents import DIGESTS_FILE
    from fr_ensemble_assets.candidate.documents import sealed
    from fr_ensemble_assets.members.names import MANIFEST_FILE

    files = dict(read.files)
    change(files)
    ensemble = json.loads(files.pop(MANIFEST_FILE))
    del ensemble["digests"], files[DIGESTS_FILE]
    return Contents(read.where, sealed(files, ensemble))


def test_candidate_whose_predictors_contradict_themselves_does_not_verify(
    candidate: UPath,
) -> None:
    read = read_contents(candidate)
    assert verify_contents(resealed(read, lambda _: None)).problems == ()

    def another_codec(files: dict[str, bytes]) -> None:
        files[scored_probe_file("libx265")] = files[scored_probe_file(X264)]

    def no_report(files: dict[str, bytes]) -> None:
        del files["predictors.json"]

    (foreign,) = verify_contents(resealed(read, another_codec)).problems
    assert foreign == "predictor_libx265_scored_probe.json is of no codec that passes"
    (alone,) = verify_contents(resealed(read, no_report)).problems
    assert alone.endswith("predictors.json isn't, which says whether it passes")
    altered = {**read.files, scored_probe_file(X264): b"{}"}
    assert "digests.json says" in verify_contents(Contents(read.where, altered)).problems[0]


def test_recommendation_asks_the_candidates_own_predictor(
    candidate: UPath, promoted: Home, clip_file: Path
) -> None:
    asked = ["recommend", "--clip", str(clip_file), "--target", "80", "--json"]
    encoders = ["--encoder", "libx264", "--encoder", "libsvtav1"]
    found = CliRunner().invoke(app, [*asked, *encoders, "--home", str(promoted.root)])
    assert found.exit_code == 0, found.stderr
    told = json.loads(found.stdout)
    assert told["predictors"] == {X264: str(candidate), "libsvtav1": "shipped"}
    assert f"predictors of libx264: from {candidate}" in found.stderr.replace("\n", "")
    qualities = {answer["encoder"]: answer["quality"] for answer in told["answers"]}
    assert 19 <= qualities[X264] <= 37  # the qualities that this predictor knows


def test_candidate_that_does_not_verify_is_told_and_the_shipped_ones_are_asked(
    candidate: UPath, promoted: Home, clip_file: Path
) -> None:
    (candidate / "predictors.json").write_bytes(b"{}")
    asked = ["recommend", "--clip", str(clip_file), "--target", "80", "--encoder", X264, "--json"]
    found = CliRunner().invoke(app, [*asked, "--home", str(promoted.root)])
    assert found.exit_code == 0, found.stderr
    assert json.loads(found.stdout)["predictors"] == {X264: "shipped"}
    assert "the shipped predictors are asked" in found.stderr
    named = CliRunner().invoke(app, [*asked, "--candidate", str(candidate)])
    assert named.exit_code == 2


def test_hand_over_brings_onnx_card_and_calibration_where_their_tree_reads_them(
    candidate: UPath, tmp_path: Path, files: dict[str, bytes]
) -> None:
    fork = make_fork(tmp_path / "fork")
    found = hand_over(candidate, fork)
    names = file_names(X264)
    brought = {f"model/{names[part]}": names[part] for part in ("onnx", "card", "calibration")}
    assert {path for path in found.changed if "predictor" in path} == set(brought)
    git(fork, "apply", "--binary", "-", given=found.patch)
    after = contents(fork)
    assert {path: after[path] for path in brought} == {
        path: files[name] for path, name in brought.items()
    }


def test_status_tells_the_codecs_in_a_line(promoted: Home) -> None:
    found = status_of(promoted)
    passing = [one.encoder for one in found.codecs.verdicts if one.scored.passed]
    assert passing == ["libx264", "libx265", "libvvenc", "libvpx-vp9"]
    codecs = found.to_json()["predictors"]["codecs"]
    assert codecs["libsvtav1"]["verdict"] == "HOLD"
    assert codecs["libsvtav1"]["unscored_probe"] == "fail"
    shown = CliRunner().invoke(app, ["status", "--home", str(promoted.root)])
    assert shown.exit_code == 0
    told = "PASS libx264, libx265, libvvenc, libvpx-vp9; HOLD libsvtav1 (cells b1f9731aa6a8)"
    assert f"predictor: {told}" in shown.stdout.replace("\n", "")
