"""Plots that a page can hold, whatever is in them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.corpus.plots import quality_curves
from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS, read_corpus
from fr_ensemble_assets.evidence.measure import SeedResult, measure_folds, rows_by_source
from fr_ensemble_assets.foundation.figures import png_bytes
from fr_ensemble_assets.gate.plots import verdict_figure
from fr_ensemble_assets.gate.previous import Previous
from fr_ensemble_assets.gate.verdict import Judgement
from fr_ensemble_assets.loso.plots import fold_figure
from fr_ensemble_tests.conftest import Chain

PAGE_MAX_BYTES = 100_000


@pytest.fixture(scope="module")
def bundled() -> Corpus:
    return read_corpus(BUNDLED_CORPUS).corpus


def test_plots_of_the_bundled_corpus_fit_a_page(bundled: Corpus) -> None:
    noise = np.random.default_rng(0).normal(size=bundled.n_rows)
    prediction = bundled.target + noise
    assignment = ENSEMBLE.plan.assign(rows_by_source(bundled))
    folds = measure_folds(bundled, prediction, assignment)
    result = SeedResult(0, folds, prediction, 1.0)
    for figure in (quality_curves(bundled), fold_figure(bundled, result)):
        assert 10_000 < len(png_bytes(figure)) < PAGE_MAX_BYTES


def test_verdict_shows_studied_seeds_and_the_corpus_before(promoted_once: Chain) -> None:
    judgement = promoted_once[1].judgement
    studied = tuple(replace(judgement.scores[0], seed=seed) for seed in range(5, 20))
    previous = Previous("ab" * 32, "PROMOTE", "2026-11-01", 0.99, {0: 0.99, 1: None})
    figure = verdict_figure(replace(judgement, studied=studied), previous)
    assert len(png_bytes(figure)) < PAGE_MAX_BYTES
    _, means, _ = figure.axes
    legend = means.get_legend()
    assert legend is not None
    shown = [text.get_text() for text in legend.get_texts()]
    assert shown == ["studied, not judged", "this corpus", "before, on abababababab"]


def test_verdict_without_any_results_is_drawn_too(promoted_once: Chain) -> None:
    nothing = replace(
        promoted_once[1].judgement.decision,
        seeds=(),
        per_seed_plcc={},
        mean_plcc=None,
        plcc_spread=None,
    )
    assert png_bytes(verdict_figure(Judgement(nothing, ())))
