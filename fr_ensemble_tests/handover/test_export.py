"""The consumer kit: golden vectors to the bit, and an example that needs two packages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from typer.testing import CliRunner
from upath import UPath

from fr_ensemble_assets.cli.main import app
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.handover.export import export_kit
from fr_ensemble_tests.conftest import Chain

ENSEMBLE = "fr_regressor_v2_ensemble_v1"


@pytest.fixture(scope="module")
def candidate(promoted_once: Chain) -> UPath:
    folder = promoted_once[1].candidate_dir
    assert folder is not None
    return folder


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory, candidate: UPath) -> Path:
    out = tmp_path_factory.mktemp("kit") / "kit"
    export_kit(candidate, UPath(out))
    return out


@pytest.fixture(scope="module")
def golden(kit: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((kit / "golden.json").read_text())
    return document


def column(golden: dict[str, Any], name: str) -> np.ndarray[Any, Any]:
    return np.array([row[name] for row in golden["rows"]])


def test_golden_scores_are_onnxruntimes_to_the_bit(kit: Path, golden: dict[str, Any]) -> None:
    features = column(golden, "standardised").astype(np.float32)
    blocks = column(golden, "codec_block").astype(np.float32)
    assert (features.shape, blocks.shape) == ((64, 6), (64, 14))
    for seed in range(5):
        session = onnxruntime.InferenceSession(str(kit / f"{ENSEMBLE}_seed{seed}.onnx"))
        (score,) = session.run(None, {"features": features, "codec_onehot": blocks})
        told = column(golden, "scores")[:, seed]
        assert told.astype(np.float32).tobytes() == score.tobytes()


def test_golden_intervals_follow_from_the_scores(kit: Path, golden: dict[str, Any]) -> None:
    scores = column(golden, "scores")
    mu, sigma = scores.mean(axis=1), scores.std(axis=1, ddof=1)
    assert column(golden, "mu") == pytest.approx(mu, abs=1e-12)
    assert column(golden, "sigma") == pytest.approx(sigma, abs=1e-12)
    confidence = json.loads((kit / f"{ENSEMBLE}.json").read_text())["confidence"]
    q = confidence["conformal_q_residual"] or confidence["gaussian_z"]
    assert golden["q"] == q
    assert column(golden, "lower") == pytest.approx(mu - q * sigma, abs=1e-9)
    recentred = column(golden, "recentred")
    assert recentred.min() >= 0
    assert recentred.max() <= 100
    assert np.abs(recentred - scores).max() > 0
    spread = recentred.std(axis=1, ddof=1)
    half = golden["source_quantile"] * np.maximum(spread, golden["source_floor"])
    centre = recentred.mean(axis=1)
    expected = np.clip(np.stack([centre - half, centre + half], axis=1), 0, 100)
    assert column(golden, "source_interval") == pytest.approx(expected, abs=1e-9)


def test_golden_rows_reach_every_encoder_and_beyond_the_ranges(golden: dict[str, Any]) -> None:
    blocks = column(golden, "codec_block")
    assert (blocks[:, :12].sum(axis=0) > 0).all()
    assert (blocks[:, :12].sum(axis=1) == 1).all()
    encoders = {row["encoder"] for row in golden["rows"]}
    assert len(encoders - {*golden["codec_block_layout"]}) == 13
    assert {row["preset"] is None for row in golden["rows"]} == {True, False}


def only_numpy_and_onnxruntime(folder: Path) -> Path:
    """A folder of links to the two packages, with what these can't be imported without."""
    folder.mkdir()
    for name in ("numpy", "onnxruntime"):
        tops = {Path(file).parts[0] for file in distribution(name).files or ()}
        for top in tops - {".."}:
            place = Path(str(distribution(name).locate_file(top)))
            if place.exists() and not (folder / top).exists():
                (folder / top).symlink_to(place)
    return folder


def run_bare(kit: Path, packages: Path) -> subprocess.CompletedProcess[str]:
    start = f"import sys, runpy; sys.path.append({str(packages)!r}); "
    start += f"sys.dont_write_bytecode = True; runpy.run_path({str(kit / 'example.py')!r}, "
    start += "run_name='__main__')"
    told = [sys.executable, "-I", "-S", "-c", start]
    return subprocess.run(told, capture_output=True, text=True, check=False)


def test_example_runs_where_nothing_else_is_installed(tmp_path: Path, kit: Path) -> None:
    packages = only_numpy_and_onnxruntime(tmp_path / "packages")
    missing = [sys.executable, "-I", "-S", "-c", "import numpy"]
    assert subprocess.run(missing, capture_output=True, check=False).returncode != 0
    ended = run_bare(kit, packages)
    assert ended.returncode == 0, ended.stderr
    assert "64 golden rows, 5 members, largest difference" in ended.stdout
    assert float(ended.stdout.split("difference ")[1].split()[0]) < 1e-9


def test_example_finds_another_scaler(tmp_path: Path, candidate: UPath) -> None:
    export_kit(candidate, UPath(tmp_path / "kit"))
    manifest = tmp_path / "kit" / f"{ENSEMBLE}.json"
    document = json.loads(manifest.read_text())
    document["feature_mean"] = [0.7] * 6
    manifest.write_text(json.dumps(document))
    packages = only_numpy_and_onnxruntime(tmp_path / "packages")
    assert run_bare(tmp_path / "kit", packages).returncode == 1


def test_same_candidate_gives_the_same_kit(tmp_path: Path, candidate: UPath, kit: Path) -> None:
    export_kit(candidate, UPath(tmp_path / "again"))
    for file in kit.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()


def test_folder_with_something_in_it_is_left_alone(tmp_path: Path, candidate: UPath) -> None:
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(UnusableInput, match="expected a new folder or an empty one"):
        export_kit(candidate, UPath(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("files", [0, 5, 12])
def test_kit_that_is_interrupted_is_not_there_and_the_next_one_is_whole(
    tmp_path: Path, candidate: UPath, kit: Path, monkeypatch: pytest.MonkeyPatch, files: int
) -> None:
    put, written = store.put, 0

    def put_until(path: UPath, data: bytes) -> None:
        nonlocal written
        if written == files:
            raise OSError(28, "No space left on device")
        written += 1
        put(path, data)

    out = tmp_path / "kits" / "kit"
    out.parent.mkdir()
    with monkeypatch.context() as patched:
        patched.setattr(store, "put", put_until)
        with pytest.raises(OSError, match="No space left"):
            export_kit(candidate, UPath(out))
    assert not out.exists()
    for left in out.parent.iterdir():  # as if this process were dead
        left.rename(left.with_name(left.name.replace(f"-{os.getpid()}-", "-4194305-")))
    export_kit(candidate, UPath(out))
    assert {file.name for file in out.parent.iterdir()} == {"kit"}
    assert {file.name for file in out.iterdir()} == {file.name for file in kit.iterdir()}


def test_command_says_what_to_run(tmp_path: Path, candidate: UPath) -> None:
    told = ["export", "--candidate", str(candidate), "--out", str(tmp_path / "kit")]
    ended = CliRunner().invoke(app, told)
    assert ended.exit_code == 0
    assert "example.py" in ended.stderr
