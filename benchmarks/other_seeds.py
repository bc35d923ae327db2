"""Do the intervals hold for members under other seeds than those that they were calibrated on?

``.venv/bin/python -m benchmarks.other_seeds [HOME]`` takes a minute or two on two cores after
``make run``: for each of six sources of the bundled corpus it trains four more ensembles without
that source (seeds 5 to 24). Leave-one-source-out coverage is seen through one set of five seeds,
whose folds share their streams, and the shipped members are a set of their own: how far five seeds
disagree, and in which direction they are off, is drawn once for all rows.
"""

from __future__ import annotations

import sys

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from fr_ensemble_assets.calibration.pooling import (
    OutOfFold,
    ensemble_mu,
    ensemble_sigma,
    out_of_fold,
)
from fr_ensemble_assets.calibration.rules import (
    SIGMA_FLOOR,
    WeightedScores,
    bounds,
    normal_quantile,
    normalised_scores,
)
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.contract.places import Places
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS, read_corpus
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.gate.verdict import judge
from fr_ensemble_assets.loso.prepared import prepare
from fr_ensemble_assets.training.compiled import predict
from fr_ensemble_assets.training.trainer import Trainer

LEFT_OUT = (1, 3, 6, 10, 14, 18)
ENSEMBLES = [range(first, first + 5) for first in (5, 10, 15, 20)]
LEVEL = 0.95

Floats = npt.NDArray[np.float64]


def scores_without(corpus: Corpus, source: int, seeds: range) -> tuple[Floats, Floats]:
    """Members that never saw ``source``: their scores of it, and of their training rows."""
    data = prepare(corpus)
    folds = [data.fold([corpus.sources[source]], seed) for seed in seeds]
    trained = Trainer("cpu").train([fold.fit for fold in folds], ENSEMBLE.recipe)
    unseen = [predict(p, f.held_out_inputs) for p, f in zip(trained, folds, strict=True)]
    seen = [predict(p, f.fit.inputs) for p, f in zip(trained, folds, strict=True)]
    return np.stack(unseen), np.stack(seen)


def covered(frames: OutOfFold, source: int, unseen: Floats, seen: Floats) -> dict[str, float]:
    """Share of the left-out source that each interval holds, calibrated on the other sources."""
    others, target = frames.source_index != source, frames.target[frames.source_index == source]
    index, sigmas = frames.source_index[others], frames.sigma[others]
    level = np.array([LEVEL])
    floored = normalised_scores(frames.residual[others], sigmas, SIGMA_FLOOR)
    weighted = WeightedScores.of(floored, index)
    plain = normalised_scores(np.abs(frames.target - frames.mean)[others], sigmas, 0.0)
    plain_q = float(WeightedScores.of(plain, index).frame_quantiles(level)[0])
    mean, mu, sigma = unseen.mean(axis=0), ensemble_mu(unseen), ensemble_sigma(unseen)
    ratio = float(frames.sigma.mean() / ensemble_sigma(seen).mean())
    found = {
        name: float(np.mean(np.abs(target - mean) <= quantile * sigma))
        for name, quantile in (
            ("mean ± 1.96 sigma", normal_quantile(LEVEL)),
            ("mean ± q·sigma, as calibrated", plain_q),
            ("mean ± q·sigma, in units of these members", plain_q * ratio),
        )
    }
    for rule, quantiles in (("frame", weighted.frame_quantiles), ("source", weighted.quantiles)):
        lower, upper = bounds(mu, sigma, float(quantiles(level)[0]), SIGMA_FLOOR)
        found[f"rule {rule}"] = float(np.mean((lower <= target) & (target <= upper)))
    return found


def main() -> None:
    corpus = read_corpus(BUNDLED_CORPUS).corpus
    home = Home.at(sys.argv[1] if len(sys.argv) > 1 else None)
    folder = Places(home, ENSEMBLE, corpus.sha256).results
    frames = out_of_fold(corpus, judge(folder, corpus, ENSEMBLE).results)
    results = [
        covered(frames, source, *scores_without(corpus, source, seeds))
        for source in LEFT_OUT
        for seeds in ENSEMBLES
    ]
    table = Table(f"interval at {LEVEL:.0%}", "unseen frames covered", "worst of 24")
    for name in results[0]:
        shares = [result[name] for result in results]
        table.add_row(name, f"{np.mean(shares):.1%}", f"{min(shares):.0%}")
    Console().print(table)


if __name__ == "__main__":
    main()
