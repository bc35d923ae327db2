"""``predict`` and ``recommend`` as their users type them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet
import pytest
from click.testing import Result
from typer.testing import CliRunner
from upath import UPath

from fr_ensemble_assets.cli.main import app
from fr_ensemble_tests.conftest import Chain, Row, write_rows

Typed = Callable[..., Result]


@pytest.fixture
def frames(tmp_path: Path, rows: list[Row]) -> UPath:
    """Real frames whose VMAF nobody measured."""
    unscored = [{k: v for k, v in row.items() if k != "vmaf"} for row in rows]
    return write_rows(tmp_path / "frames.jsonl", unscored)


@pytest.fixture
def typed(promoted_once: Chain) -> Typed:
    """Type a command over a home with one candidate, of six sources: they carry 85.7 %."""

    def type_command(*arguments: object) -> Result:
        home = str(promoted_once[0])
        return CliRunner().invoke(app, [*map(str, arguments), "--home", home])

    return type_command


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz", "out.parquet"])
def test_frames_get_a_prediction_each(
    typed: Typed, frames: UPath, tmp_path: Path, name: str
) -> None:
    out = tmp_path / name
    told = typed("predict", "--frames", frames, "--out", out, "--confidence", 0.8)
    assert told.exit_code == 0, told.stderr
    assert "600 rows, 0 of them unlike the training frames" in told.stderr
    if name.endswith(".parquet"):
        table = pyarrow.parquet.read_table(out)
        assert table.num_rows == 600
        assert {"mu", "sigma", "lower", "upper", "extrapolates"} < set(table.column_names)
        assert "vmaf" not in table.column_names


def test_confidence_that_the_corpus_can_not_carry_is_said_and_exits_3(
    typed: Typed, frames: UPath, tmp_path: Path
) -> None:
    asked = ("predict", "--frames", frames, "--out", tmp_path / "out.jsonl")
    told = typed(*asked)
    assert told.exit_code == 3
    assert "this corpus does not support 0.95 by rule source" in told.stderr
    assert "the intervals are at 0.8571" in told.stderr
    assert typed(*asked, "--allow-lower").exit_code == 0
    assert typed(*asked, "--rule", "frame").exit_code == 0


def test_recommendation_is_a_sentence_for_each_source_and_encoder(
    typed: Typed, frames: UPath
) -> None:
    told = typed("recommend", "--frames", frames, "--target", 92, "--confidence", 0.8)
    assert told.exit_code == 0, told.stderr
    sentences = [line for line in told.stdout.splitlines() if line.startswith("- ")]
    assert len(sentences) == 6 * 5
    assert "At 80%: on average over new sources like the 6 calibrated on" in told.stdout

    told = typed("recommend", "--frames", frames, "--target", 92, "--json")
    assert told.exit_code == 3
    found = json.loads(told.stdout)
    assert (found["confidence_asked"], found["supported"]) == (0.95, False)
    assert "6 sources can't carry 95%; answered at 85.7%" in found["explanation"]
    asked = ("recommend", "--frames", frames, "--target", 92, "--allow-lower")
    assert typed(*asked).exit_code == 0


def test_encoder_outside_the_vocabulary_is_counted(
    typed: Typed, tmp_path: Path, rows: list[Row]
) -> None:
    one = [row for row in rows if row["encoder"] == "libx264"]
    foreign = write_rows(tmp_path / "f.jsonl", [{**row, "encoder": "libaom-av1"} for row in one])
    told = typed("predict", "--frames", foreign, "--out", tmp_path / "o.jsonl", "--confidence", 0.8)
    assert told.exit_code == 0, told.stderr
    assert "scored as 'unknown': libaom-av1 (120 rows)" in told.stderr
    assert "120 rows, 120 of them unlike the training frames" in told.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--rule", "magic"], "--rule: expected one of gaussian, frame, source, found 'magic'"),
        (["--confidence", "95"], "--confidence: expected a number from 0.5 to below 1, found 95"),
        (["--frames", "nowhere.jsonl"], "nowhere.jsonl: expected"),
        (["--candidate", "nowhere"], "nowhere: expected a candidate folder"),
        (["--out", "out.csv"], "out.csv"),
        (["--out", "FRAMES"], "expected another file than --frames"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_can_not_be_done_is_one_sentence_and_nothing_is_written(
    typed: Typed, frames: UPath, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    given = [str(frames) if argument == "FRAMES" else argument for argument in arguments]
    before = frames.read_bytes()
    told = typed("predict", "--frames", frames, "--out", tmp_path / "out.jsonl", *given)
    assert told.exit_code == 2, told.stderr
    assert sentence in told.stderr
    assert "Traceback" not in told.stderr
    assert frames.read_bytes() == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["frames.jsonl"]


def test_input_is_never_overwritten_whatever_it_is_called(
    typed: Typed, frames: UPath, tmp_path: Path
) -> None:
    (tmp_path / "link.jsonl").symlink_to(Path(str(frames)))
    roundabout = tmp_path / ".." / tmp_path.name / "frames.jsonl"
    before = frames.read_bytes()
    for out in (roundabout, tmp_path / "link.jsonl"):
        told = typed("predict", "--frames", frames, "--out", out)
        assert told.exit_code == 2
        assert "expected another file than --frames" in told.stderr
    assert frames.read_bytes() == before


def test_missing_feature_is_named(typed: Typed, tmp_path: Path, rows: list[Row]) -> None:
    without = [{k: v for k, v in row.items() if k != "motion2"} for row in rows]
    frames = write_rows(tmp_path / "frames.jsonl", without)
    told = typed("predict", "--frames", frames, "--out", tmp_path / "out.jsonl")
    assert told.exit_code == 2
    assert "found no 'motion2'" in told.stderr


def test_predicting_needs_neither_torch_nor_dagster(
    frames: UPath, tmp_path: Path, promoted_once: Chain
) -> None:
    arguments = ["predict", "--frames", str(frames), "--out", str(tmp_path / "out.parquet")]
    arguments += ["--home", str(promoted_once[0]), "--confidence", "0.8"]
    code = (
        "import sys; from fr_ensemble_assets.cli.main import app\n"
        f"try: app({arguments!r})\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "print([m for m in ('torch', 'dagster', 'matplotlib', 'scipy') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n", ran.stderr
