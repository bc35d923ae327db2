"""The candidate before this one, and how the new one does against it on the new corpus."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from upath import UPath

from fr_ensemble_assets.calibration.calibrate import Calibration
from fr_ensemble_assets.calibration.pooling import OutOfFold, ensemble_mu
from fr_ensemble_assets.candidate.contents import VERDICT_FILE, read_file
from fr_ensemble_assets.candidate.documents import Evidence
from fr_ensemble_assets.candidate.verify import verify_candidate
from fr_ensemble_assets.card.challenge import MOVED, Challenge, Moved, Pair
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.evidence.metrics import agreement
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.documents import read_object
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.versions import standing
from fr_ensemble_assets.members.onnx_export import run_onnx

_LEVELS = (0.9, 0.95)


class Champion(NamedTuple):
    """The candidate before this one, and later ones that don't verify, by folder."""

    evidence: Evidence | None
    passed_over: tuple[str, ...]


def champion_before(
    candidates: UPath, place: UPath, judged: bytes, groups: int | None = None
) -> Champion:
    """The candidate that was judged last before this verdict, if there is one.

    Only one that verifies; those that were passed over are named. Time is the verdict's, so that
    making an old candidate again gives the same card.

    Parameters
    ----------
    candidates
        The folder that holds the candidates.
    place
        Where the new one goes; what lies there is no rival of it.
    judged
        The new one's verdict.
    groups
        In how many groups its sources were held out: figures under another plan say nothing.
    """
    now = _judged_at(judged)
    earlier = []
    for name in store.names(candidates):
        folder = candidates / name
        if folder == place:
            continue
        try:
            when = _judged_at(read_file(standing(folder) / VERDICT_FILE))
        except UnusableInput:
            continue
        if when is not None and now is not None and when < now:
            earlier.append((when, folder))
    passed_over: list[str] = []
    for _, folder in sorted(earlier, reverse=True):
        evidence = verify_candidate(folder).evidence
        if evidence is None:
            passed_over.append(folder.name)
        elif evidence.judgement.decision.groups == groups:
            return Champion(evidence, tuple(passed_over))
    return Champion(None, tuple(passed_over))


def _judged_at(verdict: bytes) -> datetime | None:
    told = read_object(verdict, VERDICT_FILE).get("generated_at_utc")
    try:
        when = datetime.fromisoformat(str(told))
    except ValueError:
        return None
    return when if when.tzinfo is not None else None


def challenge(
    corpus: Corpus, frames: OutOfFold, challenger: Evidence, champion: Evidence
) -> Challenge:
    """Compare a new candidate of ``corpus``, its out-of-fold predictions, with one before it.

    A source is known by its name: one that was renamed counts as new.
    """
    known = set(champion.calibration.sources)
    theirs, ours = predicted(corpus, champion), predicted(corpus, challenger)
    plcc, rmse = [], []
    for source, rows in zip(corpus.sources, corpus.rows_of_sources, strict=True):
        if source in known:
            continue
        before = agreement(theirs[rows], corpus.target[rows])
        after = agreement(frames.mu[rows], corpus.target[rows])
        plcc.append(Pair(source, before.plcc, after.plcc))
        rmse.append(Pair(source, before.rmse, after.rmse))
    return Challenge(
        champion=champion.facts.sha256,
        plcc=tuple(plcc),
        rmse=tuple(rmse),
        unfair=tuple(source for source in corpus.sources if source in known),
        width=tuple(intervals(champion.calibration, challenger.calibration, "width")),
        moved=_moved(corpus, theirs, ours),
    )


def moved_rows(corpus: Corpus, a: Evidence, b: Evidence) -> Moved:
    """Score every row of ``corpus`` with both, and count those that move by more than 1 VMAF."""
    return _moved(corpus, predicted(corpus, a), predicted(corpus, b))


def _moved(
    corpus: Corpus, before: npt.NDArray[np.float64], after: npt.NDArray[np.float64]
) -> Moved:
    distance = np.abs(after - before)
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


def predicted(corpus: Corpus, candidate: Evidence) -> npt.NDArray[np.float64]:
    """The members' mean for every row, within 0..100; shape (n_rows,)."""
    facts = candidate.facts
    features = np.asarray(facts.scaler.standardise(corpus.features), np.float32)
    inputs = np.concatenate([features, facts.codec.encode(corpus)], axis=1)
    return ensemble_mu(np.stack([run_onnx(model, inputs) for model in candidate.models]))


def intervals(a: Calibration, b: Calibration, figure: str) -> Iterator[Pair]:
    """``coverage`` or ``width`` of rule ``source`` on sources left out, by unit and level."""
    ours, theirs = _measured(a, figure), _measured(b, figure)
    for name in sorted(ours.keys() | theirs.keys()):
        yield Pair(name, ours.get(name), theirs.get(name))


def _measured(calibration: Calibration, figure: str) -> dict[str, float]:
    return {
        f"{c.unit} at {c.level:.0%}": getattr(c, figure)
        for c in calibration.coverages
        if c.measured and c.rule == "source" and c.level in _LEVELS
    }
