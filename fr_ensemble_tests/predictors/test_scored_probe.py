"""The scored probe: monotone whatever it is fed, exact where measured, and near the truth."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fr_ensemble_assets.predictors.cells import BUNDLED_CELLS, Cells, read_cells
from fr_ensemble_assets.predictors.curves import CurveModel, Gaussian
from fr_ensemble_assets.predictors.ladders import Ladders, NoCurves, ladders_of
from fr_ensemble_assets.predictors.model import Probe, ScoredProbe
from fr_ensemble_assets.predictors.scale import never_rising, to_t, to_vmaf
from fr_ensemble_assets.predictors.slopes import SlopeNet

CELLS = read_cells(BUNDLED_CELLS).cells
EVERYTHING = ladders_of(CELLS, "libsvtav1")
TAUGHT = EVERYTHING.only(set(EVERYTHING.sources) - {"city"})
PREDICTOR = ScoredProbe(TAUGHT)
SCORES = st.floats(0, 100, allow_nan=False)
#: Far beyond what any encode's logarithms are.
LOGS = st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=7, max_size=7)


def probe_of(ladders: Ladders, source: str, quality: float) -> Probe:
    place, at = ladders.sources.index(source), ladders.index_of(quality)
    return Probe(quality, float(ladders.vmaf[place, at]), ladders.features[place, at])


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.tuples(st.sampled_from(EVERYTHING.quality.tolist()), SCORES, LOGS),
        min_size=0,
        max_size=5,
        unique_by=lambda measured: measured[0],
    ),
    SCORES,
)
def test_never_rises_whatever_was_measured(
    measured: list[tuple[float, float, list[float]]], target: float
) -> None:
    probes = [Probe(quality, vmaf, np.array(logs)) for quality, vmaf, logs in measured]
    belief = PREDICTOR.belief(probes)
    assert np.isfinite(belief.vmaf).all()
    assert (np.diff(belief.vmaf) <= 0).all()
    assert belief.vmaf.min() >= 0
    assert belief.vmaf.max() <= 100
    chance = belief.probability(target)
    assert (np.diff(chance) <= 0).all()
    assert chance.min() >= 0
    assert chance.max() <= 1
    assert (belief.deviation >= 0).all()
    scores = [vmaf for _, vmaf, _ in sorted(measured)]
    if scores == sorted(scores, reverse=True):  # measured scores that don't rise are kept
        for quality, vmaf, _ in measured:
            assert belief.vmaf[TAUGHT.index_of(quality)] == pytest.approx(vmaf, abs=1e-9)


@settings(deadline=None, max_examples=50)
@given(SCORES, LOGS)
def test_slope_net_is_exact_at_the_probe_and_never_rises(vmaf: float, logs: list[float]) -> None:
    net = NETS[20]
    curve = net.curve(vmaf, np.array(logs))
    assert curve[20] == vmaf
    inside = to_vmaf(to_t(np.clip(curve, 0.05, 100)))
    assert (np.diff(inside) <= 1e-9).all()


NETS = {20: SlopeNet(TAUGHT, 20)}


@given(st.lists(st.floats(-1e9, 1e9, allow_nan=False), min_size=1, max_size=40))
def test_pooling_violators_is_the_nearest_sequence_that_never_rises(values: list[float]) -> None:
    found = never_rising(np.array(values))
    assert (np.diff(found) <= 0).all()
    assert found.mean() == pytest.approx(np.mean(values), rel=1e-9, abs=1e-3)
    np.testing.assert_array_equal(never_rising(found), found)


@pytest.mark.parametrize("vmaf", [0.0, 12.5, 99.9, 100.0])
def test_scale_goes_there_and_back(vmaf: float) -> None:
    assert to_vmaf(to_t(np.array([vmaf])))[0] == pytest.approx(vmaf, abs=1e-12)


def test_each_encode_brings_the_curve_nearer() -> None:
    truth = EVERYTHING.vmaf[EVERYTHING.sources.index("city")]
    errors, widths = [], []
    for qualities in ([], [55], [55, 43], [55, 43, 31]):
        belief = PREDICTOR.belief([probe_of(EVERYTHING, "city", q) for q in qualities])
        errors.append(np.abs(belief.vmaf - truth).mean())
        widths.append(belief.deviation.mean())
    assert widths == sorted(widths, reverse=True)
    assert errors[0] > 2.5 > errors[1] > errors[3]
    assert errors[3] < 0.6


def test_conditioning_is_that_of_a_gaussian() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(6, 6))
    belief = Gaussian(rng.normal(size=6), root @ root.T)
    together = belief.given([1, 4], np.array([0.3, -1.0]))
    one_by_one = belief.given([1], np.array([0.3])).given([4], np.array([-1.0]))
    np.testing.assert_allclose(together.mean, one_by_one.mean)
    np.testing.assert_allclose(together.covariance, one_by_one.covariance, atol=1e-12)


def test_feature_that_does_not_vary_weighs_nothing() -> None:
    """The fork standardises such a column by 1, and random weights meet whatever is served."""
    features = TAUGHT.features.copy()
    features[:, :, 3] = -1.5
    model = CurveModel(replace(TAUGHT, features=features))
    served = features[0, 20].copy()
    usual = model.guess(20, served).mean
    served[3] = 1e6
    np.testing.assert_array_equal(model.guess(20, served).mean, usual)


def test_features_beyond_the_training_count_as_its_ends() -> None:
    ends = TAUGHT.features[:, 20].min(axis=0)
    near, far = (PREDICTOR.belief([Probe(39, 90.0, ends - by)]).vmaf for by in (0.0, 50.0))
    np.testing.assert_array_equal(near, far)


def test_score_that_is_the_target_keeps_it() -> None:
    belief = PREDICTOR.belief([Probe(39, 92.0, TAUGHT.features[0, 20])])
    chance = belief.probability(92.0)
    assert (chance[:21] == 1).all()
    assert chance[21] < 1


def test_quality_outside_the_training_is_refused() -> None:
    with pytest.raises(KeyError, match="quality 12 is not one of libsvtav1's curves"):
        PREDICTOR.belief([Probe(12, 90.0, TAUGHT.features[0, 0])])


def test_curves_need_two_qualities_and_a_range_in_common() -> None:
    frame = CELLS.frame[CELLS.frame["encoder"] == "libx264"]
    one = Cells.of(frame[(frame["src"] != "bbb") | (frame["cq"] == 31)])
    with pytest.raises(NoCurves, match="two qualities or more of 'bbb', found 1"):
        ladders_of(one, "libx264")
    fine, coarse = frame["cq"] <= 22, frame["cq"] >= 31
    apart = Cells.of(frame[((frame["src"] == "bbb") & fine) | ((frame["src"] == "city") & coarse)])
    with pytest.raises(NoCurves, match="no range in common"):
        ladders_of(apart, "libx264")
    with pytest.raises(NoCurves, match="no cells of h264_nvenc"):
        ladders_of(CELLS, "h264_nvenc")


def test_four_qualities_are_enough_to_plan_with() -> None:
    few = Cells.of(CELLS.frame[CELLS.frame["cq"].isin([31, 43, 55, 63])])
    taught = ladders_of(few.without(["city"]), "libsvtav1")
    assert taught.quality.tolist() == list(range(31, 64))
    belief = ScoredProbe(taught).belief([probe_of(EVERYTHING, "city", 55)])
    truth = EVERYTHING.vmaf[EVERYTHING.sources.index("city")][-len(taught.quality) :]
    assert np.abs(belief.vmaf - truth).mean() < 2.5


def test_answering_needs_neither_dagster_nor_torch() -> None:
    code = (
        "import sys, fr_ensemble_assets.predictors.search;"
        "print([m for m in ('dagster', 'torch', 'scipy', 'onnx') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
