"""What holding out sources costs, before it is begun."""

from __future__ import annotations

from dataclasses import dataclass

#: Processor microseconds a training row and epoch: the median over sizes of ``docs/benchmark.md``,
#: rounded up, since a corpus of thousands of sources doesn't fit a processor's caches.
MICROSECONDS_A_ROW_AND_EPOCH = 0.7
#: Numbers of groups that are offered instead.
OFFERED_GROUPS = (21, 10)


@dataclass(frozen=True)
class Cost:
    """A number of folds, the models that they take and the time of one core.

    Attributes
    ----------
    models
        Over all seeds.
    cpu_hours
        At :data:`MICROSECONDS_A_ROW_AND_EPOCH`.
    """

    folds: int
    models: int
    cpu_hours: float


def cost_of(rows: int, folds: int, seeds: int, epochs: int) -> Cost:
    """Each fold trains on all rows but its own, which is the rows ``folds - 1`` times over."""
    trained = rows * (folds - 1) * seeds * epochs
    return Cost(folds, folds * seeds, trained * MICROSECONDS_A_ROW_AND_EPOCH / 1e6 / 3600)


def cost_told(rows: int, sources: int, seeds: int, epochs: int) -> str:
    """What leaving out one source at a time would cost at most, and what groups would."""
    alone = cost_of(rows, sources, seeds, epochs)
    groups = [cost_of(rows, n, seeds, epochs) for n in OFFERED_GROUPS if n < sources]
    others = "".join(f", {g.folds} groups {_hours(g.cpu_hours)}" for g in groups)
    return (
        f"{sources:,} sources left out one at a time are {alone.models:,} models and up to "
        f"{_hours(alone.cpu_hours)} of a core{others} "
        f"({MICROSECONDS_A_ROW_AND_EPOCH:g} µs a row and epoch, docs/benchmark.md)"
    )


def _hours(hours: float) -> str:
    if hours >= 10:
        return f"{hours:,.0f} hours"
    return f"{hours:.1f} hours" if hours >= 0.1 else f"{hours * 60:.1f} minutes"
