"""``calibration.json`` as a type: what it must hold for an interval to be computed from it."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from fr_ensemble_assets.calibration.coverage import Unit
from fr_ensemble_assets.calibration.rules import LEVEL_TOLERANCE, Rule
from fr_ensemble_assets.foundation.documents import Count, Document, Finite, Sha256, departure
from fr_ensemble_assets.foundation.schema import CANONICAL_6
from fr_ensemble_assets.training.recentre import TERMS


class TableDocument(Document):
    """One rule's quantiles.

    Attributes
    ----------
    sigma_floor
        What the deviation is raised to, in VMAF; 0 for no floor.
    highest_level
        The highest level that the corpus carries: the last of the quantiles.
    quantiles
        By level, rising: the factor before the deviation, never falling.
    """

    sigma_floor: Finite
    highest_level: Finite
    quantiles: dict[str, Finite]

    @property
    def levels(self) -> tuple[float, ...]:
        """The levels as numbers, in the order of the quantiles."""
        return tuple(float(level) for level in self.quantiles)

    @model_validator(mode="after")
    def _in_order(self) -> TableDocument:
        quantiles = tuple(self.quantiles.values())
        try:
            levels = self.levels
        except ValueError:
            raise departure("quantiles by level", ", ".join(self.quantiles)) from None
        rising = all(a < b for a, b in pairwise(levels))
        if not levels or not rising or not (levels[0] > 0 and levels[-1] < 1):
            raise departure("quantiles by rising level between 0 and 1", ", ".join(self.quantiles))
        widening = all(a <= b for a, b in pairwise(quantiles))
        if not widening or quantiles[0] < 0 or self.sigma_floor < 0:
            raise departure(
                "quantiles that never fall, and none below 0, over a floor of 0 or more",
                ", ".join(f"{quantile:g}" for quantile in (self.sigma_floor, *quantiles)),
            )
        if abs(self.highest_level - levels[-1]) > LEVEL_TOLERANCE:
            raise departure("quantiles listed up to its highest level", self.highest_level)
        return self


class TablesDocument(Document):
    """Quantiles by rule; what each promises is under ``rules``."""

    gaussian: TableDocument
    frame: TableDocument
    source: TableDocument


class PlainTablesDocument(Document):
    """Quantiles for the plain formula; a rule is missing where no finite one holds."""

    interval: str = ""
    frame: TableDocument | None = None
    source: TableDocument | None = None


class RangeDocument(Document):
    """The least and the greatest value that training saw."""

    min: Finite
    max: Finite

    @model_validator(mode="after")
    def _a_range(self) -> RangeDocument:
        if self.min > self.max:
            raise departure("a range from 'min' to 'max'", f"{self.min:g} to {self.max:g}")
        return self


def _in_order_of_the_inputs(ranges: dict[str, RangeDocument]) -> dict[str, RangeDocument]:
    if tuple(ranges) != CANONICAL_6:
        raise departure(", ".join(CANONICAL_6), ", ".join(ranges))
    return ranges


class TrainedOnDocument(Document):
    """Beyond these ranges the members extrapolate.

    Attributes
    ----------
    features
        Of each canonical-6 feature, in the order of the network's inputs.
    cq
        Of the quality knob of each encoder.
    """

    features: Annotated[dict[str, RangeDocument], AfterValidator(_in_order_of_the_inputs)]
    cq: dict[str, RangeDocument]


class GroupDocument(Document):
    """Rows of one source, or of one encoder: how many, the share covered, the mean width."""

    name: str
    rows: Count
    coverage: Finite
    mean_width: Finite


class CoverageDocument(Document):
    """How one rule did at one level; ``null`` where the sources that remain don't carry it.

    Attributes
    ----------
    standard_error
        Of the mean, over sources.
    mean_width
        From lower to upper bound, in VMAF.
    n_sources
        There where ``by_source`` lists but the sources that are covered least.
    """

    unit: Unit
    rule: Rule
    level: Finite
    mean_coverage: Finite | None = None
    standard_error: Finite | None = None
    mean_width: Finite | None = None
    n_sources: Count | None = None
    by_source: tuple[GroupDocument, ...]
    by_encoder: tuple[GroupDocument, ...]


class CoveragesDocument(Document):
    """Measured on each source in turn, calibrated on all others."""

    protocol: str = ""
    results: tuple[CoverageDocument, ...]


class MeanCurveDocument(Document):
    """Mean VMAF of one encoder over the corpus, by rising quality; it falls or rises all along."""

    cq: tuple[Finite, ...]
    vmaf: tuple[Finite, ...]

    @model_validator(mode="after")
    def _one_way(self) -> MeanCurveDocument:
        rising = all(a < b for a, b in pairwise(self.cq)) and len(self.cq) == len(self.vmaf) > 1
        steps = [b - a for a, b in pairwise(self.vmaf)]
        if not rising or not (all(s < 0 for s in steps) or all(s > 0 for s in steps)):
            raise departure("rising qualities with a VMAF of each that runs one way", "others")
        return self


class InterpolationDocument(Document):
    """How far a curve between measured qualities is off, by encoder."""

    along: str = ""
    mean_curves: dict[str, MeanCurveDocument] = Field(default_factory=dict)

    error: str = ""
    smallest_drop: Finite | None = None
    shares: dict[str, TableDocument]


class RuleDocument(Document):
    """What a rule's interval is, what it promises and on what assumption."""

    interval: str = ""
    promises: str = ""
    assumes: str = ""
    reference: str = ""


class CalibratedOnDocument(Document):
    """The corpus whose out-of-fold predictions were used; ``sources`` in sorted order."""

    sha256: Sha256
    n_frames: Count
    n_encodes: Count
    n_sources: Count | None = None
    sources: tuple[str, ...]


class CorrectionDocument(Document):
    """What one member's predictions are too high by: coefficients of the terms, in VMAF.

    Attributes
    ----------
    low, high
        Standardised features are clamped to these.
    """

    low: tuple[Finite, ...]
    high: tuple[Finite, ...]
    coefficients: tuple[Finite, ...]

    @model_validator(mode="after")
    def _whole(self) -> CorrectionDocument:
        lengths = (len(self.low), len(self.high), len(self.coefficients))
        wanted = (len(CANONICAL_6), len(CANONICAL_6), len(TERMS))
        if lengths != wanted:
            raise departure("{} and {} ends, {} coefficients".format(*wanted), str(lengths))
        return self


class RecentringDocument(Document):
    """How each member's predictions are corrected before they are averaged, in seed order.

    Attributes
    ----------
    version
        Of the terms; with other ones a coefficient means something else.
    lowest, highest
        Predictions are clamped to these in the terms.
    """

    version: Literal[1]
    recentred: str = ""
    lowest: Finite | None = None
    highest: Finite | None = None
    terms: tuple[str, ...] = ()
    members: tuple[CorrectionDocument, ...]


class CalibrationDocument(Document):
    """From the members' deviation to an interval (docs/intervals.md); also in every candidate.

    Attributes
    ----------
    sigma_floor
        The deviation's floor in VMAF, under rules ``frame`` and ``source``.
    mean_sigma
        Mean deviation of the members over all frames, out of fold; in VMAF.
    per_frame, per_encode
        For single frames, and for the mean of an encode.
    recentring
        Applied under ``per_frame`` and ``per_encode``; without it members are taken as they are.
    per_frame_plain
        For the manifest's formula (contracts section 5), which knows no floor.
    """

    model_config = ConfigDict(title="calibration.json")
    advice: ClassVar[str] = "the file was altered or is another version's, make the candidate again"

    schema_version: Literal[1]
    kind: Literal["interval_calibration"] = "interval_calibration"
    corpus: CalibratedOnDocument
    mu: str = ""
    sigma: str = ""
    sigma_floor: Finite | None = None
    mean_sigma: Finite
    bounds: str = ""
    rules: dict[str, RuleDocument] = Field(default_factory=dict)
    per_frame: TablesDocument
    per_encode: TablesDocument
    per_frame_plain: PlainTablesDocument
    coverage: CoveragesDocument
    trained_on: TrainedOnDocument
    interpolation: InterpolationDocument
    recentring: RecentringDocument | None = None
