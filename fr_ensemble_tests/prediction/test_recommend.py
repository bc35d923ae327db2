"""Which quality keeps the lower bound above a target? Asked of members whose answers are known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from upath import UPath

from fr_ensemble_assets.calibration.calibrate import Calibration, Range, TrainedOn
from fr_ensemble_assets.calibration.mean_curve import MeanCurve
from fr_ensemble_assets.calibration.rules import QuantileTable, gaussian_table
from fr_ensemble_assets.features.codec_block import CodecBlock
from fr_ensemble_assets.features.scaler import Scaler
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.schema import CANONICAL_6
from fr_ensemble_assets.members.onnx_export import export_onnx
from fr_ensemble_assets.prediction.candidate import Candidate
from fr_ensemble_assets.prediction.frames import Frames, frames_of
from fr_ensemble_assets.prediction.recommend import recommend
from fr_ensemble_assets.prediction.recommend_document import recommendations_document
from fr_ensemble_assets.prediction.recommendation import Recommendation
from fr_ensemble_assets.training.model import Parameters


def table_of(highest: float, quantile: float) -> QuantileTable:
    return QuantileTable("source", 0.5, highest, (0.5, highest), (quantile / 2, quantile))


@pytest.fixture
def known() -> Candidate:
    """Members that say 100·adm2, and disagree by less than sigma's floor.

    Per encode q is 2 and the floor 0.5 at 95 %: the interval is ±1. In between, curves err by up
    to a tenth of the gap.
    """
    weight = np.zeros((1, 20), np.float32)
    weight[0, 0] = 100.0
    models = tuple(
        export_onnx(Parameters((weight,), (np.array([offset], np.float32),)), "known")
        for offset in (-0.2, -0.1, 0.0, 0.1, 0.2)
    )
    anything = Range(-1e9, 1e9)
    calibration = Calibration(
        corpus_sha256="",
        n_frames=100,
        n_encodes=50,
        sources=tuple("abcdefghijklmnopqrs"),
        mean_sigma=0.2,
        frame={"gaussian": gaussian_table(), "source": table_of(0.95, 9.0)},
        encode={"gaussian": gaussian_table(), "source": table_of(0.95, 2.0)},
        plain={},
        coverages=(),
        trained_on=TrainedOn(dict.fromkeys(CANONICAL_6, anything), {"libx264": anything}),
        interpolation={"any": table_of(0.95, 0.1)},
    )
    scaler = Scaler(np.zeros(6), np.ones(6), 100)
    return Candidate(UPath("known"), scaler, CodecBlock(0.0, 63.0), models, calibration)


def ladder(vmaf: dict[float, float], sizes: Sequence[int] = (), src: str = "clip") -> Frames:
    """Two frames of each quality, whose predicted mean is known."""
    rows = [
        {
            **{"src": src, "encoder": "libx264", "cq": quality, "frame_index": frame},
            **dict.fromkeys(CANONICAL_6, 0.0),
            "adm2": (mean + (1 if frame else -1)) / 100,
            **({"enc_bytes": sizes[place]} if sizes else {}),
        }
        for place, (quality, mean) in enumerate(vmaf.items())
        for frame in (0, 1)
    ]
    return frames_of(pd.DataFrame(rows))


def scored(frames: Frames, vmaf: dict[float, float]) -> Frames:
    """The same with the VMAF of some qualities measured."""
    return frames_of(frames.frame.assign(vmaf=frames.frame["cq"].map(vmaf)))


def only(candidate: Candidate, frames: Frames, target: float) -> Recommendation:
    (item,) = recommend(candidate, frames, target).items
    return item


def test_largest_measured_quality_whose_lower_bound_reaches_the_target(known: Candidate) -> None:
    item = only(known, ladder({20: 96.0, 21: 93.2, 22: 92.9, 23: 60.0}), target=92)
    assert item.choice is not None
    assert (item.choice.quality, item.choice.interpolated) == (21, False)
    assert item.choice.mu == pytest.approx(93.2, abs=1e-4)
    assert item.choice.lower == pytest.approx(92.2, abs=1e-4)
    assert item.choice.upper == pytest.approx(94.2, abs=1e-4)
    assert [rung.frames for rung in item.measured] == [2, 2, 2, 2]


def test_between_measured_qualities_the_interval_is_widened_by_the_error_of_the_curve(
    known: Candidate,
) -> None:
    """A line from 96 to 86: at 22 it says 94, less 1 for the interval and 10 % of 10 for itself."""
    item = only(known, ladder({20: 96.0, 30: 86.0}, sizes=(1000, 100)), target=92)
    assert item.choice is not None
    assert (item.choice.quality, item.choice.interpolated, item.choice.frames) == (22, True, 0)
    assert item.choice.mu == pytest.approx(94.0, abs=1e-3)
    assert item.choice.lower == pytest.approx(92.0, abs=1e-3)
    assert item.choice.upper == pytest.approx(96.0, abs=1e-3)
    assert item.choice.size == pytest.approx(1000 * 10**-0.2)  # sizes fall exponentially
    assert item.saved == pytest.approx(1 - 10**-0.2)
    assert item.sentence == (
        "clip with libx264: CRF 22 (interpolated) is the largest whose lower bound reaches VMAF "
        "92: predicted 94.0 (92.0 to 96.0 at 95%), 37% smaller than at 20."
    )


def test_what_bounds_a_milder_quality_from_above_bounds_the_next_one(known: Candidate) -> None:
    """At 21 the line says 95, and 1 and 10 % of 20 more would be 98; but 20 has at most 97."""
    item = only(known, ladder({20: 96.0, 40: 76.0}), target=91.9)
    assert item.choice is not None
    assert (item.choice.quality, item.choice.interpolated) == (21, True)
    assert item.choice.upper == pytest.approx(97.0, abs=1e-3)


def test_where_none_reaches_the_target_the_nearest_is_named(known: Candidate) -> None:
    item = only(known, ladder({20: 90.0, 30: 80.0}), target=92)
    assert item.choice is None
    assert item.saved is None
    assert item.nearest.quality == 20
    assert item.sentence == (
        "clip with libx264: none of the probes keeps VMAF 92; the nearest is CRF 20, predicted "
        "90.0 (89.0 to 91.0 at 95%); probe 18 next."
    )


def test_higher_target_never_gives_a_larger_quality(known: Candidate) -> None:
    frames = ladder({19: 99.0, 25: 96.0, 31: 91.0, 37: 80.0})
    chosen = [only(known, frames, target).choice for target in np.linspace(70, 100, 61)]
    qualities = [choice.quality if choice else -1 for choice in chosen]
    assert qualities == sorted(qualities, reverse=True)
    assert qualities[0] == 37
    assert qualities[-1] == -1


def test_unsupported_level_is_answered_at_the_highest_and_flagged(known: Candidate) -> None:
    found = recommend(known, ladder({20: 96.0}), target=92, confidence=0.99)
    assert (found.answer.supported, found.answer.asked, found.answer.level) == (False, 0.99, 0.95)
    assert found.explanation.startswith(
        "19 sources can't carry 99%; answered at 95%, the highest that can be had"
    )
    assert "at 95%" in found.items[0].sentence
    assert recommend(known, ladder({20: 96.0}), target=92).answer.supported


def test_without_an_error_of_the_curve_only_measured_qualities_are_answered(
    known: Candidate,
) -> None:
    blind = replace(known, calibration=replace(known.calibration, interpolation={}))
    item = only(blind, ladder({20: 96.0, 30: 86.0}), target=92)
    assert item.choice is not None
    assert item.choice.quality == 20


def test_sources_encoders_and_presets_are_answered_apart(known: Candidate) -> None:
    one, other = ladder({20: 96.0}).frame, ladder({20: 80.0}, src="dark").frame
    fast = one.assign(preset="fast")
    found = recommend(known, frames_of(pd.concat([one, other, fast])), target=92)
    answers = [(i.src, i.preset, i.choice is not None) for i in found.items]
    assert sorted(answers, key=str) == [
        ("clip", "fast", True),
        ("clip", None, True),
        ("dark", None, False),
    ]


def test_what_was_recommended_is_one_strict_json_object(known: Candidate) -> None:
    found = recommend(known, ladder({20: 96.0, 30: 86.0}, sizes=(1000, 100)), target=92)
    document = json.loads(json.dumps(recommendations_document(found), allow_nan=False))
    (item,) = document["recommendations"]
    assert (item["choice"]["quality"], item["choice"]["interpolated"]) == (22, True)
    assert [rung["quality"] for rung in item["qualities"]] == [20, 30]
    assert (document["confidence"], document["supported"]) == (0.95, True)


def test_rows_unlike_any_trained_on_are_told_in_the_sentence(known: Candidate) -> None:
    strange = ladder({20: 96.0}).frame.assign(encoder="libx265")
    item = only(known, frames_of(strange), target=92)
    assert "100% of its frames are unlike the training frames" in item.sentence


def test_two_sizes_of_one_encode_are_refused(known: Candidate) -> None:
    table = ladder({20: 96.0}, sizes=(1000,)).frame
    table.loc[1, "enc_bytes"] = 999
    with pytest.raises(UnusableInput, match="expected one 'enc_bytes' an encode, found 999 and 10"):
        recommend(known, frames_of(table), target=92)


@pytest.mark.parametrize("target", [-1.0, 101.0, float("nan")])
def test_target_outside_vmaf_is_refused(known: Candidate, target: float) -> None:
    with pytest.raises(UnusableInput, match="target: expected a VMAF from 0 to 100"):
        recommend(known, ladder({20: 96.0}), target)


def test_encode_unlike_any_trained_on_is_never_recommended(known: Candidate) -> None:
    """No interval covers it, however high its lower bound."""
    with_limits = replace(
        known,
        calibration=replace(
            known.calibration,
            trained_on=replace(
                known.calibration.trained_on,
                features=dict.fromkeys(known.calibration.trained_on.features, Range(-9e5, -8e5)),
            ),
        ),
    )
    item = only(with_limits, ladder({20: 96.0, 30: 86.0}), target=60)
    assert item.choice is None
    assert "nothing is recommended; 100% of its frames are unlike the" in item.sentence


def test_predictions_that_rise_with_the_quality_value_are_told(known: Candidate) -> None:
    item = only(known, ladder({20: 90.0, 30: 96.0}), target=80)
    assert (
        "the predictions rise with the quality value, which can't be: look at the probes"
        in item.sentence
    )


# --- what was measured is believed -----------------------------------------------------------


def test_measured_vmaf_decides_and_the_prediction_stands_beside_it(known: Candidate) -> None:
    predicted = ladder({19: 96.0, 23: 92.5, 25: 91.0, 27: 90.0}, sizes=(90, 70, 60, 50))
    frames = scored(predicted, {19: 97.0, 23: 93.0, 25: 92.2, 27: 91.9})
    item = only(known, frames, target=92)
    assert item.choice is not None
    assert (item.choice.quality, item.choice.vmaf) == (25, pytest.approx(92.2))
    assert item.choice.mu == pytest.approx(91.0, abs=1e-3)
    assert item.sentence == (
        "clip with libx264: CRF 25 is the largest that keeps VMAF 92: measured 92.20, "
        "predicted 91.0 (90.0 to 92.0 at 95%), 33% smaller than at 19."
    )
    assert item.next_probe == 26
    neighbours = scored(ladder({25: 91.0, 26: 99.0}), {25: 92.2, 26: 91.9})
    assert only(known, neighbours, target=92).next_probe is None  # there is nothing to learn


def test_beyond_a_quality_that_was_measured_to_miss_no_prediction_is_believed(
    known: Candidate,
) -> None:
    frames = scored(ladder({20: 96.0, 25: 96.0, 30: 96.0}), {20: 95.0, 25: 91.0})
    item = only(known, frames, target=92)
    assert item.choice is not None
    assert 20 <= item.choice.quality < 25
    # Another measurement is.
    item = only(known, scored(ladder({20: 96.0, 25: 96.0, 30: 80.0}), {25: 91.0, 30: 92.5}), 92)
    assert item.choice is not None
    assert (item.choice.quality, item.choice.vmaf) == (30, pytest.approx(92.5))


def test_between_measured_scores_only_the_curve_itself_errs(known: Candidate) -> None:
    """94 at 22 by the line, less 10 % of 10: the predictions, at 50, don't count."""
    item = only(known, scored(ladder({20: 50.0, 30: 50.0}), {20: 96.0, 30: 86.0}), target=92.5)
    assert item.choice is not None
    assert (item.choice.quality, item.choice.interpolated) == (22, True)
    assert item.choice.lower == pytest.approx(93.0, abs=1e-3)
    assert item.next_probe == 22


def test_partly_scored_encode_is_predicted(known: Candidate) -> None:
    table = scored(ladder({20: 96.0}), {20: 50.0}).frame
    table.loc[1, "vmaf"] = np.nan
    item = only(known, frames_of(table), target=92)
    assert item.choice is not None
    assert item.choice.vmaf is None


def test_largest_of_those_probed_is_said_with_the_next_probe(known: Candidate) -> None:
    item = only(known, scored(ladder({20: 99.0, 30: 96.0}), {20: 98.0, 30: 95.0}), target=92)
    assert "CRF 30 is the largest of the probes that keeps VMAF 92: measured 95.00" in (
        item.sentence
    )
    assert item.sentence.endswith("; probe 40 to find a cheaper one.")
    single = only(known, ladder({51: 96.0}), target=92)  # there is no coarser quality of x264
    assert single.ends_the_file
    assert single.sentence.endswith("; score the encode at 51 to be sure.")  # it was predicted
    measured = only(known, scored(ladder({51: 96.0}), {51: 96.0}), target=92)
    assert measured.next_probe is None
    out_of_reach = only(known, ladder({0: 90.0}), target=92)
    assert out_of_reach.next_probe is None
    assert "probe" not in out_of_reach.sentence.replace("probes", "")


def test_measured_encode_unlike_any_trained_on_is_recommended(known: Candidate) -> None:
    """No interval is needed for what was measured."""
    strange = scored(ladder({20: 96.0}), {20: 96.0}).frame.assign(encoder="libx265")
    item = only(known, frames_of(strange), target=92)
    assert item.choice is not None


@pytest.mark.parametrize("vmaf", [-0.1, 100.1])
def test_score_that_is_no_vmaf_is_refused(known: Candidate, vmaf: float) -> None:
    with pytest.raises(UnusableInput, match="expected column 'vmaf' to be a number from 0 to 100"):
        recommend(known, scored(ladder({20: 96.0}), {20: vmaf}), target=92)


# --- presets -----------------------------------------------------------------------------------


def with_presets(candidate: Candidate, **places: float) -> Candidate:
    return replace(candidate, codec=CodecBlock(0.0, 63.0, {"libx264": places}))


def test_one_preset_in_training_is_the_one_of_rows_that_tell_none(known: Candidate) -> None:
    found = recommend(with_presets(known, medium=0.55), ladder({20: 96.0, 21: 93.2}), target=92)
    assert found.assumed_presets == {"libx264": "medium"}
    assert found.items[0].choice is not None
    assert found.items[0].sentence.startswith("clip with libx264: CRF 21 is the largest")


def test_two_presets_in_training_leave_rows_without_one_unanswered_and_say_why(
    known: Candidate,
) -> None:
    several = with_presets(known, fast=0.4, slow=0.7)
    found = recommend(several, ladder({20: 96.0, 21: 93.2}), target=92)
    assert found.assumed_presets == {}
    assert found.items[0].choice is None
    assert found.items[0].sentence == (
        "clip with libx264: nothing is recommended; 100% of its frames are unlike the "
        "training frames."
    )


def test_candidate_that_was_trained_without_presets_takes_any(known: Candidate) -> None:
    frames = ladder({20: 96.0, 21: 93.2})
    told = frames_of(frames.frame.assign(preset="veryslow"))
    (untold,), (item,) = recommend(known, frames, 92).items, recommend(known, told, 92).items
    assert item.choice == untold.choice
    assert item.choice is not None
    assert "libx264 (veryslow): CRF 21" in item.sentence


# --- the curve -----------------------------------------------------------------------------------


def test_between_measured_qualities_the_curve_runs_along_the_encoders_mean_curve(
    known: Candidate,
) -> None:
    """Mean VMAF falls by 1 to 25 and by 9 from there on: so does what lies between two probes."""
    along = MeanCurve((20.0, 25.0, 30.0), (96.0, 95.0, 86.0))
    bent = replace(known.calibration, mean_curves={"libx264": along})
    frames = ladder({20: 96.0, 30: 86.0})
    item = only(replace(known, calibration=bent), frames, target=92.9)
    straight = only(known, frames, target=92.9)
    assert item.choice is not None
    assert straight.choice is not None
    assert item.choice.quality == 25
    assert item.choice.mu == pytest.approx(95.0, abs=1e-3)
    assert straight.choice.quality == 21
