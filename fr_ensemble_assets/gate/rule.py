"""The gate: a pure decision over the seeds' results, with its reasons (ADR-0303, ADR-0319).

The one home of the rule. Checks, assets and the command line all call
:func:`decide`; nothing else compares a PLCC with a threshold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from fr_ensemble_assets.features.codec_block import NUM_CODECS
from fr_ensemble_assets.foundation.schema import ENCODER_VOCAB_VERSION
from fr_ensemble_assets.foundation.thresholds import (
    MEAN_PLCC_MIN,
    PER_SEED_PLCC_MIN,
    PLCC_SPREAD_MAX,
)
from fr_ensemble_assets.foundation.wording import listed, shown
from fr_ensemble_assets.loso.results import MEAN_TOLERANCE, SeedScore
from fr_ensemble_assets.training.recipe import CONTRACT_RECIPE, ENSEMBLE_SEEDS


@dataclass(frozen=True)
class Decision:
    """PROMOTE or HOLD, and why.

    Attributes
    ----------
    seeds
        The seeds that were judged.
    per_seed_plcc
        Mean PLCC over the folds of each judged seed; ``None`` where it is undefined.
    mean_plcc, plcc_spread
        Over the judged seeds; ``None`` where any seed's is undefined or none was judged.
    missing_seeds, failing_seeds
        Seeds of the ensemble without results; judged seeds under the threshold or undefined.
    dry_run
        Whether the results can't lead to a candidate whatever the figures: another recipe than
        the contract's, or not the whole ensemble.
    objections
        What speaks against judging the figures at all: missing seeds, another recipe, another
        corpus, a file that contradicts itself.
    shortfalls
        Each of the gate's figures that fails, with its numbers.
    """

    seeds: tuple[int, ...]
    per_seed_plcc: Mapping[int, float | None]
    mean_plcc: float | None
    plcc_spread: float | None
    missing_seeds: tuple[int, ...]
    failing_seeds: tuple[int, ...]
    dry_run: bool
    objections: tuple[str, ...]
    shortfalls: tuple[str, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Every failing aspect; empty on PROMOTE."""
        return (*self.objections, *self.shortfalls)

    @property
    def promote(self) -> bool:
        return not self.reasons

    @property
    def verdict(self) -> str:
        return "PROMOTE" if self.promote else "HOLD"

    @property
    def mean_plcc_pass(self) -> bool:
        return self.mean_plcc is not None and self.mean_plcc >= MEAN_PLCC_MIN

    @property
    def plcc_spread_pass(self) -> bool:
        return self.plcc_spread is not None and self.plcc_spread <= PLCC_SPREAD_MAX

    @property
    def per_seed_pass(self) -> bool:
        return bool(self.seeds) and not self.failing_seeds

    def gate_fields(self) -> dict[str, Any]:
        """The ``gate`` object of the verdict file (contracts section 4)."""
        return {
            "passed": self.promote,
            "mean_plcc": self.mean_plcc,
            "mean_plcc_threshold": MEAN_PLCC_MIN,
            "mean_plcc_pass": self.mean_plcc_pass,
            "plcc_spread": self.plcc_spread,
            "plcc_spread_max": PLCC_SPREAD_MAX,
            "plcc_spread_pass": self.plcc_spread_pass,
            "per_seed_plccs": {str(seed): self.per_seed_plcc[seed] for seed in self.seeds},
            "per_seed_min": PER_SEED_PLCC_MIN,
            "per_seed_pass": self.per_seed_pass,
            "failing_seeds": list(self.failing_seeds),
        }


def decide(scores: Sequence[SeedScore], corpus_sha256: str | None = None) -> Decision:
    """Judge the ensemble by its seeds' results.

    Parameters
    ----------
    scores
        What was found, in any order; seeds outside the ensemble are not judged.
    corpus_sha256
        The corpus that the results must belong to; without it they must agree with each other.

    Notes
    -----
    Comparisons are inclusive. A fold with an undefined correlation fails its seed, even where the
    file's own mean leaves it out.
    """
    judged = sorted((s for s in scores if s.seed in ENSEMBLE_SEEDS), key=lambda s: s.seed)
    plcc = {score.seed: seed_plcc(score) for score in judged}
    mean, spread = mean_and_spread(list(plcc.values()))
    missing = tuple(seed for seed in ENSEMBLE_SEEDS if seed not in plcc)
    failing = tuple(
        seed for seed, value in plcc.items() if value is None or value < PER_SEED_PLCC_MIN
    )
    off_recipe = _off_recipe(judged)
    objections = [
        *_missing(missing),
        *off_recipe,
        *_foreign_corpus(judged, corpus_sha256),
        *_other_sources(judged),
        *(objection for score in judged for objection in _contradictions(score)),
    ]
    return Decision(
        seeds=tuple(plcc),
        per_seed_plcc=plcc,
        mean_plcc=mean,
        plcc_spread=spread,
        missing_seeds=missing,
        failing_seeds=failing,
        dry_run=bool(missing or off_recipe),
        objections=tuple(objections),
        shortfalls=tuple(_shortfalls(judged, mean, spread)),
    )


def mean_and_spread(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Mean and max - min, in decimal arithmetic over the figures as they are written.

    In binary 0.955 - 0.95 is a hair over 0.005, and an inclusive threshold would turn exclusive.
    """
    exact = [Decimal(repr(value)) for value in values if value is not None]
    if not exact or len(exact) < len(values):
        return None, None
    return float(sum(exact) / len(exact)), float(max(exact) - min(exact))


def seed_plcc(score: SeedScore) -> float | None:
    """A seed's mean PLCC over its folds; undefined where that of a fold is."""
    return None if score.undefined_folds else score.mean_plcc


def _missing(missing: tuple[int, ...]) -> list[str]:
    if not missing:
        return []
    return [f"no results for {_name_seeds(missing)}"]


def _shortfalls(judged: Sequence[SeedScore], mean: float | None, spread: float | None) -> list[str]:
    found = [shortfall for score in judged for shortfall in _seed_shortfalls(score)]
    if mean is not None and mean < MEAN_PLCC_MIN:
        found.append(f"mean PLCC {mean:.6f} is {_by(MEAN_PLCC_MIN - mean)} below {MEAN_PLCC_MIN:g}")
    if spread is not None and spread > PLCC_SPREAD_MAX:
        found.append(
            f"PLCC spread {spread:.6f} is {_by(spread - PLCC_SPREAD_MAX)} above {PLCC_SPREAD_MAX:g}"
        )
    return found


def _seed_shortfalls(score: SeedScore) -> list[str]:
    plcc = seed_plcc(score)
    if plcc is None:
        folds = listed(score.undefined_folds)
        return [f"seed {score.seed}: PLCC is undefined" + (f" in {folds}" if folds else "")]
    if plcc >= PER_SEED_PLCC_MIN:
        return []
    short = _by(PER_SEED_PLCC_MIN - plcc)
    return [f"seed {score.seed}: PLCC {plcc:.6f} is {short} below {PER_SEED_PLCC_MIN:g}"]


def _contradictions(score: SeedScore) -> list[str]:
    told, of_folds = score.mean_plcc, score.mean_of_folds
    if told is None or of_folds is None or abs(of_folds - told) <= MEAN_TOLERANCE:
        return []
    return [f"seed {score.seed}: mean_plcc {told:.6f} is not the mean of its folds, {of_folds:.6f}"]


def _other_sources(judged: Sequence[SeedScore]) -> list[str]:
    """Seeds that were judged over different sources can't be compared."""
    held_out = {score.seed: sorted(fold.held_out for fold in score.folds) for score in judged}
    first = next(iter(held_out.values()), [])
    other = tuple(seed for seed, names in held_out.items() if names != first)
    return [f"{_name_seeds(other)} held out other sources than the first"] if other else []


def _by(difference: float) -> str:
    """By how much, with the digits that it takes to see it."""
    return f"{difference:.6f}" if difference >= 1e-6 else f"{difference:.1e}"


def _off_recipe(judged: Sequence[SeedScore]) -> list[str]:
    """Where the recorded recipe isn't the contract's; what a file doesn't record can't differ."""
    contract = asdict(CONTRACT_RECIPE) | {
        "num_codecs": NUM_CODECS,
        "encoder_vocab_version": ENCODER_VOCAB_VERSION,
    }
    off: dict[str, list[int]] = {}
    for score in judged:
        for name, value in score.settings.items():
            if name in contract and value != contract[name]:
                what = f"{name} {shown(value)} instead of {contract[name]}"
                off.setdefault(what, []).append(score.seed)
    return [f"dry run: {what} ({_name_seeds(tuple(seeds))})" for what, seeds in off.items()]


def _foreign_corpus(judged: Sequence[SeedScore], corpus_sha256: str | None) -> list[str]:
    recorded = {score.corpus_sha256 for score in judged if score.corpus_sha256 is not None}
    if corpus_sha256 is None:
        if len(recorded) > 1:
            return [f"results belong to {len(recorded)} corpora: {listed(sorted(recorded))}"]
        return []
    foreign = tuple(s.seed for s in judged if s.corpus_sha256 != corpus_sha256)
    if not foreign:
        return []
    return [f"the results of {_name_seeds(foreign)} belong to another corpus than {corpus_sha256}"]


def _name_seeds(seeds: tuple[int, ...]) -> str:
    listed = ", ".join(str(seed) for seed in seeds)
    return f"seed {listed}" if len(seeds) == 1 else f"seeds {listed}"
