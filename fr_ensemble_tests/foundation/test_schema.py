"""What a row may hold: the quick look and pandera's schema say the same."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pandera.errors
import pytest

from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.corpus.reader import first_invalid_value
from fr_ensemble_assets.foundation.schema import MAX_EXACT_INTEGER, ROW_RULES


def obeys_the_schema(frame: pd.DataFrame) -> bool:
    try:
        ROW_RULES.schema().validate(frame, lazy=True)
    except pandera.errors.SchemaErrors:
        return False
    return True


@pytest.mark.parametrize(
    ("column", "value", "valid"),
    [
        ("vmaf", 0.0, True),
        ("vmaf", 100.0, True),
        ("vmaf", 100.0000001, False),
        ("vmaf", -1e-9, False),
        ("vmaf", math.nan, False),
        ("adm2", -3.0, True),
        ("adm2", math.inf, False),
        ("motion2", math.nan, False),
        ("frame_index", -1, False),
        ("frame_index", MAX_EXACT_INTEGER, True),
        ("frame_index", MAX_EXACT_INTEGER + 2, False),
        ("src", "", False),
        ("preset", None, True),
        ("preset", "", False),
        ("enc_time_ms", math.nan, True),
        ("enc_time_ms", math.inf, False),
    ],
)
def test_one_value_decides_and_both_agree(
    few: Corpus, column: str, value: Any, valid: bool
) -> None:
    frame = few.frame.assign(preset="medium", enc_time_ms=1.5)
    frame.loc[7, column] = value
    assert ROW_RULES.plainly_hold(frame) == obeys_the_schema(frame) == valid
    assert (first_invalid_value(frame) is None) == valid


def test_column_that_is_missing_or_of_another_type_is_left_to_the_schema(few: Corpus) -> None:
    assert ROW_RULES.plainly_hold(few.frame)
    assert not ROW_RULES.plainly_hold(few.frame.drop(columns="vmaf"))
    assert not ROW_RULES.plainly_hold(few.frame.assign(src=7))
    assert not ROW_RULES.plainly_hold(few.frame.assign(vmaf="high"))
