"""Is the kernel as good as the plain loop? One seed, all folds of the bundled corpus, both ways.

``.venv/bin/python -m benchmarks.quality`` takes some ten minutes on two cores, nearly all of them
the plain loop's. The two see other shuffles and dropout masks, so single folds differ; their means
should not.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.plain_loop import train_plain
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS, read_corpus
from fr_ensemble_assets.evidence.metrics import Agreement, agreement
from fr_ensemble_assets.loso.prepared import prepare
from fr_ensemble_assets.training.compiled import predict, train_compiled
from fr_ensemble_assets.training.trainer import Trainer

SEED = 0


def both_ways(number: int) -> tuple[str, Agreement, Agreement]:
    """Train one fold by the plain loop and by the kernel; how each agrees with the held-out."""
    torch.set_num_threads(1)
    corpus = read_corpus(BUNDLED_CORPUS).corpus
    fold = prepare(corpus).fold([corpus.sources[number]], SEED)
    target = corpus.target[fold.held_out_rows]
    plain = train_plain(fold.fit, ENSEMBLE.recipe)
    with torch.inference_mode():
        scores = plain(torch.from_numpy(fold.held_out_inputs)).squeeze(1).double().numpy()
    compiled = train_compiled(fold.fit, ENSEMBLE.recipe)
    ours = predict(compiled, fold.held_out_inputs)
    return fold.held_out[0], agreement(scores, target), agreement(ours, target)


def main() -> None:
    folds = range(len(read_corpus(BUNDLED_CORPUS).corpus.sources))
    with ProcessPoolExecutor(Trainer("cpu").parallel) as pool:
        results = list(track(pool.map(both_ways, folds), "folds, both ways", total=len(folds)))
    table = Table("held out", "plain PLCC", "kernel PLCC", "plain RMSE", "kernel RMSE")
    rows = [(n, p.plcc or 0.0, k.plcc or 0.0, p.rmse or 0.0, k.rmse or 0.0) for n, p, k in results]
    for name, *figures in rows:
        table.add_row(name, *(f"{figure:.5f}" for figure in figures))
    means = np.mean([row[1:] for row in rows], axis=0)
    table.add_row("mean", *(f"{mean:.5f}" for mean in means), style="bold")
    Console().print(table)


if __name__ == "__main__":
    main()
