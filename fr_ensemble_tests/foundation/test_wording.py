"""Text from outside becomes one printable line, wherever it came from."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from fr_ensemble_assets.cli.main import app
from fr_ensemble_assets.foundation.errors import GateRefusal, UnusableInput
from fr_ensemble_assets.foundation.wording import MESSAGE_LIMIT, listed, one_line, shown
from fr_ensemble_tests.conftest import Row, write_rows
from fr_ensemble_tests.gate.test_gate import GOOD, results

#: Escapes that clear a screen and name a window, newlines of every kind, a bidi override.
NASTY = "a\x1b[2J\x1b]0;x\x07\r\n\u2028\x85\u202e\u200bz\x9b31m"
nasty = st.text(st.sampled_from([*NASTY, *"é犬 '[]{"]), min_size=1)


@given(st.text() | nasty)
def test_everything_shown_prints_and_stays_as_it_is_shown(text: str) -> None:
    line = one_line(text)
    assert line.isprintable() or not line
    assert one_line(line) == line
    assert len(shown(text, 20)) <= 20
    for refusal in (UnusableInput, GateRefusal):
        assert str(refusal(text)) == shown(text, MESSAGE_LIMIT)


def test_letters_of_any_script_stay_and_escapes_are_spelt_out() -> None:
    assert one_line("Größe 犬 \u202e\x1b[2J\n") == r"Größe 犬 \u202e\x1b[2J\n"


def test_long_names_lose_their_middle_and_long_lists_their_end() -> None:
    assert shown("a" * 50 + "z" * 50, 11) == "aaaaa…zzzzz"
    assert listed(range(10)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert listed(range(100_000)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 99990 more"
    assert len(str(UnusableInput("x" * 10**7))) == MESSAGE_LIMIT


def assert_safe(told: str) -> None:
    assert all(line.isprintable() for line in told.split("\n")), repr(told)


def typed(*arguments: str) -> tuple[int, str]:
    told = CliRunner().invoke(app, [*arguments])
    assert_safe(told.output)
    return told.exit_code, told.output


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(name=nasty)
def test_gate_prints_no_name_of_a_fold_or_setting_as_it_is(tmp_path: Path, name: str) -> None:
    fold = {"held_out": name, "plcc": 0.96}
    results(tmp_path, GOOD, folds=[fold, {**fold, "held_out": "b", "plcc": None}], lr=name)
    assert typed("gate", str(tmp_path))[0] == 1
    results(tmp_path, GOOD, folds=[fold, fold])
    code, told = typed("gate", str(tmp_path))
    assert (code, told.count("\n")) == (2, 1)
    results(tmp_path, GOOD, recipe={"epochs": name})
    assert typed("gate", str(tmp_path))[0] == 2


@pytest.mark.parametrize("kind", ["doubled", "key", "value", "repeat", "twin"])
def test_nasty_corpora_are_refused_in_one_printable_line(
    tmp_path: Path, few_rows: list[Row], kind: str
) -> None:
    path = tmp_path / f"{NASTY.replace('/', '')}.jsonl"
    odd = [{**row, "src": NASTY} if row["src"] == "dog" else row for row in few_rows]
    if kind == "doubled":
        frame = pd.DataFrame(odd)[["src", "src", "vmaf"]].set_axis([NASTY, NASTY, "vmaf"], axis=1)
        path.write_bytes(_parquet(frame))
    elif kind == "key":
        path.write_text(f'{{"{"k"}": 1, {json.dumps(NASTY)}: 1, {json.dumps(NASTY)}: 2}}\n')
    elif kind == "value":
        write_rows(path, [{**odd[0], "vmaf": NASTY}, *odd[1:]])
    elif kind == "repeat":
        write_rows(path, [*odd, {**odd[-1], "vmaf": 1.0}])
    else:
        write_rows(path, [*odd, *({**r, "src": NASTY * 2} for r in odd if r["src"] == NASTY)])
    code, told = typed("run", "--corpus", str(path), "--home", str(tmp_path / "home"))
    assert code == 2, told
    assert told.splitlines()[-1].startswith("error: ")


def _parquet(frame: pd.DataFrame) -> bytes:
    import pyarrow as pa

    from fr_ensemble_assets.foundation.tables import parquet_bytes

    arrays = [pa.array(frame.iloc[:, n]) for n in range(frame.shape[1])]
    return parquet_bytes(pa.Table.from_arrays(arrays, names=list(frame.columns)))
