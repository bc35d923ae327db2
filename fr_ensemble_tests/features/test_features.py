"""Scaler and codec block, by contracts section 1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.corpus.reader import read_corpus
from fr_ensemble_assets.corpus.summary import rule_unknown_encoders, summarise
from fr_ensemble_assets.features.codec_block import (
    CODEC_BLOCK_LAYOUT,
    CodecBlock,
    fit_codec_block,
)
from fr_ensemble_assets.features.scaler import fit_scaler
from fr_ensemble_assets.foundation.schema import ENCODER_VOCABULARY
from fr_ensemble_tests.conftest import Row, write_rows


def test_scaler_is_the_population_deviation_and_spares_constants() -> None:
    features = np.array([[1.0, 5.0], [3.0, 5.0]])
    scaler = fit_scaler(features)
    np.testing.assert_array_equal(scaler.mean, [2.0, 5.0])
    np.testing.assert_array_equal(scaler.std, [1.0, 1.0])
    np.testing.assert_array_equal(scaler.standardise(features), [[-1.0, 0.0], [1.0, 0.0]])


def test_codec_block_has_one_slot_a_row_then_preset_and_quality(few: Corpus) -> None:
    block = fit_codec_block(few).encode(few)
    assert block.shape == (few.n_rows, 14)
    assert len(CODEC_BLOCK_LAYOUT) == 14
    slots = [ENCODER_VOCABULARY[slot] for slot in block[:, :12].argmax(axis=1)]
    assert slots == few.frame["encoder"].tolist()
    np.testing.assert_array_equal(block[:, :12].sum(axis=1), 1.0)
    assert (block[:, 13].min(), block[:, 13].max()) == (0.0, 1.0)


def with_presets(rows: list[Row], presets: dict[str, str]) -> list[Row]:
    """``rows`` with the preset of their encoder, and without any where it has none."""
    return [
        {key: value for key, value in row.items() if key != "preset"}
        | ({"preset": presets[row["encoder"]]} if row["encoder"] in presets else {})
        for row in rows
    ]


def test_presets_are_placed_in_their_encoders_own_list(tmp_path: Path, few_rows: list[Row]) -> None:
    presets = {"libx264": "veryslow", "libx265": "ultrafast", "libsvtav1": "13", "libvvenc": "own"}
    rows = with_presets(few_rows, presets)
    second = next(row for row in rows if row["encoder"] == "libx264")
    second["preset"] = "medium"  # one encoder with two is enough: the column tells something
    corpus = read_corpus(write_rows(tmp_path / "presets.jsonl", rows)).corpus
    norm = pd.Series(fit_codec_block(corpus).encode(corpus)[:, 12].round(6))
    assert norm.groupby(corpus.frame["encoder"]).agg(lambda n: sorted(set(n))).to_dict() == {
        "libx264": [pytest.approx(5 / 9), pytest.approx(8 / 9)],
        "libx265": [0.0],
        "libsvtav1": [0.0],
        "libvvenc": [0.5],  # its list has no preset of that name
        "libvpx-vp9": [0.5],  # none recorded
    }


def test_one_preset_an_encoder_tells_nothing_and_is_neutral(
    tmp_path: Path, few_rows: list[Row]
) -> None:
    rows = with_presets(few_rows, {"libx264": "veryslow", "libx265": "ultrafast"})
    corpus = read_corpus(write_rows(tmp_path / "single.jsonl", rows)).corpus
    block = fit_codec_block(corpus)
    np.testing.assert_array_equal(block.encode(corpus)[:, 12], 0.5)
    assert block.presets == {"libx264": {"veryslow": 0.5}, "libx265": {"ultrafast": 0.5}}


def test_missing_preset_is_the_only_one_or_stays_missing() -> None:
    block = CodecBlock(19, 37, {"libx264": {"medium": 0.5}, "libx265": {"fast": 0.4, "slow": 0.7}})
    frame = pd.DataFrame({"encoder": ["libx264", "libx265", "libvvenc", "libx264"]})
    filled, assumed = block.with_single_presets(frame.assign(preset=[None, None, None, "slow"]))
    assert filled["preset"].fillna("").tolist() == ["medium", "", "", "slow"]
    assert assumed == {"libx264": "medium"}
    filled, assumed = block.with_single_presets(frame)
    assert filled["preset"].fillna("").tolist() == ["medium", "", "", "medium"]
    untold = pd.DataFrame({"encoder": ["libx265"]})
    assert block.with_single_presets(untold)[0] is untold


def test_corpus_without_presets_is_neutral(tmp_path: Path, few_rows: list[Row]) -> None:
    rows = [{key: value for key, value in row.items() if key != "preset"} for row in few_rows]
    corpus = read_corpus(write_rows(tmp_path / "none.jsonl", rows)).corpus
    np.testing.assert_array_equal(fit_codec_block(corpus).encode(corpus)[:, 12], 0.5)


def test_single_quality_is_neutral() -> None:
    np.testing.assert_array_equal(CodecBlock(23.0, 23.0).normalise_cq(np.array([23.0])), [0.5])


def test_encoder_outside_the_vocabulary_is_unknown_and_counted(
    tmp_path: Path, few_rows: list[Row]
) -> None:
    renamed = [
        {**row, "encoder": "h264_videotoolbox"} if row["encoder"] == "libx264" else row
        for row in few_rows
    ]
    corpus = read_corpus(write_rows(tmp_path / "a.jsonl", renamed)).corpus
    count = int((corpus.frame["encoder"] == "h264_videotoolbox").sum())
    block = fit_codec_block(corpus).encode(corpus)
    assert block[:, ENCODER_VOCABULARY.index("unknown")].sum() == count
    finding = rule_unknown_encoders(summarise(corpus))
    assert not finding.passed
    assert f"h264_videotoolbox: {count} rows" in finding.observed
