"""How many encodes it takes to find the largest quality that keeps a target, and others' ways.

``make bench-search CELLS=cells.csv.gz`` holds out each of five groups of sources in turn, trains on
the others and searches for VMAF 80, 88, 92 and 95. What an encode scores is looked up: measured
where the cells have that quality, else interpolated between those they have, and the first line
says so. ``TRUTH=whole.csv.gz`` names cells with every whole quality, as
``python -m benchmarks.whole_qualities`` makes them; ``--help`` tells the rest. The bundled cells
are used where none are named.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from rich.console import Console
from rich.table import Table
from upath import UPath

from fr_ensemble_assets.encodes.encoders import ENCODERS
from fr_ensemble_assets.predictors.cells import BUNDLED_CELLS, Cells, read_cells
from fr_ensemble_assets.predictors.folds import grouped_folds
from fr_ensemble_assets.predictors.ladders import Ladders, ladders_of
from fr_ensemble_assets.predictors.model import Probe, ScoredProbe
from fr_ensemble_assets.predictors.rivals import four_probes, interpolating_bisection
from fr_ensemble_assets.predictors.search import WORTHWHILE_SAVING, Encode, Options, next_step

TARGETS = (80.0, 88.0, 92.0, 95.0)
RESAMPLED = 2000
#: More than any search here needs.
NO_LIMIT = 99


@dataclass(frozen=True)
class Truth:
    """One clip and encoder: what every whole quality scores and weighs, ascending by quality."""

    quality: np.ndarray
    vmaf: np.ndarray
    log_size: np.ndarray
    features: np.ndarray

    @classmethod
    def of(cls, ladders: Ladders, source: str) -> Truth:
        place = ladders.sources.index(source)
        whole = ladders.quality == np.round(ladders.quality)
        features = ladders.features[place][whole]
        return cls(ladders.quality[whole], ladders.vmaf[place][whole], features[:, 0], features)

    def within(self, least: float, most: float) -> Truth:
        kept = (self.quality >= least) & (self.quality <= most)
        parts = (self.quality, self.vmaf, self.log_size, self.features)
        return Truth(*(part[kept] for part in parts))

    def score(self, quality: float) -> float:
        return float(self.vmaf[self._at(quality)])

    def probe(self, quality: float) -> Probe:
        at = self._at(quality)
        return Probe(quality, float(self.vmaf[at]), self.features[at])

    def oracle(self, target: float) -> int | None:
        """The largest quality that keeps the target, where a larger one misses it."""
        keeps = np.flatnonzero(self.vmaf >= target)
        inside = len(keeps) and keeps[-1] < len(self.vmaf) - 1
        return int(self.quality[keeps[-1]]) if inside else None

    def more_bytes(self, quality: float, than: float) -> float:
        return float(np.exp(self.log_size[self._at(quality)] - self.log_size[self._at(than)]) - 1)

    def _at(self, quality: float) -> int:
        return int(np.flatnonzero(self.quality == quality)[0])


@dataclass(frozen=True)
class Found:
    """One search: how many encodes it made, what its answer lacks, how long it thought."""

    rule: str
    encoder: str
    source: str
    encodes: int
    below: bool
    more_bytes: float
    seconds: float


#: Takes the truth and the target; gives the qualities encoded and the answer.
Rule = Callable[[Truth, float], tuple[int, float]]


def ours(predictor: ScoredProbe, options: Options, fixed_first: float | None = None) -> Rule:
    def search(truth: Truth, target: float) -> tuple[int, float]:
        made = [] if fixed_first is None else [truth.probe(fixed_first)]
        while isinstance(step := next_step(predictor, target, made, options), Encode):
            made.append(truth.probe(step.quality))
        assert step.probe is not None
        return len(made), step.probe.quality

    return search


def bisection(tolerance: float | None) -> Rule:
    def search(truth: Truth, target: float) -> tuple[int, float]:
        least, most = int(truth.quality[0]), int(truth.quality[-1])
        trail = interpolating_bisection(truth.score, target, least, most, tolerance)
        assert trail.answer is not None
        return len(trail.made), trail.answer

    return search


def probes(truth: Truth, target: float) -> tuple[int, float]:
    trail = four_probes(truth.score, target, int(truth.quality[0]), int(truth.quality[-1]))
    assert trail.answer is not None
    return len(trail.made), trail.answer


def without_features(ladders: Ladders) -> Ladders:
    """Columns that don't vary weigh nothing; sizes stay, since savings need them."""
    features = ladders.features.copy()
    features[:] = features.mean(axis=0)
    return replace(ladders, features=features)


def rules_of(ladders: Ladders, saving: float) -> dict[str, Rule]:
    predictor, blind = ScoredProbe(ladders), ScoredProbe(without_features(ladders))
    usual, unlimited = Options(saving), Options(saving, max_encodes=NO_LIMIT)
    return {
        f"ours, {saving:.0%} saving left": ours(predictor, usual),
        "ours, as many as it takes": ours(predictor, unlimited),
        "ours, exact": ours(predictor, replace(unlimited, exact=True)),
        "ours, without features": ours(blind, usual),
        "bisection, tolerance": bisection(0.1),
        "bisection, to the end": bisection(None),
        "four probes": probes,
    }


def trained_on(cells: Cells, encoder: str, dense: bool) -> Cells:
    if dense:
        return cells
    default = cells.frame["cq"].isin(ENCODERS[encoder].qualities)
    return Cells.of(cells.frame[default])


def search_all(cells: Cells, truth: Cells, dense: bool, saving: float) -> tuple[list[Found], int]:
    """Every case whose answer lies inside the predictor's range; and how many don't."""
    found, outside = [], 0
    for encoder in cells.encoders:
        known = ladders_of(truth, encoder)
        taught = ladders_of(trained_on(cells, encoder, dense), encoder)
        for held_out in grouped_folds(cells.sources):
            rules = rules_of(taught.only(set(taught.sources) - set(held_out)), saving)
            for source in sorted(set(held_out) & set(known.sources)):
                mine = Truth.of(known, source).within(taught.quality[0], taught.quality[-1])
                for target in TARGETS:
                    oracle = mine.oracle(target)
                    if oracle is None:
                        outside += 1
                        continue
                    for name, rule in rules.items():
                        found.append(_one(name, rule, encoder, source, mine, target, oracle))
    return found, outside


def _one(
    name: str, rule: Rule, encoder: str, source: str, truth: Truth, target: float, oracle: int
) -> Found:
    started = time.perf_counter()
    encodes, answer = rule(truth, target)
    seconds = time.perf_counter() - started
    more = truth.more_bytes(answer, oracle)
    return Found(name, encoder, source, encodes, truth.score(answer) < target, more, seconds)


def interval(found: Sequence[Found]) -> tuple[float, float]:
    """95 % of the mean number of encodes when sources are drawn anew."""
    sources = sorted({case.source for case in found})
    sums = np.array([sum(c.encodes for c in found if c.source == s) for s in sources], float)
    counts = np.array([sum(c.source == s for c in found) for s in sources], float)
    drawn = np.random.default_rng(0).integers(len(sources), size=(RESAMPLED, len(sources)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


def table_of(title: str, groups: dict[str, list[Found]]) -> Table:
    columns = ("", "cases", "encodes", "95 %", "median", "worst", "<= 2", "below", "bytes", "ms")
    table = Table(*columns, title=title, title_justify="left")
    for name, cases in groups.items():
        encodes = np.array([case.encodes for case in cases])
        low, high = interval(cases)
        table.add_row(
            *(name, str(len(cases)), f"{encodes.mean():.2f}", f"{low:.2f} to {high:.2f}"),
            *(f"{np.median(encodes):g}", str(encodes.max()), f"{np.mean(encodes <= 2):.0%}"),
            str(sum(case.below for case in cases)),
            f"{np.mean([case.more_bytes for case in cases]):+.1%}",
            f"{1000 * np.mean([case.seconds for case in cases]):.1f}",
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cells", nargs="?", default=str(BUNDLED_CELLS), help="to train on")
    parser.add_argument("--truth", help="cells with every whole quality of the same clips")
    parser.add_argument("--dense", action="store_true", help="train on all qualities of the cells")
    parser.add_argument("--saving", type=float, default=WORTHWHILE_SAVING)
    asked = parser.parse_args()
    cells = read_cells(UPath(asked.cells)).cells
    truth = read_cells(UPath(asked.truth)).cells if asked.truth else cells
    found, outside = search_all(cells, truth, asked.dense, asked.saving)
    measured = truth.frame.groupby("encoder")["cq"].nunique().to_dict()
    needed = {encoder: ladders_of(truth, encoder).quality for encoder in truth.encoders}
    told = ", ".join(f"{name} {count} of {len(needed[name])}" for name, count in measured.items())
    trained = "all qualities" if asked.dense else "the four default qualities"
    console = Console(width=120)
    console.print(
        f"trained on {trained}; truth MEASURED at so many whole qualities: {told}; INTERPOLATED at "
        f"the others; "
        f"{outside} targets are out of the range"
    )
    names = list(dict.fromkeys(case.rule for case in found))
    console.print(table_of("by rule", {n: [c for c in found if c.rule == n] for n in names}))
    mine = [case for case in found if case.rule == names[0]]
    encoders = {e: [c for c in mine if c.encoder == e] for e in cells.encoders}
    console.print(table_of(names[0], {e: cases for e, cases in encoders.items() if cases}))


if __name__ == "__main__":
    main()
