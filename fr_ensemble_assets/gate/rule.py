"""The gate: a pure decision over units of evidence, with its reasons (ADR-0303, ADR-0319).

The one home of the rule. Checks, assets and the command line all call
:func:`decide`; nothing else compares a PLCC with a threshold. What the units are, what they must
reach and how they must have been trained says their contract.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fr_ensemble_assets.contract.agreed import Contract
from fr_ensemble_assets.contract.folds import MOST_SOURCES_ALONE
from fr_ensemble_assets.contract.thresholds import Thresholds
from fr_ensemble_assets.evidence.plans import dealt_as_agreed, groups_of
from fr_ensemble_assets.evidence.results import MEAN_TOLERANCE, SeedScore
from fr_ensemble_assets.foundation.wording import listed, shown


@dataclass(frozen=True)
class Figures:
    """The gate's three figures over some units.

    Attributes
    ----------
    per_unit
        PLCC of each unit; ``None`` where it is undefined.
    mean, spread
        Over the units, the spread being max - min; ``None`` where any unit's is undefined or there
        is none.
    failing
        Units under the threshold or undefined.
    shortfalls
        Each figure that fails, with its numbers.
    """

    per_unit: Mapping[int, float | None]
    mean: float | None
    spread: float | None
    failing: tuple[int, ...]
    shortfalls: tuple[str, ...]


def weigh(
    per_unit: Mapping[int, float | None],
    contract: Contract,
    undefined_in: Mapping[int, Sequence[str]] | None = None,
) -> Figures:
    """Hold each unit's PLCC, their mean and their spread against the contract's thresholds.

    ``undefined_in`` names, for a unit without a PLCC, where it is undefined. Comparisons are
    inclusive.
    """
    limits, unit = contract.thresholds, contract.unit
    mean, spread = mean_and_spread(list(per_unit.values()))
    failing, shortfalls = [], []
    for number, plcc in per_unit.items():
        if plcc is None:
            where = listed((undefined_in or {}).get(number, ()))
            told = "PLCC is undefined" + (f" in {where}" if where else "")
        elif plcc < limits.each_plcc_min:
            short = _by(limits.each_plcc_min - plcc)
            told = f"PLCC {plcc:.6f} is {short} below {limits.each_plcc_min:g}"
        else:
            continue
        failing.append(number)
        shortfalls.append(f"{unit} {number}: {told}")
    if mean is not None and mean < limits.mean_plcc_min:
        short = _by(limits.mean_plcc_min - mean)
        shortfalls.append(f"mean PLCC {mean:.6f} is {short} below {limits.mean_plcc_min:g}")
    if spread is not None and spread > limits.plcc_spread_max:
        over = _by(spread - limits.plcc_spread_max)
        shortfalls.append(f"PLCC spread {spread:.6f} is {over} above {limits.plcc_spread_max:g}")
    return Figures(dict(per_unit), mean, spread, tuple(failing), tuple(shortfalls))


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
    thresholds
        What they were held against.
    groups
        In how many groups sources were held out; ``None`` for one at a time.
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
    thresholds: Thresholds
    groups: int | None = None

    @property
    def protocol(self) -> str:
        """How sources were held out, as the field says it."""
        return protocol_of(self.groups)

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
        return self.mean_plcc is not None and self.mean_plcc >= self.thresholds.mean_plcc_min

    @property
    def plcc_spread_pass(self) -> bool:
        return self.plcc_spread is not None and self.plcc_spread <= self.thresholds.plcc_spread_max

    @property
    def per_seed_pass(self) -> bool:
        return bool(self.seeds) and not self.failing_seeds

    def gate_fields(self) -> dict[str, Any]:
        """The ``gate`` object of the verdict file (contracts section 4)."""
        return {
            "passed": self.promote,
            "mean_plcc": self.mean_plcc,
            "mean_plcc_threshold": self.thresholds.mean_plcc_min,
            "mean_plcc_pass": self.mean_plcc_pass,
            "plcc_spread": self.plcc_spread,
            "plcc_spread_max": self.thresholds.plcc_spread_max,
            "plcc_spread_pass": self.plcc_spread_pass,
            "per_seed_plccs": {str(seed): self.per_seed_plcc[seed] for seed in self.seeds},
            "per_seed_min": self.thresholds.each_plcc_min,
            "per_seed_pass": self.per_seed_pass,
            "failing_seeds": list(self.failing_seeds),
        }


def decide(
    scores: Sequence[SeedScore], contract: Contract, corpus_sha256: str | None = None
) -> Decision:
    """Judge an ensemble by its seeds' results.

    Parameters
    ----------
    scores
        What was found, in any order; seeds outside the ensemble are not judged.
    contract
        Which seeds there must be, how they must have been trained, and what they must reach. Under
        another recipe than the one agreed on, the decision is a dry run.
    corpus_sha256
        The corpus that the results must belong to; without it they must agree with each other.

    Notes
    -----
    Comparisons are inclusive. A fold with an undefined correlation fails its seed, even where the
    file's own mean leaves it out.
    """
    judged = sorted((s for s in scores if s.seed in contract.units), key=lambda s: s.seed)
    undefined = {score.seed: score.undefined_folds for score in judged}
    figures = weigh({score.seed: seed_plcc(score) for score in judged}, contract, undefined)
    missing = tuple(seed for seed in contract.units if seed not in figures.per_unit)
    off_recipe = [*_off_recipe(judged, contract), *_too_few_for_groups(judged, contract)]
    objections = [
        *([f"no results for {contract.name_units(missing)}"] if missing else []),
        *off_recipe,
        *_foreign_corpus(judged, contract, corpus_sha256),
        *_other_sources(judged, contract),
        *_other_folds(judged, contract),
        *(objection for score in judged for objection in _contradictions(score)),
    ]
    return Decision(
        seeds=tuple(figures.per_unit),
        per_seed_plcc=figures.per_unit,
        mean_plcc=figures.mean,
        plcc_spread=figures.spread,
        missing_seeds=missing,
        failing_seeds=figures.failing,
        dry_run=bool(missing or off_recipe),
        objections=tuple(objections),
        shortfalls=figures.shortfalls,
        thresholds=contract.thresholds,
        groups=groups_of(judged[0], contract) if judged else None,
    )


def protocol_of(groups: int | None) -> str:
    """``leave-one-source-out``, or how many groups of sources took turns."""
    return "leave-one-source-out" if groups is None else f"{groups} groups of whole sources"


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


def _contradictions(score: SeedScore) -> list[str]:
    told, of_folds = score.mean_plcc, score.mean_of_folds
    if told is None or of_folds is None or abs(of_folds - told) <= MEAN_TOLERANCE:
        return []
    return [f"seed {score.seed}: mean_plcc {told:.6f} is not the mean of its folds, {of_folds:.6f}"]


def _other_sources(judged: Sequence[SeedScore], contract: Contract) -> list[str]:
    """Seeds that were judged over different sources can't be compared."""
    held_out = {score.seed: sorted(fold.held_out for fold in score.folds) for score in judged}
    first = next(iter(held_out.values()), [])
    other = tuple(seed for seed, names in held_out.items() if names != first)
    told = contract.name_units(other)
    return [f"{told} held out other sources than the first"] if other else []


def _other_folds(judged: Sequence[SeedScore], contract: Contract) -> list[str]:
    """Figures of sources that were held out together aren't those of sources held out alone."""
    other = tuple(score.seed for score in judged if not dealt_as_agreed(score, contract))
    if not other:
        return []
    agreed = protocol_of(groups_of(judged[0], contract))
    return [f"{contract.name_units(other)} held sources out otherwise than by {agreed}"]


def _too_few_for_groups(judged: Sequence[SeedScore], contract: Contract) -> list[str]:
    grouped = [len(score.folds) for score in judged if groups_of(score, contract) is not None]
    if not grouped or min(grouped) > MOST_SOURCES_ALONE:
        return []
    return [
        f"dry run: {contract.plan.n_folds} groups of {min(grouped)} sources; up to "
        f"{MOST_SOURCES_ALONE} sources the contract leaves out one at a time"
    ]


def _by(difference: float) -> str:
    """By how much, with the digits that it takes to see it."""
    return f"{difference:.6f}" if difference >= 1e-6 else f"{difference:.1e}"


def _off_recipe(judged: Sequence[SeedScore], contract: Contract) -> list[str]:
    """Where the recorded recipe isn't the one agreed on; what isn't recorded can't differ."""
    agreed = contract.agreed.training_record
    off: dict[str, list[int]] = {}
    for score in judged:
        for name, value in score.settings.items():
            if name in agreed and value != agreed[name]:
                what = f"{name} {shown(value)} instead of {agreed[name]}"
                off.setdefault(what, []).append(score.seed)
    return [f"dry run: {what} ({contract.name_units(tuple(seeds))})" for what, seeds in off.items()]


def _foreign_corpus(
    judged: Sequence[SeedScore], contract: Contract, corpus_sha256: str | None
) -> list[str]:
    recorded = {score.corpus_sha256 for score in judged if score.corpus_sha256 is not None}
    if corpus_sha256 is None:
        if len(recorded) > 1:
            return [f"results belong to {len(recorded)} corpora: {listed(sorted(recorded))}"]
        return []
    foreign = tuple(s.seed for s in judged if s.corpus_sha256 != corpus_sha256)
    if not foreign:
        return []
    told = contract.name_units(foreign)
    return [f"the results of {told} belong to another corpus than {corpus_sha256}"]
