"""The installed command, as its users type it: in a fresh folder, in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner
from upath import UPath

from fr_ensemble_assets.candidate.contents import CANDIDATE_FILES, OPTIONAL_FILES
from fr_ensemble_assets.cli.main import app
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.predictors.names import PREDICTOR_FILES, REPORT_FILE
from fr_ensemble_tests.conftest import Chain, Row, without_times, write_rows

COMMAND = str(Path(sys.executable).with_name("fr-ensemble"))


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Type the command in ``folder``."""
    environment = {k: v for k, v in os.environ.items() if k != "FR_ENSEMBLE_HOME"}
    return subprocess.run(
        [COMMAND, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def refused(ran: subprocess.CompletedProcess[str]) -> str:
    """The one sentence of a refusal."""
    assert ran.returncode == 2, ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""
    return ran.stderr.split("error: ")[1]


@pytest.mark.slow
def test_from_a_corpus_to_a_candidate_in_a_fresh_folder(
    tmp_path: Path, rows: list[Row], promoted_once: Chain
) -> None:
    write_rows(tmp_path / "corpus.jsonl", rows)
    ran = command(tmp_path, "run", "--corpus", "corpus.jsonl", "--json")
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert set(told) == {
        *("verdict", "mean_plcc", "plcc_spread", "per_seed_plccs", "corpus_sha256"),
        *("results_dir", "candidate_dir", "dry_run", "predictors", "worth"),
    }
    verdicts = {name: one["verdict"] for name, one in told["predictors"]["codecs"].items()}
    assert (verdicts["libx264"], verdicts["libsvtav1"]) == ("PASS", "HOLD")
    assert (told["verdict"], told["dry_run"]) == ("PROMOTE", False)
    candidate, results = Path(told["candidate_dir"]), Path(told["results_dir"])
    assert candidate.parent == tmp_path / ".fr-ensemble" / "candidates"
    earlier = promoted_once[1].candidate_dir
    assert earlier is not None
    names = {entry.name for entry in earlier.iterdir()}
    assert {entry.name for entry in candidate.iterdir()} == names
    assert names >= {*CANDIDATE_FILES, *(OPTIONAL_FILES - PREDICTOR_FILES), REPORT_FILE}
    assert "seed 0: 100%" in ran.stderr

    for name in names:
        assert without_times(candidate / name) == without_times(Path(str(earlier / name))), name

    judged = command(tmp_path, "gate", str(results), "--json")
    assert judged.returncode == 0
    assert json.loads(judged.stdout)["gate"]["mean_plcc"] == told["mean_plcc"]


@pytest.mark.slow
def test_killed_at_any_point_the_next_run_ends_with_the_same_bytes(
    tmp_path: Path, rows: list[Row], promoted_once: Chain
) -> None:
    corpus = write_rows(tmp_path / "corpus.jsonl", rows)
    home = tmp_path / "home"
    arguments = [COMMAND, "run", "--corpus", str(corpus), "--home", str(home)]
    for sign in ("store/*/corpus.parquet", "store/*/*/loso_seed*.json"):
        process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not list(home.glob(sign)):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not list(home.glob("candidates/*"))
    ran = command(tmp_path, *arguments[1:])
    assert ran.returncode == 0, ran.stderr
    earlier = promoted_once[1].candidate_dir
    assert earlier is not None
    (candidate,) = (home / "candidates").iterdir()
    for name in (entry.name for entry in earlier.iterdir()):
        assert without_times(candidate / name) == without_times(Path(str(earlier / name))), name
    assert not list(home.rglob(".tmp-*"))


def test_interrupt_is_told_and_leaves_nothing_half_written(tmp_path: Path, rows: list[Row]) -> None:
    corpus = write_rows(tmp_path / "corpus.jsonl", rows)
    process = subprocess.Popen(
        [COMMAND, "run", "--corpus", str(corpus), "--home", str(tmp_path / "home")],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    while "seed 0: " not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "error: interrupted" in told
    assert "Traceback" not in told
    assert not list(tmp_path.rglob(".tmp-*"))


def test_hold_exits_1_and_says_what_failed_by_how_much(
    tmp_path: Path, shuffled_rows: list[Row]
) -> None:
    write_rows(tmp_path / "corpus.jsonl", shuffled_rows)
    ran = command(tmp_path, "run", "--corpus", "corpus.jsonl", "--home", "here")
    assert ran.returncode == 1
    assert "verdict: HOLD" in ran.stdout
    assert re.search(r"mean PLCC -?0\.\d+ is \d\.\d+ below 0\.95", ran.stdout)
    assert list((tmp_path / "here" / "candidates").iterdir()) == []


def test_some_seeds_at_a_time_add_up(tmp_path: Path, shuffled_rows: list[Row]) -> None:
    write_rows(tmp_path / "corpus.jsonl", shuffled_rows)
    some = command(tmp_path, "run", "--corpus", "corpus.jsonl", "--seeds", "0,2-3", "--json")
    told = json.loads(some.stdout)
    assert some.returncode == 1
    assert list(told["per_seed_plccs"]) == ["0", "2", "3"]
    assert told["dry_run"]
    rest = command(tmp_path, "run", "--corpus", "corpus.jsonl", "--seeds", "1,4", "--json")
    told = json.loads(rest.stdout)
    assert list(told["per_seed_plccs"]) == ["0", "1", "2", "3", "4"]
    assert not told["dry_run"]


def test_bad_input_is_refused_in_one_sentence(tmp_path: Path, few_rows: list[Row]) -> None:
    write_rows(tmp_path / "bad.jsonl", [{**few_rows[0], "vmaf": 101}, *few_rows[1:]])
    assert "bad.jsonl line 1: expected column 'vmaf'" in refused(
        command(tmp_path, "run", "--corpus", "bad.jsonl")
    )
    assert list((tmp_path / ".fr-ensemble" / "store").iterdir()) == []
    assert "found no such file" in refused(command(tmp_path, "run", "--corpus", "nowhere.jsonl"))
    assert "--corpus: expected a path" in refused(command(tmp_path, "run", "--corpus", ""))


def test_home_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told = refused(command(tmp_path, "run", "--home", "file/home"))
    assert "expected a home folder that can be written" in told
    for name in ("run", "status", "ui"):
        told = refused(command(tmp_path, name, "--home", "file"))
        assert "expected a folder as home, found a file" in told


def test_names_with_signs_of_markup_and_formulas_are_names(
    tmp_path: Path, shuffled_rows: list[Row]
) -> None:
    odd = {"bbb": "a [red] [/b]", "city": "$x\\foo$ %", "dog": "\u72ac\t"}
    write_rows(tmp_path / "c.jsonl", [{**row, "src": odd[row["src"]]} for row in shuffled_rows])
    ran = command(tmp_path, "run", "--corpus", "c.jsonl", "--epochs", "2", "--home", "h")
    assert ran.returncode == 1, ran.stderr
    assert "Warning" not in ran.stderr
    assert "verdict: HOLD (dry run)" in ran.stdout


@pytest.mark.parametrize("home", ["x?y", "p%41"])
def test_homes_that_dagster_cannot_keep_are_refused(tmp_path: Path, home: str) -> None:
    assert "expected a local folder" in refused(command(tmp_path, "run", "--home", home))


def test_crash_never_looks_like_a_verdict(tmp_path: Path, held_once: Chain) -> None:
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            [COMMAND, "gate", str(held_once[1].results_dir)], stdout=full, check=False
        )
    assert ran.returncode == 3
    (tmp_path / "dagster").mkdir()
    (tmp_path / "dagster" / "dagster.yaml").mkdir()
    ran = command(tmp_path, "run", "--home", ".")
    assert ran.returncode == 3
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("seeds", ["7", "x", "", "0-", "3-1", "0-200000000"])
def test_seeds_that_are_none_are_refused(tmp_path: Path, seeds: str) -> None:
    assert "--seeds: expected" in refused(command(tmp_path, "run", "--seeds", seeds))
    assert list(tmp_path.iterdir()) == []


def test_gate_refuses_a_folder_without_results(tmp_path: Path) -> None:
    assert "found none" in refused(command(tmp_path, "gate", str(tmp_path)))


def test_gate_holds_on_the_results_of_a_hold(held_once: Chain) -> None:
    ran = command(Path("/"), "gate", str(held_once[1].results_dir))
    assert ran.returncode == 1
    assert "verdict: HOLD" in ran.stdout


def test_proposal_applies_in_their_tree_and_changes_nothing_before(
    tmp_path: Path, promoted_once: Chain
) -> None:
    home, outcome = promoted_once
    theirs = tmp_path / "model" / "tiny" / "registry.json"
    theirs.parent.mkdir(parents=True)
    theirs.write_text(
        '{\n  "schema_version": 1,\n  "models": [\n    {\n      "id": "a"\n    }\n  ]\n}'
    )
    before = theirs.read_bytes()
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    ran = command(tmp_path, "propose", "--home", str(home), "--registry", str(theirs))
    assert ran.returncode == 0
    assert "0 rows replaced, 5 added" in ran.stderr
    assert theirs.read_bytes() == before
    subprocess.run(["git", "apply"], cwd=tmp_path, input=ran.stdout.encode(), check=True)
    rows = {row["id"]: row for row in json.loads(theirs.read_text())["models"]}
    assert outcome.candidate_dir is not None
    ours = json.loads((outcome.candidate_dir / "registry.json").read_text())["models"]
    assert rows == {"a": {"id": "a"}} | {row["id"]: row for row in ours}


def test_proposal_of_a_candidate_that_was_changed_is_refused(
    tmp_path: Path, promoted: Home
) -> None:
    (candidate,) = promoted.candidates.iterdir()
    (candidate / "fr_regressor_v2_ensemble_v1_seed0.onnx").write_bytes(b"x")
    theirs = UPath(tmp_path / "registry.json")
    theirs.write_text('{"models": []}')
    told = refused(
        command(tmp_path, "propose", "--candidate", str(candidate), "--registry", str(theirs))
    )
    assert "expected a candidate that verifies" in told


def test_proposal_without_a_candidate_says_what_is_missing(tmp_path: Path) -> None:
    told = refused(command(tmp_path, "propose", "--registry", "registry.json"))
    assert "expected one candidate, found none" in told


def test_help_explains_commands_codes_and_home(tmp_path: Path) -> None:
    told = command(tmp_path, "--help").stdout
    for words in ("run", "gate", "propose", "ui", "0 PROMOTE, 1 HOLD, 2", "FR_ENSEMBLE_HOME"):
        assert words in told
    assert re.match(r"fr-ensemble \d+\.\d+\.\d+\n", command(tmp_path, "--version").stdout)


@pytest.mark.parametrize("columns", [40, 80])
def test_help_names_every_option_whole_and_stays_in_the_window(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "dumb")
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        told = CliRunner().invoke(app, [name, "--help"]).stdout
        options = {option for param in command.params for option in param.opts if "--" in option}
        assert {option for option in options if option not in told} == set(), name
        assert [line for line in told.splitlines() if len(line) > columns] == []
        assert "**" not in told
        assert "`" not in told
