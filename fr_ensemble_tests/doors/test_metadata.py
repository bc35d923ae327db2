"""What a page of the UI shows of an asset, as a window of 1280 pixels has room for it."""

from __future__ import annotations

import dagster as dg

from fr_ensemble_assets.doors.metadata import fitting, folded, lines, table

#: The UI shows Markdown of fewer characters at once, and folds other behind a click.
_SEEN_AT_ONCE = 1000


def markdown(value: dg.MetadataValue) -> str:
    assert isinstance(value, dg.MarkdownMetadataValue)
    return value.md_str or ""


def test_table_wider_than_its_column_is_folded_however_short_it_is() -> None:
    narrow = table([{"seed": 0, "plcc": 0.99}])
    assert isinstance(narrow, dg.TableMetadataValue)
    wide = table([{"seed": 0, "onnx": "fr_regressor_v2_ensemble_v1_seed0.onnx"}])
    assert len(markdown(wide)) >= _SEEN_AT_ONCE
    assert len(markdown(folded({"by source": []}, "corpus 88e3"))) >= _SEEN_AT_ONCE


def test_reasons_are_a_line_each_and_seen_at_once() -> None:
    assert markdown(lines(["low", "apart"])) == "- low\n- apart"
    many = markdown(lines([f"seed {n}: PLCC 0.946933 is 0.003067 below it" for n in range(100)]))
    assert len(many) < _SEEN_AT_ONCE
    assert many.splitlines()[-1].startswith("- and ")


def test_long_name_does_not_widen_the_page() -> None:
    told = fitting("lowest on sam2ui_take1_a_rather_long_name_1080p_hdr_24fps, then on dog")
    assert max(map(len, told.split())) <= 40
    assert told.startswith("lowest on sam2ui_take1")
    assert told.endswith("_24fps, then on dog")


def test_large_figures_are_whole() -> None:
    wide = {f"column {n}": 88330.4 + n for n in range(9)}
    assert "| 88330 | 88331 |" in markdown(table([wide]))
