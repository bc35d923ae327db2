"""``loso_seed{N}.json`` as a type (contracts section 3): what the contract fixes, then ours."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from fr_ensemble_assets.foundation.documents import Document

#: A correlation is computed in float64 and may leave -1..1 by its rounding.
_ROUNDING = 1e-9


def _in_range(value: float | None) -> float | None:
    if value is not None and abs(value) > 1 + _ROUNDING:  # which NaN is not
        raise ValueError("between -1 and 1")
    return value


Correlation = Annotated[float | None, AfterValidator(_in_range)]


class FoldDocument(Document):
    """One held-out source; ``null`` where a figure is undefined."""

    held_out: str | None = None
    n_train: int | None = None
    n_val: int | None = None
    plcc: Correlation
    srocc: Correlation = None
    rmse: float | None = None


class PredictionsDocument(Document):
    """The out-of-fold predictions beside the file."""

    file: str | None = None
    sha256: str | None = None


class LosoDocument(Document):
    """One seed's results."""

    seed: Annotated[int, Field(ge=0)]
    corpus: str = ""
    n_folds: int | None = None
    folds: tuple[FoldDocument, ...]
    mean_plcc: Correlation
    epochs: Any = None
    batch_size: Any = None
    lr: Any = None
    weight_decay: Any = None
    num_codecs: Any = None
    encoder_vocab_version: Any = None
    corpus_sha256: str | None = None
    n_rows: int | None = None
    recipe: dict[str, Any] | None = None
    codec_block_version: Any = None
    streams_version: Any = None
    fold_plan: dict[str, Any] | None = None
    predictions: PredictionsDocument | None = None
    wall_time_s: float | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """What the file records at its top of how the seed was trained, by name."""
        return {name: getattr(self, name) for name in _SETTINGS if name in self.model_fields_set}


_SETTINGS = (
    "epochs",
    "batch_size",
    "lr",
    "weight_decay",
    "num_codecs",
    "encoder_vocab_version",
    "codec_block_version",
    "streams_version",
)
