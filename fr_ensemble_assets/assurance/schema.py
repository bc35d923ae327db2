"""``controls.json`` as a type."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import ConfigDict

from fr_ensemble_assets.foundation.documents import Correlation, Count, Document, Sha256


class ControlsDocument(Document):
    """What one seed's network makes of less, and of nonsense; it decides nothing.

    Attributes
    ----------
    predictions_sha256
        Of the seed's own out-of-fold predictions, float64, little-endian.
    with_codec_block, without_codec_block
        Mean PLCC over the held-out sources; null where that of a fold is undefined.
    swapped_between_sources
        The same after training on scores swapped between whole sources.
    """

    model_config = ConfigDict(title="controls.json")
    advice: ClassVar[str] = "materialise verdict_controls again"

    schema_version: Literal[1]
    kind: Literal["trained_controls"]
    corpus_sha256: Sha256
    seed: Count
    predictions_sha256: Sha256
    with_codec_block: Correlation
    without_codec_block: Correlation
    swapped_between_sources: Correlation
