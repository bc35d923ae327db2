"""Two candidates, or two folders of results, held side by side: the same, or where they differ.

Another machine's run of one corpus should give the same digests; where it doesn't, figures by
source say how far apart they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from upath import UPath

from fr_ensemble_assets.calibration.document import CALIBRATION_FILE
from fr_ensemble_assets.candidate.champion import intervals, moved_rows
from fr_ensemble_assets.candidate.documents import Evidence, candidate_files
from fr_ensemble_assets.candidate.verify import verified
from fr_ensemble_assets.card.challenge import Moved, Pair
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.evidence.metrics import mean_or_none
from fr_ensemble_assets.evidence.plans import variant_of
from fr_ensemble_assets.evidence.results import SeedScore, load_scores
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.gate.rule import decide
from fr_ensemble_assets.members.names import MANIFEST_FILE, onnx_file


@dataclass(frozen=True)
class Side:
    """A candidate or a folder of results.

    Attributes
    ----------
    scores
        The ensemble's seeds; others are left out.
    evidence
        Of a candidate; ``None`` for a folder of results.
    """

    folder: UPath
    scores: tuple[SeedScore, ...]
    evidence: Evidence | None

    @property
    def corpus_sha256(self) -> str | None:
        """The corpus that all of its results name; ``None`` if they name none, or several."""
        named = {score.corpus_sha256 for score in self.scores}
        return named.pop() if len(named) == 1 else None


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
    if (folder / MANIFEST_FILE).exists():
        evidence = verified(folder)
        return Side(folder, evidence.judgement.scores, evidence)
    scores = [score for score in load_scores(folder) if score.seed in ENSEMBLE.units]
    return Side(folder, tuple(scores), None)


def compare(a: Side, b: Side, corpus: Corpus | None = None) -> Comparison:
    """Hold two sides against each other; rows of ``corpus`` are scored by both candidates.

    Raises
    ------
    UnusableInput
        If they held sources out under different fold plans.
    """
    sources = [{fold.held_out for score in side.scores for fold in score.folds} for side in (a, b)]
    both = sorted(sources[0] & sources[1])
    decisions = [decide(side.scores, variant_of(side.scores, ENSEMBLE)) for side in (a, b)]
    if decisions[0].groups != decisions[1].groups:
        raise UnusableInput(
            f"{b.folder}: expected sources held out as in {a.folder} ({decisions[0].protocol}), "
            f"found {decisions[1].protocol}; their figures can't be compared."
        )
    moved = None
    if corpus is not None and a.evidence is not None and b.evidence is not None:
        moved = moved_rows(corpus, a.evidence, b.evidence)
    return Comparison(
        corpora=(a.corpus_sha256, b.corpus_sha256),
        verdicts=(decisions[0].verdict, decisions[1].verdict),
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
    if a.evidence is None or b.evidence is None:
        return {}
    ours, theirs = candidate_files(a.evidence), candidate_files(b.evidence)
    names = (*(onnx_file(seed) for seed in ENSEMBLE.units), CALIBRATION_FILE)
    return {name: ours[name] == theirs[name] for name in names}


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
    if a.evidence is not None and b.evidence is not None:
        yield from intervals(a.evidence.calibration, b.evidence.calibration, figure)
