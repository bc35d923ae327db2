"""Everything that a corpus' out-of-fold predictions say about intervals, in one value."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from fr_ensemble_assets.calibration.coverage import UNITS, Coverage, Unit, leave_one_source_out
from fr_ensemble_assets.calibration.interpolation import (
    interpolation_by_encoder,
)
from fr_ensemble_assets.calibration.mean_curve import MeanCurve, mean_curves
from fr_ensemble_assets.calibration.pooling import OutOfFold, pool_encodes
from fr_ensemble_assets.calibration.rules import (
    SIGMA_FLOOR,
    QuantileTable,
    Rule,
    WeightedScores,
    frame_table,
    gaussian_table,
    normalised_scores,
    source_table,
)
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.foundation.schema import CANONICAL_6
from fr_ensemble_assets.training.recentre import Correction

#: Whose q the manifest ships: the first that carries the level. It is for new sources, as all
#: consumers have; where they are too few for it, the frames' own is better than the normal one.
PLAIN_RULES: tuple[Rule, ...] = ("source", "frame")


@dataclass(frozen=True)
class Range:
    """The least and the greatest value that training saw."""

    low: float
    high: float


@dataclass(frozen=True)
class TrainedOn:
    """What the members were trained on; beyond it they extrapolate.

    Attributes
    ----------
    features
        Range of each of the canonical-6 features.
    qualities
        Range of ``cq`` of each encoder.
    """

    features: Mapping[str, Range]
    qualities: Mapping[str, Range]


@dataclass(frozen=True)
class Calibration:
    """Quantiles of every rule, what they were computed from, and how they did.

    Attributes
    ----------
    corpus_sha256
        The corpus whose out-of-fold predictions were used.
    n_frames, n_encodes
        Rows, and (source, encoder, quality[, preset]) cells.
    sources
        Distinct sources in sorted order.
    mean_sigma
        Mean deviation of the members as they are over all frames, out of fold; in VMAF.
    frame, encode
        Quantiles by rule, for single frames and for the pooled mean of an encode.
    plain
        For single frames as the manifest's consumers compute them: the members' plain mean ±
        q·sigma, without a floor and not brought into 0..100 (contracts section 5). A rule is
        missing where members agree so exactly that no finite q holds.
    coverages
        Leave-one-source-out coverage of every rule at the reported levels, for both units.
    trained_on
        Ranges of the training corpus.
    interpolation
        By encoder, quantiles of the error between measured qualities.
    mean_curves
        By encoder, mean VMAF by quality, along which such curves run; an encoder without one has
        them run over the quality value itself.
    floor
        What the deviation is raised to under rules ``frame`` and ``source``; in VMAF.
    corrections
        What recentres the members that ship, in seed order, before they are averaged: ``frame`` and
        ``encode`` are of recentred members. Empty as long as there are no such members; ``None``
        where nothing is recentred.
    """

    corpus_sha256: str
    n_frames: int
    n_encodes: int
    sources: tuple[str, ...]
    mean_sigma: float
    frame: Mapping[Rule, QuantileTable]
    encode: Mapping[Rule, QuantileTable]
    plain: Mapping[Rule, QuantileTable]
    coverages: tuple[Coverage, ...]
    trained_on: TrainedOn
    interpolation: Mapping[str, QuantileTable]
    mean_curves: Mapping[str, MeanCurve] = field(default_factory=dict)
    floor: float = SIGMA_FLOOR
    corrections: tuple[Correction, ...] | None = None

    def tables(self, unit: Unit) -> Mapping[Rule, QuantileTable]:
        """Quantiles by rule for one unit."""
        return self.frame if unit == "frame" else self.encode

    def plain_quantile(self, level: float, members_sigma: float) -> float | None:
        """The manifest's ``conformal_q_residual``: :meth:`plain_rule` at ``level``, plain formula.

        In units of the shipped members' deviation, whose mean over the same frames is
        ``members_sigma``. How far five seeds disagree is a draw of its own, shared by all rows:
        on the bundled corpus the mean is 0.49 out of fold and 0.34 of the shipped members, with
        errors as large. A q in units of the first, multiplied with the second, covers 80 % of the
        rows that the members were trained on where it says 95 %. Where a floor lies under the
        deviation this matters little, and nothing is rescaled.

        ``None`` where the corpus doesn't carry the level, or the members never disagree.
        """
        rule = self.plain_rule(level)
        if rule is None or members_sigma <= 0:
            return None
        return self.plain[rule].at(level).quantile * self.mean_sigma / members_sigma

    def plain_rule(self, level: float) -> Rule | None:
        """The first of :data:`PLAIN_RULES` that carries ``level``."""
        carrying = (r for r in PLAIN_RULES if r in self.plain and self.plain[r].at(level).supported)
        return next(carrying, None)


def calibrate(corpus: Corpus, frames: OutOfFold, recentred: OutOfFold | None = None) -> Calibration:
    """Fit and try all rules on the out-of-fold predictions of ``corpus``.

    ``frames`` are those that were judged. All but the plain tables rest on ``recentred`` ones,
    where there are any.

    A pure function of all: asked again with the same values it answers from memory, so that each
    step that must not believe a stored calibration can afford its own.
    """
    kinds = (frames,) if recentred is None else (frames, recentred)
    predictions = hashlib.sha256(b"".join(f.members.tobytes() for f in kinds)).hexdigest()
    known = _last.get(corpus)
    if known is None or known[0] != predictions:
        known = predictions, _calibrate(corpus, frames, recentred)
        _last[corpus] = known
    return known[1]


#: Of a corpus, as long as somebody else has it, the last calibration, with the digest of its
#: predictions.
_last: WeakKeyDictionary[Corpus, tuple[str, Calibration]] = WeakKeyDictionary()


def _calibrate(corpus: Corpus, judged: OutOfFold, recentred: OutOfFold | None) -> Calibration:
    frames = judged if recentred is None else recentred
    encodes = pool_encodes(frames)
    plain = normalised_scores(np.abs(judged.target - judged.mean), judged.sigma, floor=0.0)
    return Calibration(
        corpus_sha256=corpus.sha256,
        n_frames=frames.n_rows,
        n_encodes=encodes.n_rows,
        sources=frames.sources,
        mean_sigma=float(judged.sigma.mean()),
        frame=_tables(frames),
        encode=_tables(encodes),
        plain=_conformal_tables(plain, judged, floor=0.0),
        coverages=tuple(
            coverage.shortened()
            for rows, unit in zip((frames, encodes), UNITS, strict=True)
            for coverage in leave_one_source_out(rows, unit)
        ),
        trained_on=_trained_on(corpus),
        interpolation=interpolation_by_encoder(encodes),
        mean_curves=mean_curves(encodes),
        floor=frames.floor,
        corrections=None if recentred is None else (),
    )


def _tables(rows: OutOfFold) -> dict[Rule, QuantileTable]:
    scores = normalised_scores(rows.residual, rows.sigma, rows.floor)
    return {"gaussian": gaussian_table(), **_conformal_tables(scores, rows, rows.floor)}


def _conformal_tables(
    scores: npt.NDArray[np.float64], rows: OutOfFold, floor: float
) -> dict[Rule, QuantileTable]:
    weighted = WeightedScores.of(scores, rows.source_index)
    tables = (frame_table(weighted, floor), source_table(weighted, floor))
    return {table.rule: table for table in tables if table is not None}


def _trained_on(corpus: Corpus) -> TrainedOn:
    low, high = corpus.features.min(axis=0), corpus.features.max(axis=0)
    quality = corpus.frame.groupby("encoder", observed=True)["cq"].agg(["min", "max"])
    return TrainedOn(
        features={
            name: Range(float(low[place]), float(high[place]))
            for place, name in enumerate(CANONICAL_6)
        },
        qualities={
            str(encoder): Range(float(row["min"]), float(row["max"]))
            for encoder, row in quality.iterrows()
        },
    )
