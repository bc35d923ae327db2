"""Interpolation along an encoder's mean curve: what two probes say of what lies between."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from fr_ensemble_assets.calibration.interpolation import curve, leave_one_quality_out
from fr_ensemble_assets.calibration.mean_curve import MeanCurve, mean_curves
from fr_ensemble_assets.calibration.pooling import OutOfFold
from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS, read_corpus


def encodes_of(cells: Sequence[tuple[str, str, float, float]]) -> OutOfFold:
    """Pooled encodes of (source, encoder, quality, VMAF)."""
    keys = pd.DataFrame([cell[:3] for cell in cells], columns=["src", "encoder", "cq"])
    sources, index = np.unique(keys["src"], return_inverse=True)
    vmaf = np.array([cell[3] for cell in cells])
    return OutOfFold(keys, tuple(sources), index.astype(np.intp), np.stack([vmaf, vmaf]), vmaf)


@pytest.fixture(scope="module")
def bundled() -> OutOfFold:
    frame = read_corpus(BUNDLED_CORPUS).corpus.frame
    pooled = frame.groupby(["src", "encoder", "cq"], observed=True)["vmaf"].mean().reset_index()
    return encodes_of(list(pooled.itertuples(index=False, name=None)))


def test_a_quality_left_out_is_found_nearer_along_the_mean_curve(bundled: OutOfFold) -> None:
    plain, along = (leave_one_quality_out(bundled, mean) for mean in (False, True))
    assert along.error.mean() < 0.7 * plain.error.mean()
    assert np.quantile(along.share, 0.95) < 0.7 * np.quantile(plain.share, 0.95)


def test_two_probes_of_a_ladder_like_the_others_tell_all_of_it() -> None:
    mean = MeanCurve((19.0, 25.0, 31.0, 37.0), (96.0, 92.0, 80.0, 60.0))
    probes, at = np.array([19.0, 37.0]), np.array([25.0, 31.0])
    found = curve(probes, np.array([98.0, 80.0]), at, mean)  # half the fall of the mean
    np.testing.assert_allclose(found, [96.0, 90.0])


def test_mean_is_over_sources_alike_and_without_the_one_that_is_asked_about() -> None:
    hard = [("hard", "x", q, 50.0 - q) for q in (20.0, 30.0)]
    easy = [("easy", "x", q, 100.0 - q) for q in (20.0, 30.0)]
    encodes = encodes_of([*hard, *easy])
    assert mean_curves(encodes)["x"].vmaf == pytest.approx((55.0, 45.0))
    assert mean_curves(encodes, without=encodes.sources.index("hard"))["x"].vmaf == (80.0, 70.0)
    assert mean_curves(encodes_of(hard), without=0) == {}


def test_a_hard_source_does_not_bend_the_curve_at_qualities_that_it_alone_has() -> None:
    easy = [("easy", "x", q, 100.0 - q) for q in (20.0, 30.0, 40.0)]
    hard = [("hard", "x", q, 60.0 - q) for q in (20.0, 30.0, 50.0)]
    found = mean_curves(encodes_of([*easy, *hard]))["x"]
    np.testing.assert_allclose(np.diff(found.vmaf), -10.0, atol=1e-3)


@pytest.mark.parametrize("vmaf", [(90.0, 80.0, 85.0), (90.0, 90.0, 80.0)])
def test_means_that_do_not_run_one_way_are_no_axis(vmaf: tuple[float, ...]) -> None:
    cells = [("a", "x", float(q), v) for q, v in enumerate(vmaf)]
    assert mean_curves(encodes_of(cells)) == {}


@pytest.mark.parametrize("vmaf", [(99.0, 90.0, 30.0), (30.0, 90.0, 99.0)])
def test_no_two_qualities_share_a_place_even_beyond_the_corpus(vmaf: tuple[float, ...]) -> None:
    places = MeanCurve((20.0, 30.0, 40.0), vmaf).at(np.linspace(0, 63, 200))
    steps = np.diff(places)
    assert (steps < 0).all() or (steps > 0).all()
    inside = curve(
        np.array([10.0, 50.0]),
        np.array([95.0, 20.0]),
        np.array([22.0, 38.0]),
        MeanCurve((20.0, 30.0, 40.0), vmaf),
    )
    assert 95.0 > inside[0] > inside[1] > 20.0
