"""Contracts: what is trained on what, judged how, and the ones that we have.

A contract is settled before anyone trains, and travels with the work: the trainer takes its recipe,
the gate its thresholds, and paths are made from it (``contract/places.py``). A run under another
recipe than the one agreed on is a dry run: kept apart, and always HOLD.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from fr_ensemble_assets.contract.folds import LEAVE_ONE_SOURCE_OUT, FoldPlan, ShuffledDeal
from fr_ensemble_assets.contract.recipe import Recipe
from fr_ensemble_assets.contract.thresholds import ADR_0303, Thresholds
from fr_ensemble_assets.features.codec_block import CODEC_BLOCK_VERSION, NUM_CODECS
from fr_ensemble_assets.foundation.schema import (
    ENCODER_VOCAB_VERSION,
    ENCODER_VOCABULARY,
    UNKNOWN_ENCODER,
)


@dataclass(frozen=True)
class Contract:
    """What a verdict is about.

    Attributes
    ----------
    id
        The name of the model in a registry (contracts section 5).
    unit
        What the gate compares: ``seed`` for an ensemble, ``fold`` for a codec's predictor.
    units
        Their numbers; the verdict needs all of them.
    recipe
        How each model is trained.
    thresholds
        What the units' PLCC must reach.
    plan
        Which sources are held out together.
    encoders
        The encoders whose rows it takes; ``None`` for all.
    encoder_vocab_version, num_codecs, codec_block_version
        What the inputs are: another version is another model.
    """

    id: str
    unit: str
    units: tuple[int, ...]
    recipe: Recipe = field(default_factory=Recipe)
    thresholds: Thresholds = ADR_0303
    plan: FoldPlan = LEAVE_ONE_SOURCE_OUT
    encoders: frozenset[str] | None = None
    encoder_vocab_version: int = ENCODER_VOCAB_VERSION
    num_codecs: int = NUM_CODECS
    codec_block_version: int = CODEC_BLOCK_VERSION

    @property
    def folder(self) -> str:
        """The name of the folder that holds its results for a corpus.

        It names the contract: several are judged on one corpus. The ensemble's names the epochs.
        """
        if self.id == ENSEMBLE.id:
            return f"loso-{self.recipe.epochs}epochs-{self.recipe.digest}{self.variant}"
        return f"{self.id}-{self.recipe.digest}{self.variant}"

    @property
    def variant(self) -> str:
        """What its places are called besides: ``-21folds`` where that plan was asked for."""
        return "" if self.plan == self.agreed.plan else f"-{self.plan.n_folds}folds"

    @property
    def inputs_record(self) -> dict[str, Any]:
        """What a results file records of the inputs (contracts section 3)."""
        return {
            "num_codecs": self.num_codecs,
            "encoder_vocab_version": self.encoder_vocab_version,
        }

    @property
    def training_record(self) -> dict[str, Any]:
        """What a results file records of the recipe and the inputs, by name."""
        return asdict(self.recipe) | self.inputs_record

    def under(self, **recipe: Any) -> Contract:
        """The same with another recipe: ``ENSEMBLE.under(epochs=3)`` is a dry run."""
        return replace(self, recipe=replace(self.recipe, **recipe))

    def grouped(self, n_folds: int | None) -> Contract:
        """The variant with sources held out in so many groups; ``None`` for one at a time.

        A variant has results, verdict and candidate of its own, which no other is compared with.
        """
        return self if n_folds is None else replace(self, plan=FoldPlan(n_folds))

    @property
    def agreed(self) -> Contract:
        """The contract agreed on under this id."""
        return AGREED[self.id]

    @property
    def departures(self) -> tuple[str, ...]:
        """Where it differs from the contract agreed on, in words; such a run is a dry run."""
        others = {
            "thresholds": self.thresholds == self.agreed.thresholds,
            "folds": self._plan_allowed,
            "units": self.units == self.agreed.units,
            "encoders": self.encoders == self.agreed.encoders,
        }
        off = tuple(f"other {name} than agreed on" for name, same in others.items() if not same)
        return (*self.recipe.departures(self.agreed.recipe), *off)

    @property
    def _plan_allowed(self) -> bool:
        """Groups are a variant of leaving one out; whether of enough sources, asks the gate."""
        variant = type(self.plan) is FoldPlan and self.agreed.plan == LEAVE_ONE_SOURCE_OUT
        return variant or self.plan == self.agreed.plan

    def name_units(self, units: tuple[int, ...]) -> str:
        """``seed 3`` or ``seeds 0, 3``."""
        listed = ", ".join(str(unit) for unit in units)
        return f"{self.unit} {listed}" if len(units) == 1 else f"{self.unit}s {listed}"


#: The deep ensemble: a candidate has exactly these members (ADR-0303, ADR-0319).
ENSEMBLE = Contract(id="fr_regressor_v2_ensemble_v1", unit="seed", units=(0, 1, 2, 3, 4))
#: Seeds up to this one may be trained for studies of the spread; none of them is ever a member.
LAST_STUDY_SEED = 99


#: The units of a codec's predictor.
FOLD = "fold"


def codec_predictor(encoder: str) -> Contract:
    """The predictor of one codec: judged over five folds of whole sources (ADR-0303).

    Its fits are closed form or run to convergence, so that its recipe has no epochs.
    """
    return Contract(
        id=f"fr_predictor_{encoder}",
        unit=FOLD,
        units=(0, 1, 2, 3, 4),
        recipe=Recipe(epochs=0),
        plan=ShuffledDeal(),
        encoders=frozenset({encoder}),
    )


#: Encoders of which a predictor can be made; the slot ``unknown`` stands for several.
CODECS = tuple(name for name in ENCODER_VOCABULARY if name != UNKNOWN_ENCODER)
AGREED: Mapping[str, Contract] = {
    contract.id: contract for contract in (ENSEMBLE, *map(codec_predictor, CODECS))
}
