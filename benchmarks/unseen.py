"""What the ensemble recommends for clips that it never saw, and what they really scored.

``.venv/bin/python -m benchmarks.unseen [FOLDER]`` takes four draws of five seeds from FOLDER, or
trains them (:mod:`benchmarks.draws`). Each source is left out of members and calibration, and asked
about with eleven sets of two to four probes and four targets, for every encoder. Truth between the
four measured qualities is a curve through all of them: along the encoder's mean curve, as answers
are, or over the quality value itself, which they know nothing of.

``.venv/bin/python -m benchmarks.unseen SOURCE [TARGET]`` takes a minute on two cores: it leaves the
source out of the bundled corpus, trains an ensemble on the others, and asks it for the largest
quality of each encoder whose lower bound at 95 % reaches the target.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from upath import UPath

from benchmarks.draws import Draw, draws
from fr_ensemble_assets.calibration.calibrate import Calibration, calibrate
from fr_ensemble_assets.calibration.interpolation import curve
from fr_ensemble_assets.calibration.mean_curve import MeanCurve
from fr_ensemble_assets.calibration.pooling import OutOfFold, pool_encodes
from fr_ensemble_assets.calibration.rules import bounds
from fr_ensemble_assets.cli.printing.progress import watched
from fr_ensemble_assets.cli.printing.recommending import print_recommendations
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS, read_corpus
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.operations.run import Plan, run_ensemble
from fr_ensemble_assets.prediction.candidate import load_candidate
from fr_ensemble_assets.prediction.frames import frames_of
from fr_ensemble_assets.prediction.recommend import Ladder, recommend, recommend_ladder
from fr_ensemble_assets.prediction.recommendation import Recommendation, Rung

TARGETS = (80.0, 90.0, 92.0, 95.0)
#: Two, three or all four of a ladder's qualities.
PROBES = [probes for n in (2, 3, 4) for probes in combinations(range(4), n)]


def ensemble_without(corpus: Corpus, source: str, folder: Path) -> UPath:
    """The candidate of an ensemble that never saw ``source``."""
    others = corpus.frame[corpus.frame["src"] != source]
    path = folder / "others.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in others.to_dict("records")))
    plan = Plan(Home.at(folder / "home"), str(path), ENSEMBLE.units, epochs=200, force=False)
    with watched() as progress:
        outcome = run_ensemble(plan, progress)
    assert outcome.candidate_dir is not None, outcome.judgement.decision.reasons
    return outcome.candidate_dir


# --- four draws ------------------------------------------------------------------------------


@dataclass
class Tally:
    """What became of many questions.

    Attributes
    ----------
    answered, broken
        Questions with an answer, and answers that don't keep the target.
    feasible, missed
        Questions with a quality between the probes that keeps the target, and those of them that
        were left without an answer.
    over
        Bytes of the answer over those of the largest quality between the probes that keeps the
        target, as a share.
    """

    answered: int = 0
    broken: int = 0
    feasible: int = 0
    missed: int = 0
    over: list[float] = field(default_factory=list)

    def cells(self) -> list[str]:
        return [
            f"{self.broken} of {self.answered} ({self.broken / self.answered:.2%})",
            f"{self.missed} of {self.feasible} ({self.missed / self.feasible:.1%})",
            f"{np.mean(self.over):+.0%}",
        ]


def calibration_without(draw: Draw, source: int) -> Calibration:
    """As ``calibrate`` makes it of all other sources."""
    raw, recentred = (
        _others(rows, source) for rows in (draw.predicted.raw, draw.predicted.recentred)
    )
    kept = draw.corpus.frame[draw.corpus.source_index != source].reset_index(drop=True)
    return calibrate(Corpus(f"without {source}", kept), raw, recentred)


def _others(rows: OutOfFold, source: int) -> OutOfFold:
    kept = rows.source_index != source
    index = rows.source_index[kept]
    return replace(
        rows,
        keys=rows.keys[kept].reset_index(drop=True),
        sources=tuple(name for n, name in enumerate(rows.sources) if n != source),
        source_index=index - (index > source),
        members=rows.members[:, kept],
        target=rows.target[kept],
    )


def ask(draw: Draw, source: int, tallies: dict[int, Tally], level: float, along_mean: bool) -> None:
    """Every question about one source, by the number of probes."""
    calibration = calibration_without(draw, source)
    answer = calibration.encode["source"].at(level)
    encodes = pool_encodes(draw.predicted.recentred)
    lower, upper = bounds(encodes.mu, encodes.sigma, answer.quantile, answer.floor)
    sizes = draw.corpus.frame.groupby(list(encodes.keys.columns), observed=True)[
        "enc_bytes"
    ].first()
    keys, mine = encodes.keys, np.flatnonzero(encodes.source_index == source)
    quality, encoder = keys["cq"].to_numpy(np.float64), keys["encoder"].to_numpy(object)
    for name in sorted(set(encoder[mine])):
        rows = mine[encoder[mine] == name]
        rows = rows[np.argsort(quality[rows])]
        rungs = [
            Rung(
                quality=float(quality[row]),
                interpolated=False,
                mu=float(encodes.mu[row]),
                lower=float(lower[row]),
                upper=float(upper[row]),
                frames=1,
                extrapolates=0.0,
                size=float(sizes.loc[tuple(keys.iloc[row])]),
            )
            for row in rows
        ]
        along = calibration.mean_curves.get(name) if along_mean else None
        truth = _Truth.of(rungs, encodes.target[rows], along)
        for probes in PROBES:
            measured = tuple(rungs[place] for place in probes)
            ladder = Ladder(draw.corpus.sources[source], name, None, rows[list(probes)])
            for target in TARGETS:
                found = recommend_ladder(ladder, measured, target, answer, calibration)
                truth.count(found, measured, target, tallies[len(probes)])


@dataclass(frozen=True)
class _Truth:
    """VMAF and bytes at every whole quality of a ladder, through its four measured ones."""

    quality: npt.NDArray[np.float64]
    vmaf: npt.NDArray[np.float64]
    size: npt.NDArray[np.float64]

    @classmethod
    def of(
        cls, rungs: list[Rung], vmaf: npt.NDArray[np.float64], along: MeanCurve | None
    ) -> _Truth:
        known = np.array([rung.quality for rung in rungs])
        asked = np.arange(np.ceil(known[0]), known[-1] + 1)
        sizes = np.log(np.array([rung.size for rung in rungs], dtype=np.float64))
        return cls(asked, curve(known, vmaf, asked, along), np.exp(curve(known, sizes, asked)))

    def count(
        self, found: Recommendation, measured: tuple[Rung, ...], target: float, tally: Tally
    ) -> None:
        inside = (self.quality >= measured[0].quality) & (self.quality <= measured[-1].quality)
        keeping = np.flatnonzero(inside & (self.vmaf >= target))
        tally.feasible += len(keeping) > 0
        if found.choice is None:
            tally.missed += len(keeping) > 0
            return
        place = int(np.flatnonzero(self.quality == found.choice.quality)[0])
        tally.answered += 1
        tally.broken += bool(self.vmaf[place] < target - 1e-9)
        if len(keeping):
            tally.over.append(float(self.size[place] / self.size[keeping[-1]] - 1))


def draws_table(level: float, along_mean: bool) -> Table:
    """Every draw, all questions together and by the number of probes."""
    corpus = read_corpus(BUNDLED_CORPUS).corpus
    table = Table("draw", "probes", "broken", "missed", "bytes over the oracle")
    curves = "along the mean curve" if along_mean else "over the quality value"
    table.title = f"recommend at {level:.0%}, rule source; truth {curves}"
    for draw in draws(corpus):
        tallies = {n: Tally() for n in (2, 3, 4)}
        for source in range(len(corpus.sources)):
            ask(draw, source, tallies, level, along_mean)
        both = Tally()
        for n, tally in tallies.items():
            table.add_row(draw.name, str(n), *tally.cells())
            for name in ("answered", "broken", "feasible", "missed", "over"):
                setattr(both, name, getattr(both, name) + getattr(tally, name))
        table.add_row(draw.name, "all", *both.cells())
    return table


# --- one clip ----------------------------------------------------------------------------------


def one_clip(corpus: Corpus, source: str, target: float) -> None:
    """Train without it, ask, and compare."""
    unseen = corpus.frame[corpus.frame["src"] == source].reset_index(drop=True)
    with tempfile.TemporaryDirectory() as folder:
        candidate = load_candidate(ensemble_without(corpus, source, Path(folder)))
    found = recommend(candidate, frames_of(unseen.drop(columns="vmaf")), target)
    print_recommendations(found, to_stderr=False)
    measured = unseen.groupby(["encoder", "cq"])["vmaf"].mean()
    held = [
        rung.lower <= measured[item.encoder, rung.quality] <= rung.upper
        for item in found.items
        for rung in item.measured
    ]
    print(f"measured: {sum(held)} of {len(held)} encodes have their mean VMAF in the interval")


def main() -> None:
    corpus = read_corpus(BUNDLED_CORPUS).corpus
    if len(sys.argv) > 1 and sys.argv[1] in corpus.sources:
        one_clip(corpus, sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 92.0)
        return
    for level, along_mean in ((0.95, True), (0.95, False), (0.8, True)):
        Console(width=120).print(draws_table(level, along_mean))


if __name__ == "__main__":
    main()
