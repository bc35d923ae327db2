"""A thousand sources: what lies in Dagster's database and in a candidate stays small."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from fr_ensemble_assets.calibration.assets import _by_encoder, _plots, _row
from fr_ensemble_assets.calibration.calibrate import Calibration, calibrate
from fr_ensemble_assets.calibration.coverage import (
    LEAST_COVERED,
    SOURCES_LISTED,
    Coverage,
    GroupCoverage,
    find_coverage,
    leave_one_source_out,
)
from fr_ensemble_assets.calibration.document import calibration_bytes, parse_calibration
from fr_ensemble_assets.calibration.pooling import OutOfFold, out_of_fold
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.corpus.assets import _describe as describe_corpus
from fr_ensemble_assets.corpus.identity import Corpus, canonical_order, content_sha256
from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS, Reading, read_corpus
from fr_ensemble_assets.corpus.summary import summarise
from fr_ensemble_assets.doors.metadata import table
from fr_ensemble_assets.evidence.measure import SeedResult, measure_folds, rows_by_source
from fr_ensemble_assets.loso.assets import _describe as describe_seed
from fr_ensemble_assets.loso.plots import WORST_FOLDS, worst_folds
from fr_ensemble_assets.loso.run import SeedOutcome

SOURCES = 1000
EVENT_MAX, CALIBRATION_MAX = 64 << 10, 300_000


@pytest.fixture(scope="module")
def many() -> Corpus:
    """A thousand sources of ten real rows each, moved a little so that none is another's twin."""
    frame = read_corpus(BUNDLED_CORPUS).corpus.frame
    chance = np.random.default_rng(0)
    rows = frame.iloc[chance.integers(len(frame), size=10 * SOURCES)].reset_index(drop=True)
    rows["src"] = [f"a source with a name of some length {n // 10:04}" for n in range(len(rows))]
    rows["frame_index"] = np.arange(len(rows))
    rows["motion2"] += chance.uniform(0, 1, len(rows))
    ordered = canonical_order(rows)
    return Corpus(content_sha256(ordered), ordered)


@pytest.fixture(scope="module")
def results(many: Corpus) -> list[SeedResult]:
    """Five seeds, each off by a VMAF or so."""
    assignment = ENSEMBLE.plan.assign(rows_by_source(many))
    chance = np.random.default_rng(1)
    found = []
    for seed in ENSEMBLE.units:
        predicted = np.clip(many.target + chance.normal(0, 1, many.n_rows), 0, 100)
        folds = measure_folds(many, predicted, assignment)
        found.append(SeedResult(seed, folds, predicted, wall_time_s=1.0))
    return found


@pytest.fixture(scope="module")
def frames(many: Corpus, results: list[SeedResult]) -> OutOfFold:
    return out_of_fold(many, results)


@pytest.fixture(scope="module")
def made(many: Corpus, frames: OutOfFold) -> Calibration:
    return calibrate(many, frames)


def size_of(metadata: Mapping[str, Any]) -> int:
    """As long as its text, which is what the database holds."""
    return len(repr(dict(metadata)).encode())


def test_the_event_of_a_seed_shows_the_worst_folds(many: Corpus, results: list[SeedResult]) -> None:
    metadata = describe_seed(many, SeedOutcome(results[0], reused=False))
    shown = re.findall(r"^\| (a source .*? \d{4}) \|", str(metadata["folds"].value), re.MULTILINE)
    assert shown == [f.held_out for f in worst_folds(results[0].folds)[:WORST_FOLDS]]
    assert metadata["folds_in_all"].value == str(SOURCES)
    assert size_of(metadata) <= EVENT_MAX


def test_the_event_of_a_corpus(many: Corpus) -> None:
    reading = Reading(many, ("corpus.jsonl",), many.n_rows, 0, (), ())
    assert size_of(describe_corpus(reading, summarise(many))) <= EVENT_MAX


def test_the_event_of_a_calibration(made: Calibration, frames: OutOfFold) -> None:
    tables = {
        "coverage": table([_row(c) for c in made.coverages if c.measured]),
        "coverage_by_encoder": table(_by_encoder(made)),
    }
    assert size_of(_plots(made, frames) | tables) <= EVENT_MAX


def test_calibration_json_is_small_and_reads_back_to_the_same_bytes(made: Calibration) -> None:
    written = calibration_bytes(made)
    assert len(written) <= CALIBRATION_MAX
    again = parse_calibration(written, "calibration.json")
    assert calibration_bytes(again) == written
    assert again.coverages == made.coverages


def test_figures_are_of_all_sources_whatever_is_listed(
    made: Calibration, frames: OutOfFold
) -> None:
    whole = leave_one_source_out(frames, "frame")
    short = [c for c in made.coverages if c.unit == "frame"]
    assert find_coverage(short) == find_coverage(whole)
    for listed, full in zip(short, whole, strict=True):
        assert len(listed.by_source) == LEAST_COVERED
        assert (listed.n_sources, len(full.by_source)) == (SOURCES, SOURCES)
        for figure in ("coverage", "width", "standard_error"):
            assert getattr(listed, figure) == getattr(full, figure)
        assert listed.lowest.coverage == full.lowest.coverage


@pytest.mark.parametrize("sources", [SOURCES_LISTED, SOURCES_LISTED + 1])
def test_sources_are_all_listed_while_they_are_few(sources: int) -> None:
    groups = tuple(GroupCoverage(f"s{n}", 10, n / 100, 1.0) for n in range(sources))
    whole = Coverage("frame", "source", 0.9, groups, ())
    short = whole.shortened()
    assert (short is whole) is (sources <= SOURCES_LISTED)
    assert short.lowest == groups[0]
