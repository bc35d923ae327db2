"""A corpus made ready for folds: what all of them share is computed once, rows are sliced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.features.codec_block import CodecBlock, fit_codec_block
from fr_ensemble_assets.features.scaler import Scaler, fit_scaler
from fr_ensemble_assets.foundation.schema import CANONICAL_6
from fr_ensemble_assets.training.model import FitInput


@dataclass(frozen=True)
class Fold:
    """Some held-out sources, ready to train without them and to predict them.

    Attributes
    ----------
    held_out
        The sources that training doesn't see.
    fit
        The training rows, scaled by their own statistics.
    held_out_rows
        Positions of the held-out rows in the corpus.
    held_out_inputs
        Their inputs under the fold's scaler; float32, shape (n_val, 20).
    """

    held_out: tuple[str, ...]
    fit: FitInput
    held_out_rows: npt.NDArray[np.int64]
    held_out_inputs: npt.NDArray[np.float32]


@dataclass(frozen=True)
class PreparedCorpus:
    """Rows in canonical order, so that those of a source lie side by side.

    Attributes
    ----------
    sha256
        The corpus'.
    sources
        In sorted order.
    starts
        Where the rows of each source begin, and where those of the last end; shape
        (n_sources + 1,).
    features
        Canonical-6, float64, shape (n_rows, 6), row after row in memory: sums over rows have the
        same last bits however many folds there are.
    codec
        The codec block, float32, shape (n_rows, 14).
    target
        VMAF, float32, shape (n_rows,).
    """

    sha256: str
    sources: tuple[str, ...]
    starts: npt.NDArray[np.int64]
    features: npt.NDArray[np.float64]
    codec: npt.NDArray[np.float32]
    target: npt.NDArray[np.float32]

    def fold(self, held_out: Sequence[str], seed: int) -> Fold:
        """The fold that holds out these sources.

        Its scaler is fitted on its training rows alone. The codec block's quality range is taken
        over the corpus, as contracts section 1 says.
        """
        out = {self.sources.index(source) for source in held_out}
        kept = self._slices([n for n in range(len(self.sources)) if n not in out])
        left_out = self._slices(sorted(out))
        scaler = fit_scaler(np.concatenate([self.features[rows] for rows in kept]))
        target = np.concatenate([self.target[rows] for rows in kept])
        return Fold(
            held_out=tuple(held_out),
            fit=FitInput(seed, self._inputs(kept, scaler), target),
            held_out_rows=np.concatenate([np.arange(s.start, s.stop) for s in left_out]),
            held_out_inputs=self._inputs(left_out, scaler),
        )

    def _inputs(self, slices: Sequence[slice], scaler: Scaler) -> npt.NDArray[np.float32]:
        """These rows as a model takes them, part by part: of many rows a copy is a gigabyte."""
        columns, rows = len(CANONICAL_6), sum(part.stop - part.start for part in slices)
        inputs = np.empty((rows, columns + self.codec.shape[1]), dtype=np.float32)
        start = 0
        for part in slices:
            into = inputs[start : start + part.stop - part.start]
            into[:, :columns] = scaler.standardise(self.features[part])
            into[:, columns:] = self.codec[part]
            start += len(into)
        return inputs

    def rows_of(self, held_out: Sequence[str]) -> npt.NDArray[np.int64]:
        """Positions in the corpus of the rows of these sources, ascending."""
        places = sorted(self.sources.index(source) for source in held_out)
        return np.concatenate([np.arange(s.start, s.stop) for s in self._slices(places)])

    def _slices(self, sources: Sequence[int]) -> list[slice]:
        """The rows of these sources (positions, ascending); neighbours are taken together."""
        slices: list[slice] = []
        for source in sources:
            start, stop = int(self.starts[source]), int(self.starts[source + 1])
            if slices and slices[-1].stop == start:
                slices[-1] = slice(slices[-1].start, stop)
            else:
                slices.append(slice(start, stop))
        return slices


def prepare(corpus: Corpus, block: CodecBlock | None = None) -> PreparedCorpus:
    """Make ``corpus`` ready; ``block`` is its codec block, fitted here unless it is at hand.

    Raises
    ------
    ValueError
        If the rows of a source don't lie side by side: then the corpus isn't in canonical order.
    """
    index = corpus.source_index
    if (np.diff(index) < 0).any():
        raise ValueError("corpus: expected rows in canonical order, sorted by source")
    return PreparedCorpus(
        sha256=corpus.sha256,
        sources=corpus.sources,
        starts=np.searchsorted(index, np.arange(len(corpus.sources) + 1)),
        features=np.ascontiguousarray(corpus.features),
        codec=(block or fit_codec_block(corpus)).encode(corpus),
        target=corpus.target.astype(np.float32),
    )
