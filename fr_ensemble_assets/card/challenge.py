"""A challenger against the champion before it, as values."""

from __future__ import annotations

from dataclasses import dataclass

#: In VMAF: a score that moves further than this moves decisions.
MOVED = 1.0


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
class Moved:
    """What became of one corpus' rows: scored by both ensembles as they ship, in VMAF.

    Attributes
    ----------
    moved
        Rows whose score differs by more than :data:`MOVED`.
    furthest
        The greatest difference.
    by_source
        Name, rows and moved rows of each source that has some.
    """

    rows: int
    moved: int
    furthest: float
    by_source: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Challenge:
    """A challenger against the champion, where both can be scored fairly.

    Attributes
    ----------
    champion
        The corpus of the candidate before this one.
    plcc, rmse
        By source, the champion first: the challenger out of fold, the champion as it is, on
        sources that it was not trained on.
    unfair
        Sources of the corpus that the champion was trained on; not compared.
    width
        Mean width of rule ``source`` by unit and level, each on its own corpus.
    """

    champion: str
    plcc: tuple[Pair, ...]
    rmse: tuple[Pair, ...]
    unfair: tuple[str, ...]
    width: tuple[Pair, ...]
    moved: Moved
