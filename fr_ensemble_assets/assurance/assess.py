"""All that is shown beside a verdict, in one value, one object and two lines."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from fr_ensemble_assets.assurance.baselines import QUADRATIC, Baseline, baselines
from fr_ensemble_assets.assurance.breakdown import Breakdown, breakdown
from fr_ensemble_assets.assurance.certainty import UNSEEN, Certainty, certainty
from fr_ensemble_assets.assurance.controls import Control, controls
from fr_ensemble_assets.assurance.diagnosis import Diagnosis, diagnose
from fr_ensemble_assets.assurance.outcome import Outcome
from fr_ensemble_assets.contract.folds import FoldPlan
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.evidence.measure import SeedResult

SCHEMA_VERSION = 1
ASSURANCE_FILE = "assurance.json"


@dataclass(frozen=True)
class Assurance:
    """How much a verdict says; none of it decides anything.

    Attributes
    ----------
    ensemble_rmse
        Pooled RMSE of the ensemble, out of fold; in VMAF.
    certainty
        ``None`` where a PLCC is undefined.
    diagnosis
        ``None`` where the gate's figures pass.
    """

    corpus_sha256: str
    seeds: tuple[int, ...]
    ensemble_rmse: float
    baselines: tuple[Baseline, ...]
    controls: tuple[Control, ...]
    certainty: Certainty | None
    breakdown: Breakdown
    diagnosis: Diagnosis | None

    @property
    def skill_over_quadratic(self) -> float:
        return next(b.skill for b in self.baselines if b.name == QUADRATIC)

    @property
    def caveats(self) -> tuple[str, ...]:
        """What belongs into a verdict's recommendation: simpler models that are as good."""
        return tuple(
            f"on sources left out a simpler model ({b.name}) has RMSE {b.rmse:.2f}, the ensemble "
            f"{self.ensemble_rmse:.2f}: this corpus doesn't need a network"
            for b in self.baselines
            if b.beats_the_ensemble
        )


def assess(corpus: Corpus, results: Sequence[SeedResult], plan: FoldPlan) -> Assurance:
    """Everything that needs no training: a second or two on the bundled corpus.

    A pure function of all three: asked again with the same values it answers from memory.
    ``plan`` is the one that the results are from: simpler models leave out the same sources.

    Raises
    ------
    NothingToAssess
        If there are fewer than two seeds or two sources, predictions that aren't finite, or figures
        that such few rows don't give.
    """
    if len(results) < 2 or len(corpus.sources) < 2:
        raise NothingToAssess(f"{len(results)} seeds on {len(corpus.sources)} sources")
    outcome = Outcome.of(corpus, results, plan)
    if not np.isfinite(outcome.members).all():
        raise NothingToAssess("predictions that are not finite")
    asked = hashlib.sha256(outcome.members.tobytes()).hexdigest(), plan
    known = _last.get(corpus)
    if known is None or known[0] != asked:
        try:
            known = asked, _assess(corpus, outcome, results)
        except (ArithmeticError, ValueError) as error:
            # It decides nothing, so that it must not end a run either.
            raise NothingToAssess(f"figures that can't be computed: {error}") from error
        _last[corpus] = known
    return known[1]


#: Of a corpus, as long as somebody else has it, the last assessment, with the digest of the
#: predictions and the plan.
_last: WeakKeyDictionary[Corpus, tuple[tuple[str, FoldPlan], Assurance]] = WeakKeyDictionary()


class NothingToAssess(Exception):
    """Why nothing can be said beside a verdict."""


def caveats_of(corpus: Corpus, results: Sequence[SeedResult], plan: FoldPlan) -> tuple[str, ...]:
    """:attr:`Assurance.caveats`, none where nothing can be assessed."""
    try:
        return assess(corpus, results, plan).caveats
    except NothingToAssess:
        return ()


def _assess(corpus: Corpus, outcome: Outcome, results: Sequence[SeedResult]) -> Assurance:
    from threadpoolctl import threadpool_limits

    seeds = tuple(result.seed for result in results)
    # The matrices are small: more threads only cost, and could change the last bits.
    with threadpool_limits(1):
        return Assurance(
            corpus_sha256=corpus.sha256,
            seeds=seeds,
            ensemble_rmse=outcome.rmse,
            baselines=baselines(outcome),
            controls=controls(corpus, outcome.plan),
            certainty=certainty(outcome.fold_plcc),
            breakdown=breakdown(outcome),
            diagnosis=diagnose(outcome, seeds),
        )


def two_lines(assurance: Assurance) -> tuple[str, str]:
    """What ``run`` prints of it."""
    quadratic = next(b for b in assurance.baselines if b.name == QUADRATIC)
    skill = (
        f"The members' mean, cut to 0..100, has RMSE {assurance.ensemble_rmse:.2f} VMAF on sources "
        f"left out, {abs(quadratic.skill):.0%} "
        f"{'less' if quadratic.skill >= 0 else 'MORE'} than a {QUADRATIC} ({quadratic.rmse:.2f}); "
        f"better on {quadratic.won} of {quadratic.sources} sources."
    )
    better = [b for b in assurance.baselines if b.beats_the_ensemble and b.name != QUADRATIC]
    if better:
        told = "; ".join(f"{b.name} ({b.rmse:.2f})" for b in better)
        skill += f" Simpler models that do better: {told}."
    sure = assurance.certainty
    if sure is None:
        return skill, "How sure the verdict is can't be said: a PLCC is undefined."
    flips = f"{sure.flips:.2%} of" if sure.flips else f"none of {sure.draws:,}"
    chance = (
        f"With sources drawn anew from these {sure.n_sources} the verdict is another one in "
        f"{flips} draws; mean PLCC {sure.mean_plcc[0]:.4f} to {sure.mean_plcc[1]:.4f}."
    )
    return skill, chance


def worth_of(corpus: Corpus, results: Sequence[SeedResult], plan: FoldPlan) -> tuple[str, ...]:
    """:func:`two_lines`, and after a HOLD what it looks like; or why there is nothing to say."""
    try:
        found = assess(corpus, results, plan)
    except NothingToAssess as nothing:
        return (f"What the verdict is worth can't be said: {nothing}.",)
    held = found.diagnosis
    looks = (f"It looks like this: {held.looks_like}. Next: {held.next_step}.",) if held else ()
    return (*two_lines(found), *looks)


def assurance_document(assurance: Assurance) -> dict[str, Any]:
    """The same as one JSON object."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "verdict_assurance",
        "corpus_sha256": assurance.corpus_sha256,
        "seeds": list(assurance.seeds),
        "decides": "nothing: the gate is ADR-0303's three figures alone",
        "ensemble_rmse": assurance.ensemble_rmse,
        "baselines": [asdict(b) for b in assurance.baselines],
        "controls": [asdict(c) for c in assurance.controls],
        "certainty": asdict(assurance.certainty) | {"can_not_see": UNSEEN}
        if assurance.certainty
        else None,
        **asdict(assurance.breakdown),
        "diagnosis": asdict(assurance.diagnosis) if assurance.diagnosis else None,
        "caveats": list(assurance.caveats),
    }
