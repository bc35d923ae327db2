"""How a card writes figures; ready for the templates, which hold sentences and no arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

from fr_ensemble_assets.calibration.coverage import Coverage
from fr_ensemble_assets.card.challenge import Challenge, Pair
from fr_ensemble_assets.card.facts import Baseline, Facts, Group, Mean

#: Sources that a list of the hardest names.
_HARDEST = 5


def plcc(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.5f}"


def vmaf(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def signed(value: float | None) -> str:
    return "undefined" if value is None else f"{value:+.3f}"


def percent(value: float) -> str:
    return f"{value:.1%}".replace("%", " %")


def level(value: float) -> str:
    return f"{value * 100:.4g} %"


def mean_plcc(mean: Mean | None) -> str:
    return _mean(mean, 5)


def mean_vmaf(mean: Mean | None) -> str:
    return _mean(mean, 3)


def _mean(mean: Mean | None, digits: int) -> str:
    if mean is None:
        return "undefined"
    told = f"{mean.value:.{digits}f}"
    return told if mean.half is None else f"{told} ± {mean.half:.{digits}f}"


def ends(values: Sequence[float], digits: int) -> str:
    return " to ".join(f"{value:.{digits}f}" for value in values) or "undefined"


def hardest(facts: Facts) -> list[Group]:
    """The sources with the greatest error when held out."""
    return sorted(facts.sources, key=lambda g: -(g.rmse or 0.0))[:_HARDEST]


def shown_coverages(facts: Facts) -> list[Coverage]:
    """Rule ``source`` at every level, and the others at the level that is shown."""
    return [c for c in facts.coverages if c.measured and (c.rule == "source" or c.level >= 0.9)]


def at_level(facts: Facts, unit: str) -> Coverage | None:
    """Rule ``source`` at the highest level that was measured on sources left out."""
    found = [c for c in facts.coverages if (c.unit, c.rule) == (unit, "source") and c.measured]
    return max(found, key=lambda c: c.level, default=None)


def rivals(facts: Facts) -> list[Baseline]:
    """Simpler predictors whose PLCC would reach the gate's threshold."""
    reached = facts.mean_plcc_min
    return [b for b in facts.baselines if b.plcc is not None and b.plcc.value >= reached]


def licences(facts: Facts) -> bool:
    """Whether anybody recorded where the sources come from."""
    return any(clip.origin or clip.licence for clip in facts.clips)


def duels(challenge: Challenge) -> list[tuple[Pair, Pair]]:
    """PLCC and RMSE of each source that both were scored on."""
    return list(zip(challenge.plcc, challenge.rmse, strict=True))


def inputs(facts: Facts) -> str:
    """What of the corpus is one of a kind, and so was never varied."""
    fixed = [f"`{d.name}` {d.presets[0]}" for d in facts.data if len(d.presets) == 1]
    return ", ".join(fixed)
