"""Plots that a page can hold, whatever is in them."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

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
    previous = Previous("ab" * 32, "PROMOTE", "2026-11-01", 0.5, {0: 0.5, 1: None}, "monday.jsonl")
    figure = verdict_figure(replace(judgement, studied=studied), previous)
    assert len(png_bytes(figure)) < PAGE_MAX_BYTES
    _, means, _ = figure.axes
    (legend,) = figure.subfigs[0].legends
    shown = [text.get_text() for text in legend.get_texts()]
    assert shown == [
        "one held-out source",
        "threshold 0.95",
        "studied, not judged",
        "mean of a seed's folds",
        "last PROMOTE, on monday.jsonl, out of view: 0.5000",
        "mean of the seeds",
    ]
    # What another corpus reached doesn't squeeze the band that is judged by.
    low, high = means.get_ylim()
    assert high - low < 3 * judgement.decision.thresholds.plcc_spread_max


@pytest.mark.parametrize("sources", [21, 60, 1000])
def test_plots_of_many_sources_name_the_hardest_and_count_the_rest(
    sources: int, promoted_once: Chain
) -> None:
    """No wider than the page's column, and all that is drawn lies inside."""
    judgement = promoted_once[1].judgement
    figure = verdict_figure(with_sources(judgement, sources))
    hardest = figure.axes[2]
    assert hardest.get_yticklabels()[0].get_text().startswith("clip_0000_")
    # One left over is named too: to count it would take its room.
    assert len(hardest.get_yticklabels()) == (21 if sources == 21 else 20)
    assert hardest.get_ylabel() == (
        "" if sources == 21 else f"{sources - 20} easier sources not shown"
    )
    drawn = png_bytes(figure)
    assert len(drawn) < PAGE_MAX_BYTES
    with Image.open(BytesIO(drawn)) as picture:
        assert picture.width <= 980
        assert picture.mode == "RGBA"
        assert picture.getpixel((2, 2)) == (255, 255, 255, 0)
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= width
    assert box.y1 <= height


def with_sources(judgement: Judgement, count: int) -> Judgement:
    """The same seeds, with folds over ``count`` sources of long names, the first the hardest."""
    scores = tuple(
        replace(
            score,
            folds=tuple(
                replace(
                    score.folds[0],
                    held_out=f"clip_{number:04}_of_a_library_with_names_that_are_long",
                    plcc=0.97 + 0.029 * number / count + 0.0001 * score.seed,
                )
                for number in range(count)
            ),
        )
        for score in judgement.scores
    )
    return replace(judgement, scores=scores)


def test_verdict_without_any_results_is_drawn_too(promoted_once: Chain) -> None:
    nothing = replace(
        promoted_once[1].judgement.decision,
        seeds=(),
        per_seed_plcc={},
        mean_plcc=None,
        plcc_spread=None,
    )
    assert png_bytes(verdict_figure(Judgement(nothing, ())))
