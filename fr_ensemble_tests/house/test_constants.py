"""Thresholds beyond the gate, each at its boundary: what just passes and what just doesn't."""

from __future__ import annotations

import os
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import psutil
import pytest

from fr_ensemble_assets.calibration.calibrate import Range
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.corpus.summary import (
    CorpusSummary,
    rule_likely_twins,
    rule_reference_sources,
    rule_saturation,
    rule_sources,
    summarise,
)
from fr_ensemble_assets.corpus.twins import Twin, Twins
from fr_ensemble_assets.doors import workers
from fr_ensemble_assets.prediction.candidate import Candidate
from fr_ensemble_assets.prediction.frames import frames_of
from fr_ensemble_assets.prediction.recommend import recommend
from fr_ensemble_tests.prediction.test_recommend import known, ladder, only

__all__ = ["known"]


@pytest.fixture
def summary(few: Corpus) -> CorpusSummary:
    return summarise(few)


# --- the corpus -----------------------------------------------------------------------------


def test_a_quarter_of_the_rows_may_be_saturated(summary: CorpusSummary, few: Corpus) -> None:
    assert rule_saturation(replace(summary, share_at_100=0.25)).passed
    assert not rule_saturation(replace(summary, share_at_100=np.nextafter(0.25, 1))).passed
    rows = few.frame.assign(vmaf=[100.0] * 30 + [99.999] * 90)
    assert summarise(Corpus("e" * 64, rows)).share_at_100 == 0.25


@pytest.mark.parametrize(("sources", "enough"), [(8, False), (9, True), (10, True)])
def test_nine_sources_are_as_many_as_the_reference_has(
    summary: CorpusSummary, sources: int, enough: bool
) -> None:
    one = summary.sources[0]
    several = replace(summary, sources=tuple(replace(one, source=f"s{n}") for n in range(sources)))
    assert rule_reference_sources(several).passed is enough


@pytest.mark.parametrize(("n_rows", "enough"), [(9, False), (10, True)])
def test_ten_rows_of_a_source_are_enough(summary: CorpusSummary, n_rows: int, enough: bool) -> None:
    first, *others = summary.sources
    with_few = replace(summary, sources=(replace(first, rows=n_rows), *others))
    assert rule_sources(with_few).passed is enough


@pytest.mark.parametrize(("sources", "enough"), [(1, False), (2, True)])
def test_two_sources_are_enough(summary: CorpusSummary, sources: int, enough: bool) -> None:
    assert rule_sources(replace(summary, sources=summary.sources[:sources])).passed is enough


@pytest.mark.parametrize(("length", "whole"), [(320, True), (321, False)])
def test_a_sentence_about_twins_has_room_for_two_names(
    summary: CorpusSummary, length: int, whole: bool
) -> None:
    twin = Twin("a", "b", "x" * (length - len("'b' ")))
    found = rule_likely_twins(replace(summary, twins=Twins((), (twin,), searched=True))).observed
    assert (found == twin.describe()) is whole


# --- the recommendation ---------------------------------------------------------------------


def half_strange(known: Candidate, strange: int, frames: int) -> Any:
    """One encode, of which so many of its frames are unlike the training frames."""
    one = ladder({20: 96.0}).frame.iloc[[0]]
    rows = pd.concat([one.assign(frame_index=n) for n in range(frames)], ignore_index=True)
    rows["adm2"] = 0.96
    rows.loc[: strange - 1, "vif_scale0"] = 2.0
    seen = known.calibration.trained_on
    narrow = replace(seen, features=dict(seen.features) | {"vif_scale0": Range(-1.0, 1.0)})
    limited = replace(known, calibration=replace(known.calibration, trained_on=narrow))
    return only(limited, frames_of(rows), target=60)


def test_an_encode_half_of_whose_frames_are_strange_can_be_recommended(known: Candidate) -> None:
    assert half_strange(known, strange=50, frames=100).choice is not None
    item = half_strange(known, strange=51, frames=100)
    assert item.choice is None
    assert "nothing is recommended; 51% of its frames are unlike" in item.sentence


def test_predictions_may_rise_by_one_vmaf_before_they_contradict(known: Candidate) -> None:
    told = "the predictions rise with the quality value"
    assert told not in only(known, ladder({20: 90.0, 30: 90.999}), target=80).sentence
    assert told in only(known, ladder({20: 90.0, 30: 91.001}), target=80).sentence
    assert recommend(known, ladder({20: 90.0}), target=80).items[0].rises is False


# --- whose process works on a run -----------------------------------------------------------


@pytest.mark.parametrize(
    ("later", "at_work"), [(-3600.0, True), (0.0, True), (59.9, True), (60.1, False), (1e6, False)]
)
def test_a_process_that_began_a_minute_after_its_run_has_only_inherited_the_number(
    monkeypatch: pytest.MonkeyPatch, later: float, at_work: bool
) -> None:
    """This process, and a run that was named ``later`` seconds before it began."""
    named_at = psutil.Process().create_time() - later
    monkeypatch.setattr(workers, "_process_of", lambda *_: (os.getpid(), named_at))
    ours: Any = SimpleNamespace(tags={})
    by_processes: Any = SimpleNamespace(run_launcher=dg.DefaultRunLauncher())
    found = workers.worker_of(by_processes, ours)
    assert found is (workers.Worker.ALIVE if at_work else workers.Worker.GONE)
