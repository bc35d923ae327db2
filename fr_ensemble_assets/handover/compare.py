"""Two candidates, or two folders of results, held side by side: the same, or where they differ.

Another machine's run of one corpus should give the same digests; where it doesn't, figures by
source say how far apart they are. A challenger is compared with the champion on sources that
neither saw: out of fold for the one, and for the other only where it never had the source.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from upath import UPath

from fr_ensemble_assets.calibration.calibrate import Calibration
from fr_ensemble_assets.calibration.document import CALIBRATION_FILE
from fr_ensemble_assets.calibration.pooling import OutOfFold, ensemble_mu
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.foundation.files import sha256_of_file
from fr_ensemble_assets.gate.evidence import load_scores
from fr_ensemble_assets.gate.rule import decide
from fr_ensemble_assets.handover.cards import verified
from fr_ensemble_assets.loso.metrics import agreement, mean_or_none
from fr_ensemble_assets.loso.results import SeedScore
from fr_ensemble_assets.members.names import MANIFEST_FILE, onnx_file
from fr_ensemble_assets.prediction.candidate import Candidate, load_candidate
from fr_ensemble_assets.prediction.frames import Frames
from fr_ensemble_assets.prediction.predict import score_members
from fr_ensemble_assets.training.recipe import ENSEMBLE_SEEDS

#: In VMAF: a score that moves further than this moves decisions.
MOVED = 1.0
_LEVELS = (0.9, 0.95)


@dataclass(frozen=True)
class Pair:
    """One figure of both sides; ``None`` where a side lacks it or it is undefined."""

    name: str
    a: float | None
    b: float | None

    @property
    def difference(self) -> float | None:
        return None if self.a is None or self.b is None else self.b - self.a


@dataclass(frozen=True)
class Side:
    """A candidate or a folder of results.

    Attributes
    ----------
    scores
        The ensemble's seeds; others are left out.
    candidate
        ``None`` for a folder of results.
    """

    folder: UPath
    scores: tuple[SeedScore, ...]
    candidate: Candidate | None

    @property
    def corpus_sha256(self) -> str | None:
        """The corpus that all of its results name; ``None`` if they name none, or several."""
        named = {score.corpus_sha256 for score in self.scores}
        return named.pop() if len(named) == 1 else None


@dataclass(frozen=True)
class Moved:
    """What became of one corpus' rows: scored by both candidates, in VMAF."""

    rows: int
    moved: int
    furthest: float
    by_source: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Comparison:
    """What is the same and what isn't.

    Attributes
    ----------
    corpora
        The corpus of each side.
    verdicts
        What the gate says of each side's results now.
    same_predictions
        By seed, whether out-of-fold predictions have the same digest; seeds of which a side
        doesn't tell it are missing.
    same_files
        By name, whether a file that both candidates have is the same.
    seeds, plcc, rmse
        PLCC by seed; PLCC and RMSE by source, mean over the seeds.
    coverage, width
        Of rule ``source``, by unit and level, on sources left out.
    only_a, only_b
        Sources that the other side doesn't have.
    moved
        If a corpus was at hand and both are candidates.
    """

    corpora: tuple[str | None, str | None]
    verdicts: tuple[str, str]
    same_predictions: Mapping[int, bool]
    same_files: Mapping[str, bool]
    seeds: tuple[Pair, ...]
    plcc: tuple[Pair, ...]
    rmse: tuple[Pair, ...]
    coverage: tuple[Pair, ...]
    width: tuple[Pair, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    moved: Moved | None

    @property
    def same(self) -> bool:
        """Whether both are one ensemble: same corpus, same predictions, same figures and files."""
        pairs = (*self.seeds, *self.plcc, *self.rmse, *self.coverage, *self.width)
        return (
            self.corpora[0] == self.corpora[1]
            and all(self.same_predictions.values())
            and all(self.same_files.values())
            and not self.only_a
            and not self.only_b
            and all(pair.a == pair.b for pair in pairs)
        )


def read_side(folder: UPath) -> Side:
    """A candidate, which is verified, or a folder of ``loso_seed{N}.json``.

    Raises
    ------
    UnusableInput
        If it is neither.
    """
    candidate = load_candidate(verified(folder)) if (folder / MANIFEST_FILE).exists() else None
    scores = [score for score in load_scores(folder) if score.seed in ENSEMBLE_SEEDS]
    return Side(folder, tuple(scores), candidate)


def compare(a: Side, b: Side, corpus: Corpus | None = None) -> Comparison:
    """Hold two sides against each other; rows of ``corpus`` are scored by both candidates."""
    sources = [{fold.held_out for score in side.scores for fold in score.folds} for side in (a, b)]
    both = sorted(sources[0] & sources[1])
    moved = None
    if corpus is not None and a.candidate is not None and b.candidate is not None:
        moved = moved_rows(corpus, a.candidate, b.candidate)
    return Comparison(
        corpora=(a.corpus_sha256, b.corpus_sha256),
        verdicts=(decide(a.scores).verdict, decide(b.scores).verdict),
        same_predictions=dict(_same_predictions(a, b)),
        same_files=_same_files(a, b),
        seeds=_pairs_by_seed(a, b),
        plcc=tuple(_by_source(a, b, "plcc", both)),
        rmse=tuple(_by_source(a, b, "rmse", both)),
        coverage=tuple(_intervals(a, b, "coverage")),
        width=tuple(_intervals(a, b, "width")),
        only_a=tuple(sorted(sources[0] - sources[1])),
        only_b=tuple(sorted(sources[1] - sources[0])),
        moved=moved,
    )


def _same_predictions(a: Side, b: Side) -> Iterator[tuple[int, bool]]:
    digests = [{score.seed: score.predictions_sha256 for score in s.scores} for s in (a, b)]
    for seed in sorted(digests[0].keys() & digests[1].keys()):
        ours, theirs = digests[0][seed], digests[1][seed]
        if ours is not None and theirs is not None:
            yield seed, ours == theirs


def _same_files(a: Side, b: Side) -> dict[str, bool]:
    names = (*(onnx_file(seed) for seed in ENSEMBLE_SEEDS), CALIBRATION_FILE)
    return {
        name: sha256_of_file(a.folder / name) == sha256_of_file(b.folder / name)
        for name in names
        if (a.folder / name).exists() and (b.folder / name).exists()
    }


def _pairs_by_seed(a: Side, b: Side) -> tuple[Pair, ...]:
    plcc = [{score.seed: score.mean_plcc for score in side.scores} for side in (a, b)]
    seeds = sorted(plcc[0].keys() | plcc[1].keys())
    return tuple(Pair(str(seed), plcc[0].get(seed), plcc[1].get(seed)) for seed in seeds)


def _by_source(a: Side, b: Side, figure: str, sources: Sequence[str]) -> Iterator[Pair]:
    found = []
    for side in (a, b):
        by_source: dict[str, list[float | None]] = {}
        for score in side.scores:
            for fold in score.folds:
                by_source.setdefault(fold.held_out, []).append(getattr(fold, figure))
        found.append({name: mean_or_none(values) for name, values in by_source.items()})
    for source in sources:
        yield Pair(source, found[0].get(source), found[1].get(source))


def _intervals(a: Side, b: Side, figure: str) -> Iterator[Pair]:
    """Nothing for a folder of results, which has no intervals."""
    if a.candidate is None or b.candidate is None:
        return
    ours, theirs = (_measured(c.calibration, figure) for c in (a.candidate, b.candidate))
    for name in sorted(ours.keys() | theirs.keys()):
        yield Pair(name, ours.get(name), theirs.get(name))


def _measured(calibration: Calibration, figure: str) -> dict[str, float]:
    return {
        f"{c.unit} at {c.level:.0%}": getattr(c, figure)
        for c in calibration.coverages
        if c.measured and c.rule == "source" and c.level in _LEVELS
    }


# --- on a corpus -------------------------------------------------------------------------------


def moved_rows(corpus: Corpus, a: Candidate, b: Candidate) -> Moved:
    """Score every row of ``corpus`` with both, and count those that move by more than 1 VMAF."""
    distance = np.abs(predicted(corpus, b) - predicted(corpus, a))
    moved = distance > MOVED
    rows = np.bincount(corpus.source_index, minlength=len(corpus.sources))
    counts = np.bincount(corpus.source_index, weights=moved, minlength=len(corpus.sources))
    return Moved(
        rows=corpus.n_rows,
        moved=int(moved.sum()),
        furthest=float(distance.max()),
        by_source=tuple(
            (name, int(n), int(count))
            for name, n, count in zip(corpus.sources, rows, counts, strict=True)
            if count
        ),
    )


def predicted(corpus: Corpus, candidate: Candidate) -> npt.NDArray[np.float64]:
    """The members' mean for every row, within 0..100; shape (n_rows,)."""
    return ensemble_mu(score_members(candidate, Frames("the corpus", corpus.frame)))


@dataclass(frozen=True)
class Challenge:
    """A challenger against the champion, where both can be scored fairly.

    Attributes
    ----------
    plcc, rmse
        By source, the champion first: the challenger out of fold, the champion as it is, on
        sources that it was not trained on.
    unfair
        Sources of the corpus that the champion was trained on; not compared.
    """

    plcc: tuple[Pair, ...]
    rmse: tuple[Pair, ...]
    unfair: tuple[str, ...]


def challenge(corpus: Corpus, frames: OutOfFold, champion: Candidate) -> Challenge:
    """Compare out-of-fold predictions of ``corpus`` with those of a candidate made before it.

    A source is known by its name: one that was renamed counts as new.
    """
    known = set(champion.calibration.sources)
    new = [source for source in corpus.sources if source not in known]
    score = predicted(corpus, champion) if new else np.empty(0)
    plcc, rmse = [], []
    for source in new:
        rows = corpus.source_index == corpus.sources.index(source)
        theirs = agreement(score[rows], corpus.target[rows])
        ours = agreement(frames.mu[rows], corpus.target[rows])
        plcc.append(Pair(source, theirs.plcc, ours.plcc))
        rmse.append(Pair(source, theirs.rmse, ours.rmse))
    return Challenge(tuple(plcc), tuple(rmse), tuple(s for s in corpus.sources if s in known))
