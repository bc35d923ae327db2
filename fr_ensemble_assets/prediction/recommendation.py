"""What is recommended: the qualities of a source and encoder, and the one that is chosen."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from fr_ensemble_assets.calibration.rules import Answer, Rule
from fr_ensemble_assets.prediction.sentences import level_explanation, recommendation_sentence

#: An encode most of whose frames are unlike any that were trained on is never recommended: no
#: interval covers them.
EXTRAPOLATION_MAX = 0.5
#: In VMAF. Predictions that rise by more than this with the quality value contradict each other.
_RISE = 1.0


@dataclass(frozen=True)
class Rung:
    """One quality of one source and encoder.

    Attributes
    ----------
    quality
        The encoder's quality value: CRF, CQ or QP.
    interpolated
        Whether it lies between measured ones, and nothing was encoded at it.
    mu, lower, upper
        The encode's mean VMAF as predicted, and its interval; 0..100.
    frames
        How many frames were pooled; 0 for an interpolated one.
    extrapolates
        Share of those frames that lie outside what the members were trained on; for an
        interpolated one the greater share of its two neighbours.
    size
        Bytes of the encode, where the file tells them.
    vmaf
        The encode's mean VMAF as measured, where the file tells it of every frame. It is believed:
        the prediction stands beside it.
    """

    quality: float
    interpolated: bool
    mu: float
    lower: float
    upper: float
    frames: int
    extrapolates: float
    size: float | None
    vmaf: float | None = None

    @property
    def best(self) -> float:
        """The encode's mean VMAF, measured where it is, else predicted."""
        return self.mu if self.vmaf is None else self.vmaf

    @property
    def least(self) -> float:
        """What the encode's mean VMAF is at least: what was measured, else the lower bound."""
        return self.lower if self.vmaf is None else self.vmaf

    @property
    def most(self) -> float:
        """The same from above."""
        return self.upper if self.vmaf is None else self.vmaf

    def keeps(self, target: float) -> bool:
        """Whether it is known or, with the interval's confidence, expected to keep ``target``."""
        return self.least >= target and (self.covered or self.vmaf is not None)

    @property
    def covered(self) -> bool:
        """Whether its interval says anything: most of its frames are like those trained on."""
        return self.extrapolates <= EXTRAPOLATION_MAX


@dataclass(frozen=True)
class Recommendation:
    """The answer for one source and encoder.

    Attributes
    ----------
    src, encoder, preset
        Of what.
    target
        VMAF that the lower bound is to reach.
    level
        At which level the interval was computed.
    measured
        The rungs that were encoded, by ascending quality value.
    choice
        The largest quality value whose lower bound reaches the target, measured or interpolated;
        ``None`` where none does.
    saved
        Share of the size that the choice saves against the safest one, the smallest quality value.
    next_probe
        The quality whose encode would tell most: where the choice is the largest of the file, or
        where none keeps the target, one beyond; else the first after the choice that was not
        measured to miss, or a predicted choice itself. ``None`` where there is nothing to learn.
    """

    src: str
    encoder: str
    preset: str | None
    target: float
    level: float
    measured: tuple[Rung, ...]
    choice: Rung | None
    saved: float | None
    next_probe: float | None = None

    @property
    def nearest(self) -> Rung:
        """The encoded rung whose lower bound comes nearest to the target, or goes beyond most."""
        return max(self.measured, key=lambda rung: (rung.least, rung.quality))

    @property
    def ends_the_file(self) -> bool:
        """Whether nothing coarser than the choice was encoded: a larger one may keep it too."""
        return self.choice is not None and self.choice == self.measured[-1]

    @property
    def rises(self) -> bool:
        """Whether a larger quality value is predicted to look better, which can't be."""
        mu = [rung.mu for rung in self.measured if rung.vmaf is None]
        return any(after > before + _RISE for before, after in pairwise(mu))

    @property
    def sentence(self) -> str:
        """The answer in one line that a person can repeat."""
        return recommendation_sentence(self)


@dataclass(frozen=True)
class Recommendations:
    """The answers for every source and encoder of a file.

    Attributes
    ----------
    answer
        The level asked for and the one that is answered; ``answer.supported`` says whether the
        corpus carries the one that was asked for.
    rule, target
        By which rule, and for which VMAF.
    meaning
        What the level answered is worth on sources left out, as it was measured.
    n_sources
        Sources that the calibration rests on.
    items
        By source, encoder and preset.
    unknown_encoders
        Rows of each encoder outside the vocabulary.
    assumed_presets
        By encoder, the preset that rows without one were taken to have.
    """

    answer: Answer
    rule: Rule
    target: float
    meaning: str
    n_sources: int
    items: tuple[Recommendation, ...]
    unknown_encoders: dict[str, int]
    assumed_presets: dict[str, str]

    @property
    def explanation(self) -> str:
        """What the level means, and whether it is the one that was asked for."""
        return level_explanation(self)
