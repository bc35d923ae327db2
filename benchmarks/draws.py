"""Four draws of five seeds, trained once: what every benchmark of intervals is measured on.

A draw's predictions are kept in a folder and taken from there the next time: 440 fits, some minutes
on two cores. The first draw is the ensemble's own.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from fr_ensemble_assets.calibration.pooling import (
    OutOfFold,
    encode_columns,
    ensemble_sigma,
    pool_encodes,
)
from fr_ensemble_assets.calibration.recentring import (
    Predicted,
    final_corrections,
    with_members,
)
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.loso.prepared import prepare
from fr_ensemble_assets.members.fit import full_corpus_inputs
from fr_ensemble_assets.training.compiled import predict
from fr_ensemble_assets.training.model import FitInput
from fr_ensemble_assets.training.recentre import RIDGE, fit_correction, recentred_scores
from fr_ensemble_assets.training.trainer import Trainer

SEEDS = (range(0, 5), range(5, 10), range(10, 15), range(15, 20))

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Draw:
    """Five seeds on a corpus.

    Attributes
    ----------
    scores
        What each fold's model, and at last the final fit, makes of every row, trained on or not;
        shape (n_seeds, n_sources + 1, n_rows).
    """

    name: str
    corpus: Corpus
    scores: Floats

    @cached_property
    def predicted(self) -> Predicted:
        """Out of fold, raw and recentred."""
        raw = out_of_fold(self.corpus, self.scores, None)
        return Predicted(raw, out_of_fold(self.corpus, self.scores, RIDGE))

    @cached_property
    def shipped(self) -> OutOfFold:
        """What the members that ship make of the rows that they were trained on, recentred."""
        inputs, scores = full_corpus_inputs(self.corpus), self.scores[:, -1]
        corrections = final_corrections(inputs, scores, self.corpus.target)
        members = recentred_scores(corrections, inputs, scores)
        return replace(self.predicted.recentred, members=members)

    def sigma_seen(self, source: int | None) -> float:
        """Mean deviation of the members that never saw a source, or no member, on their rows."""
        number = -1 if source is None else source
        seen = np.full(self.corpus.n_rows, True)
        if source is not None:
            seen = self.corpus.source_index != source
        return float(ensemble_sigma(self.scores[:, number][:, seen]).mean())


def draws(corpus: Corpus, folder: Path | None = None) -> list[Draw]:
    """All four; predictions are kept in ``folder``, which the command line names."""
    kept = folder or folder_named()
    kept.mkdir(parents=True, exist_ok=True)
    named = [(f"{seeds[0]}-{seeds[-1]}", scores_of(corpus, seeds, kept)) for seeds in SEEDS]
    return [Draw(name, corpus, scores) for name, scores in named]


def folder_named() -> Path:
    """The command's last argument, where that is no option, else one for all runs."""
    told = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    return Path(told[-1]) if told else Path(tempfile.gettempdir()) / "fr-ensemble-draws"


def scores_of(corpus: Corpus, seeds: range, folder: Path) -> Floats:
    """:attr:`Draw.scores`, trained unless they are in ``folder``."""
    kept = folder / f"pred_{seeds[0]}.npy"
    n = len(corpus.sources)
    if kept.exists():
        return np.asarray(np.load(kept))
    data, full = prepare(corpus), full_corpus_inputs(corpus)
    places = [(place, number) for place in range(len(seeds)) for number in range(n)]
    folds = [data.fold([corpus.sources[number]], seeds[place]) for place, number in places]
    final = [FitInput(seed, full, corpus.target.astype(np.float32)) for seed in seeds]
    fits = [*(fold.fit for fold in folds), *final]
    trained = Trainer("cpu").train(fits, ENSEMBLE.recipe)
    scores = np.empty((len(seeds), n + 1, corpus.n_rows))
    for (place, number), fold, parameters in zip(places, folds, trained, strict=False):
        held_out = corpus.source_index == number
        scores[place, number, held_out] = predict(parameters, fold.held_out_inputs)
        scores[place, number, ~held_out] = predict(parameters, fold.fit.inputs)
    for place, parameters in enumerate(trained[len(folds) :]):
        scores[place, -1] = predict(parameters, full)
    np.save(kept, scores)
    return scores


def out_of_fold(corpus: Corpus, scores: Floats, ridge: float | None) -> OutOfFold:
    """Each row as predicted by the models that never saw its source; recentred, or raw."""
    members = np.empty((len(scores), corpus.n_rows))
    data = prepare(corpus)
    with threadpool_limits(1):
        for number in range(len(corpus.sources)):
            fold = data.fold([corpus.sources[number]], 0)
            held_out = corpus.source_index == number
            for member, score in enumerate(scores[:, number]):
                found = score[held_out]
                if ridge is not None:
                    seen = score[~held_out], corpus.target[~held_out]
                    correction = fit_correction(fold.fit.inputs, *seen, ridge)
                    found = correction.apply(fold.held_out_inputs, found)
                members[member, held_out] = found
    keys = corpus.frame[encode_columns(corpus.frame)]
    index = corpus.source_index.astype(np.intp)
    rows = OutOfFold(keys, corpus.sources, index, members, corpus.target)
    return rows if ridge is None else with_members(rows, members)


def by_unit(frames: OutOfFold) -> Iterator[tuple[str, OutOfFold]]:
    """Frames, and the encodes that they make up."""
    yield "frame", frames
    yield "encode", pool_encodes(frames)
