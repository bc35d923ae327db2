"""All that is shown beside a verdict, in one value, one object and two lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fr_ensemble_assets.assurance.baselines import QUADRATIC, Baseline, baselines
from fr_ensemble_assets.assurance.breakdown import Breakdown, breakdown
from fr_ensemble_assets.assurance.certainty import UNSEEN, Certainty, certainty
from fr_ensemble_assets.assurance.controls import Control, controls
from fr_ensemble_assets.assurance.diagnosis import Diagnosis, diagnose
from fr_ensemble_assets.assurance.outcome import Outcome
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
            f"{b.name} reaches RMSE {b.rmse:.2f}, the ensemble {self.ensemble_rmse:.2f}: the "
            "network is not needed for this corpus"
            for b in self.baselines
            if b.beats_the_ensemble
        )


def assess(corpus: Corpus, results: Sequence[SeedResult]) -> Assurance:
    """Everything that needs no training: a second or two on the bundled corpus."""
    from threadpoolctl import threadpool_limits

    outcome = Outcome.of(corpus, results)
    seeds = tuple(result.seed for result in results)
    # The matrices are small: more threads only cost, and could change the last bits.
    with threadpool_limits(1):
        return Assurance(
            corpus_sha256=corpus.sha256,
            seeds=seeds,
            ensemble_rmse=outcome.rmse,
            baselines=baselines(outcome),
            controls=controls(corpus),
            certainty=certainty(outcome.fold_plcc),
            breakdown=breakdown(outcome),
            diagnosis=diagnose(outcome, seeds),
        )


def two_lines(found: Assurance) -> tuple[str, str]:
    """What ``run`` prints of it."""
    quadratic = next(b for b in found.baselines if b.name == QUADRATIC)
    skill = (
        f"RMSE {found.ensemble_rmse:.2f} VMAF on sources left out, {abs(quadratic.skill):.0%} "
        f"{'less' if quadratic.skill >= 0 else 'MORE'} than a {QUADRATIC} ({quadratic.rmse:.2f}); "
        f"better on {quadratic.won} of {quadratic.sources} sources."
    )
    sure = found.certainty
    if sure is None:
        return skill, "How sure the verdict is can't be said: a PLCC is undefined."
    flips = f"{sure.flips:.2%}" if sure.flips else f"none of {sure.draws:,}"
    chance = (
        f"With sources drawn anew from these {sure.n_sources} the verdict is another one in "
        f"{flips} draws; mean PLCC {sure.mean_plcc[0]:.4f} to {sure.mean_plcc[1]:.4f}."
    )
    return skill, chance


def assurance_document(found: Assurance) -> dict[str, Any]:
    """The same as one JSON object."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "verdict_assurance",
        "corpus_sha256": found.corpus_sha256,
        "seeds": list(found.seeds),
        "decides": "nothing: the gate is ADR-0303's three figures alone",
        "ensemble_rmse": found.ensemble_rmse,
        "baselines": [asdict(b) for b in found.baselines],
        "controls": [asdict(c) for c in found.controls],
        "certainty": asdict(found.certainty) | {"can_not_see": UNSEEN} if found.certainty else None,
        **asdict(found.breakdown),
        "diagnosis": asdict(found.diagnosis) if found.diagnosis else None,
        "caveats": list(found.caveats),
    }
