"""What came of a search on one clip with one encoder, and how people are told."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich import filesize

from fr_ensemble_assets.encodes.encoders import Encoder
from fr_ensemble_assets.foundation.schema import VMAF_MAX, VMAF_MIN
from fr_ensemble_assets.predictors.model import Probe, ScoredProbe
from fr_ensemble_assets.predictors.search import EVEN, Answer, Encode, Options, next_step


@dataclass(frozen=True)
class Made:
    """One encode that was made and scored.

    Attributes
    ----------
    probe
        Its quality, mean VMAF and features, as the predictor takes them.
    size
        Bytes; of all samples where the clip was sampled.
    by_sample
        Mean VMAF of each sample; a single one for a whole clip.
    files
        Where the encode lies meanwhile.
    """

    probe: Probe
    size: int
    by_sample: tuple[float, ...]
    files: tuple[Path, ...]

    @property
    def quality(self) -> float:
        return self.probe.quality

    @property
    def vmaf(self) -> float:
        return self.probe.vmaf


@dataclass(frozen=True)
class Interval:
    """What one probe says of a quality that nobody encoded."""

    quality: float
    vmaf: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Expected:
    """The plan after one probe, where nothing more is encoded.

    Attributes
    ----------
    likely
        The largest quality that rather keeps the target than not; ``None`` where none does.
    safe
        The largest whose lower bound keeps it; ``None`` where none does.
    level, asked
        Of the interval; ``level`` is lower where the sources don't carry what was asked for.
    """

    likely: Interval | None
    safe: Interval | None
    level: float
    asked: float

    @property
    def percent(self) -> str:
        """:attr:`level`, never more than it is."""
        return f"{np.floor(self.level * 1000 + 1e-6) / 10:g} %"


@dataclass(frozen=True)
class Planned:
    """The answer for one clip and encoder.

    Attributes
    ----------
    made
        Every encode, in order.
    answer
        How the search ended; ``None`` for a plan after one probe.
    chosen
        The encode that is the answer; ``None`` where there is none.
    size
        Its bytes; where the clip was sampled, of the whole clip by the samples' share.
    whole
        VMAF and bytes of the whole clip encoded at the answer; ``None`` where it was not asked
        for, or nothing was sampled.
    sampled
        How many seconds each sample has; 0 for the whole clip.
    sampling_error
        In VMAF, at the confidence asked for: how far samples may be off the whole clip.
    line
        The command that makes the encode.
    """

    src: str
    encoder: Encoder
    target: float
    made: tuple[Made, ...]
    answer: Answer | None
    chosen: Made | None
    size: float | None
    expected: Expected | None = None
    whole: Made | None = None
    sampled: float = 0.0
    sampling_error: float = 0.0
    line: str = ""

    @property
    def keeps(self) -> bool:
        """Whether something that was measured keeps the target."""
        measured = self.whole or self.chosen
        return measured is not None and measured.vmaf >= self.target

    @property
    def sentence(self) -> str:
        """The answer in one line that a person can repeat."""
        return f"{self.src} with {_named(self.encoder)}: {self._told}."

    @property
    def _told(self) -> str:
        if self.expected is not None:
            return _told_plan(self.expected, self.made[0], self.target, self.encoder)
        assert self.answer is not None
        if self.chosen is None:
            return self._told_none(self.answer)
        return self._told_answer(self.chosen, self.answer)

    def _told_answer(self, chosen: Made, answer: Answer) -> str:
        name, size = quality_name(self.encoder), filesize.decimal(round(self.size or chosen.size))
        if self.whole is not None and not self.keeps:
            return (
                f"{name} {chosen.quality:g} keeps VMAF {self.target:g} in samples "
                f"({chosen.vmaf:.2f}) and misses it in the whole clip ({self.whole.vmaf:.2f}, "
                f"{size}); search the whole clip with --samples 0"
            )
        measured = self.whole or chosen
        line = f"{name} {chosen.quality:g} keeps VMAF {self.target:g}: measured {measured.vmaf:.2f}"
        if self.sampled and self.whole is None:
            count = len(chosen.by_sample)
            line += (
                f" in {count} samples of {self.sampled:g} s (the whole clip may be off by "
                f"{self.sampling_error:.1f}), about {size}"
            )
        else:
            line += f", {size}"
        return f"{line}, {_count(self.made)}; {self._why(answer)}"

    def _why(self, answer: Answer) -> str:
        left = f"another encode would save about {answer.saving_left:.0%}"
        if answer.why == "exact":
            missed = min((m for m in self.made if m.vmaf < self.target), key=lambda m: m.quality)
            return f"{missed.quality:g} misses it ({missed.vmaf:.2f})"
        if answer.why == "coarsest":
            return "no coarser quality is searched"
        return left if answer.why == "saving" else f"--max-encodes is reached, {left}"

    def _told_none(self, answer: Answer) -> str:
        best = max(self.made, key=lambda made: made.vmaf)
        name = quality_name(self.encoder)
        if answer.why == "out-of-reach":
            return (
                f"no quality searched keeps VMAF {self.target:g}: the finest, "
                f"{name} {best.quality:g}, scores {best.vmaf:.2f}"
            )
        return (
            f"{_count(self.made)} found none that keeps VMAF {self.target:g}: the best, {name} "
            f"{best.quality:g}, scores {best.vmaf:.2f}; allow more with --max-encodes"
        )


def search(
    predictor: ScoredProbe,
    target: float,
    options: Options,
    make: Callable[[float], Made],
    made: Sequence[Made] = (),
) -> tuple[tuple[Made, ...], Answer]:
    """Encode and score until the search is over; every encode, in order, and how it ended."""
    done = list(made)
    while isinstance(step := next_step(predictor, target, _probes(done), options), Encode):
        done.append(make(step.quality))
    return tuple(done), step


def expected(
    predictor: ScoredProbe, target: float, made: Made, half_width: float, level: float, asked: float
) -> Expected:
    """What one probe says: the curve, and how far it errs on sources held out."""
    belief = predictor.belief([made.probe])
    curve, quality = belief.vmaf, belief.quality
    # Exact where it was measured.
    half = np.where(belief.deviation > 0, half_width, 0.0)
    lower = np.maximum(curve - half, VMAF_MIN)
    upper = np.minimum(curve + half, VMAF_MAX)

    def largest(keeps: Any) -> Interval | None:
        found = np.flatnonzero(keeps)
        if not len(found):
            return None
        at = int(found[-1])
        values = (quality[at], curve[at], lower[at], upper[at])
        return Interval(*(float(value) for value in values))

    likely = largest(belief.probability(target) >= EVEN)
    return Expected(likely, largest(lower >= target), level, asked)


def sampling_error(by_sample: Sequence[float], confidence: float) -> float:
    """Half the width of Student's interval for the mean over all parts of a clip, in VMAF.

    Samples lie one in each part of the clip, so that it rather overstates the error.
    """
    from scipy.special import stdtrit

    count = len(by_sample)
    if count < 2:
        return 0.0
    deviation = float(np.std(np.array(by_sample), ddof=1))
    quantile = float(stdtrit(count - 1, (1 + confidence) / 2))
    return quantile * deviation / math.sqrt(count)


def ranked(planned: Sequence[Planned]) -> tuple[Planned, ...]:
    """Those that keep the target by their bytes, the smallest first; then the others."""
    return tuple(sorted(planned, key=lambda p: (not p.keeps, p.size or float("inf"))))


def quality_name(encoder: Encoder) -> str:
    """What people call the encoder's quality: CRF, QP, CQ."""
    return encoder.quality_option.strip("-").split(":")[0].replace("global_", "").upper()


def document(planned: Planned) -> dict[str, Any]:
    """One answer, for strict JSON."""
    chosen, answer, plan = planned.chosen, planned.answer, planned.expected
    measured = planned.whole or chosen
    return {
        "src": planned.src,
        "encoder": planned.encoder.name,
        "preset": planned.encoder.default_preset or None,
        "target": planned.target,
        "keeps": planned.keeps,
        "quality": chosen.quality if chosen else None,
        "vmaf": measured.vmaf if measured else None,
        "bytes": planned.size,
        "encodes": len(planned.made),
        "why": answer.why if answer else "plan",
        "saving_left": answer.saving_left if answer else None,
        "samples": len(planned.made[0].by_sample) if planned.sampled else 0,
        "sample_seconds": planned.sampled,
        "sampling_error": planned.sampling_error,
        "made": [{"quality": m.quality, "vmaf": m.vmaf, "bytes": m.size} for m in planned.made],
        "plan": None
        if plan is None
        else {
            "likely": vars(plan.likely) if plan.likely else None,
            "safe": vars(plan.safe) if plan.safe else None,
            "confidence_asked": plan.asked,
            "confidence": plan.level,
        },
        "sentence": planned.sentence,
        "ffmpeg": planned.line or None,
    }


def _told_plan(plan: Expected, probe: Made, target: float, encoder: Encoder) -> str:
    name = quality_name(encoder)
    after = f"after one probe (at {probe.quality:g}: {probe.vmaf:.2f})"
    if plan.likely is None:
        return f"{after} no quality is expected to keep VMAF {target:g}"
    likely, level = plan.likely, plan.percent
    told = (
        f"{after} {name} {likely.quality:g} is expected to be the largest that keeps VMAF "
        f"{target:g}: {likely.vmaf:.1f} ({likely.lower:.1f} to {likely.upper:.1f} at {level}); "
    )
    if plan.safe is None:
        return told + "no quality's lower bound keeps it"
    return told + f"the largest whose lower bound keeps it is {plan.safe.quality:g}"


def _named(encoder: Encoder) -> str:
    return f"{encoder.name} ({encoder.default_preset})" if encoder.default_preset else encoder.name


def _count(made: Sequence[Made]) -> str:
    return f"{len(made)} encode{'s' * (len(made) > 1)}"


def _probes(made: Sequence[Made]) -> list[Probe]:
    return [one.probe for one in made]
