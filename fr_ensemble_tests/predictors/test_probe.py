"""The kind ``probe``: falls with crf whatever it is fed, and is trained on what is served."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fr_ensemble_assets.clips.ffmpeg import Children, Ffmpeg
from fr_ensemble_assets.encodes.grid import Cell
from fr_ensemble_assets.encodes.score import Scored, encode_and_score
from fr_ensemble_assets.foundation.errors import GateRefusal, UnusableInput
from fr_ensemble_assets.members.onnx_export import forbidden_operators
from fr_ensemble_assets.predictors.cell_schema import PROBE_FEATURES
from fr_ensemble_assets.predictors.cells import BUNDLED_CELLS, Cells, read_cells
from fr_ensemble_assets.predictors.gate import decide
from fr_ensemble_assets.predictors.pooling import pool
from fr_ensemble_assets.predictors.probe import (
    PROBE_INPUTS,
    fit_probe,
    judge_probe,
    probe_inputs,
)
from fr_ensemble_assets.predictors.probe_card import build_probe, calibration_sidecar
from fr_ensemble_assets.predictors.probe_features import PROBE_SETTINGS, probe_clip
from fr_ensemble_assets.predictors.probe_onnx import probe_onnx, run_probe_onnx
from fr_ensemble_tests.video import FRAMES, X264, look

X265 = "libx265"


CELLS = read_cells(BUNDLED_CELLS).cells
ROWS = CELLS.of_encoder(X265)
MODEL = fit_probe(ROWS)
DATA = probe_onnx(MODEL, "predictor_libx265")
VARIED = np.ptp(probe_inputs(ROWS)[:, 1:], axis=0) > 0


def test_inputs_are_the_consumers_in_its_order() -> None:
    assert (
        *("crf", "probe_bitrate_kbps", "probe_i_frame_avg_bytes", "probe_p_frame_avg_bytes"),
        *("probe_b_frame_avg_bytes", "saliency_mean", "saliency_var", "frame_diff_mean"),
        *("y_avg", "y_var", "shot_length_frames", "fps", "width", "height"),
    ) == PROBE_INPUTS
    # The encode's own size, which depends on the crf asked for, is none of them.
    resized = ROWS.assign(enc_bytes=ROWS["enc_bytes"] * 3)
    np.testing.assert_array_equal(probe_inputs(resized), probe_inputs(ROWS))


def test_onnx_is_the_model_and_libvmaf_would_load_it() -> None:
    onnx.checker.check_model(onnx.ModelProto.FromString(DATA), full_check=True)
    assert forbidden_operators(DATA) == ()
    inputs = probe_inputs(ROWS)
    np.testing.assert_allclose(run_probe_onnx(DATA, inputs), MODEL.predict(inputs), atol=1e-3)
    assert len(run_probe_onnx(DATA, inputs[:1])) == 1
    assert probe_onnx(fit_probe(ROWS), "predictor_libx265") == DATA


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.floats(0, 1e9, width=32), min_size=13, max_size=13),
    st.integers(0, 50),
)
@example([0, 9675, 6091, 972, 0, 0, 2, 0, 0, 0, 48, 0, 0], 50)  # 1e-5 VMAF: Sigmoid's noise shows
def test_score_falls_with_crf_for_every_input(others: list[float], crf: int) -> None:
    served = np.array([[c, *others] for c in (float(crf), float(crf + 1))])
    finer, coarser = MODEL.predict(served)
    assert 0 <= coarser < finer <= 100
    finer, coarser = run_probe_onnx(DATA, served)
    assert coarser <= finer


def test_curves_are_not_constant_with_luma_that_training_never_saw() -> None:
    """13 of the fork's 14 answer 100.00 at every crf once signalstats are served."""
    for luma in ((6.0, 110.0, 120.0), (2.0, 30.0, 40.0)):
        for size in ((500, 1920, 1080), (4000, 640, 360)):
            kbps, width, height = size
            others = [kbps, 2e4, 4e3, 1e3, 0, 0, *luma, 240, 25, width, height]
            served = np.array([[float(crf), *others] for crf in range(15, 46)])
            scores = run_probe_onnx(DATA, served)
            assert (np.diff(scores) < 0).all()
            assert scores[0] - scores[-1] > 15


def test_column_that_does_not_vary_weighs_exactly_nothing() -> None:
    assert not VARIED[4:6].any()
    assert (MODEL.level[1:][~VARIED] == 0).all()
    assert (MODEL.steepness[1:][~VARIED] == 0).all()
    served = probe_inputs(ROWS)[:5]
    other = served.copy()
    other[:, 1:][:, ~VARIED] = 7e5
    np.testing.assert_array_equal(run_probe_onnx(DATA, other), run_probe_onnx(DATA, served))


def test_inputs_beyond_the_training_count_as_its_ends() -> None:
    inputs = probe_inputs(ROWS)
    far, ends = inputs[:1].copy(), inputs[:1].copy()
    far[0, 1:], ends[0, 1:] = 1e8, inputs[:, 1:].max(axis=0)
    np.testing.assert_array_equal(MODEL.predict(far), MODEL.predict(ends))


def test_cells_without_probes_are_no_evidence() -> None:
    verdict = judge_probe(Cells.of(CELLS.frame.drop(columns="y_avg")), X265)
    assert verdict.status == "unusable"
    assert "features of an unscored probe" in verdict.reasons[0]


def test_one_cheap_probe_does_not_pass_and_nothing_is_built() -> None:
    verdict = judge_probe(CELLS, X265)
    assert verdict.status == "fail"
    assert verdict.evaluation is not None
    assert len(verdict.evaluation.predictions) == 21 * 7  # no quality is left out of judging
    with pytest.raises(GateRefusal, match="libx265: no predictor, its verdict is a HOLD: "):
        build_probe(CELLS, verdict)


def test_codec_that_passes_gets_its_files() -> None:
    """Scores that hang on little but crf can be foretold."""
    rate = np.log(CELLS.frame["probe_bitrate_kbps"])
    logit = 4 - 0.11 * (CELLS.frame["cq"] - 20) - 0.05 * (rate - rate.mean())
    easy = Cells.of(CELLS.frame.assign(vmaf=100 / (1 + np.exp(-logit))))
    verdict = judge_probe(easy, X265)
    assert verdict.passed, verdict.reasons
    files = build_probe(easy, verdict)
    assert build_probe(easy, verdict) == files
    assert files.sidecar["feature_order"] == list(PROBE_INPUTS)
    assert files.sidecar["corpus_sha256"] == easy.sha256
    assert "## Status: Production (ADR-0303 gate cleared)" in files.card
    with pytest.raises(GateRefusal, match="its verdict is on cells"):
        build_probe(CELLS, verdict)
    assert verdict.evaluation is not None
    with pytest.raises(GateRefusal, match="dry run: fold seed 7"):
        build_probe(easy, decide(replace(verdict.evaluation, fold_seed=7)))


def test_calibration_is_the_consumers_and_says_what_sources_carry() -> None:
    evaluation = judge_probe(CELLS, X265).evaluation
    assert evaluation is not None
    document = calibration_sidecar(evaluation)
    assert (document["method"], document["alpha"], document["n"]) == ("split-conformal", 0.05, 147)
    assert document["residuals"] == sorted(document["residuals"])
    assert document["residuals"][0] >= 0
    source = document["source_level"]
    assert (source["n_sources"], source["level"]) == (21, 0.95)
    assert source["half_width"] <= document["residuals"][-1]


# --- what is measured of a clip --------------------------------------------------------------


@pytest.mark.parametrize("encoder", ["libx264", "libsvtav1", "libvvenc"])
def test_probe_of_a_clip_is_the_same_each_time(
    ffmpeg: Ffmpeg, clip_file: Path, tmp_path: Path, encoder: str
) -> None:
    """To the bit: what is served is what was trained on."""
    clip = look(ffmpeg, clip_file)
    with Children() as children:
        one, again = (probe_clip(ffmpeg, children, clip, encoder, tmp_path) for _ in range(2))
    assert one == again
    assert one.bitrate_kbps > 0
    assert one.y_avg > 0
    assert (one.i_bytes > 0) == (encoder != "libvvenc")  # which doesn't tell frames' types
    assert len(one.values) == len(PROBE_FEATURES)
    assert [left.name for left in tmp_path.iterdir()] == [clip_file.name]


def test_probe_that_fails_is_told(ffmpeg: Ffmpeg, clip_file: Path, tmp_path: Path) -> None:
    clip = look(ffmpeg, clip_file)
    with Children() as children:
        with pytest.raises(UnusableInput, match="expected an encoder with a probe"):
            probe_clip(ffmpeg, children, clip, "h264_nvenc", tmp_path)
        gone = replace(clip, path=str(tmp_path / "gone.mkv"))
        with pytest.raises(UnusableInput, match="gone.mkv: expected a probe with libx264"):
            probe_clip(ffmpeg, children, gone, "libx264", tmp_path)
    assert set(PROBE_SETTINGS) >= {"libx264", "libx265", "libsvtav1", "libvvenc", "libvpx-vp9"}


def test_encode_becomes_a_cell_of_all_its_frames(
    ffmpeg: Ffmpeg, clip_file: Path, tmp_path: Path
) -> None:
    clip = look(ffmpeg, clip_file)
    with Children() as children:
        (scored,) = encode_and_score(ffmpeg, children, [Cell(clip, X264, 30, FRAMES)], tmp_path)
        probe = probe_clip(ffmpeg, children, clip, "libx264", tmp_path)
    assert isinstance(scored, Scored)
    (row,) = pool([scored], {(clip.src, "libx264"): probe.values}).frame.to_dict("records")
    assert row["vmaf"] == pytest.approx(np.mean(scored.vmaf))
    assert (row["frames"], row["enc_bytes"], row["preset"]) == (FRAMES, scored.enc_bytes, "medium")
    assert row["probe_bitrate_kbps"] == probe.bitrate_kbps
