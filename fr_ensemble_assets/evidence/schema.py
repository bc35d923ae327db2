"""``loso_seed{N}.json`` as a type (contracts section 3): what the contract fixes, then ours."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict

from fr_ensemble_assets.foundation.documents import Correlation, Count, Document


class FoldDocument(Document):
    """One held-out source; ``null`` where a figure is undefined.

    Attributes
    ----------
    held_out
        Name of the source.
    n_train, n_val
        Rows that the fold's model was trained on, and rows of the source.
    plcc, srocc
        Pearson's and Spearman's correlation over the source's rows.
    rmse
        In VMAF.
    """

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
    """What one seed reached on sources that its models didn't see (contracts section 3).

    Written by ``loso_results``, and by the fork, which knows the keys up to
    ``encoder_vocab_version`` and ``wall_time_s`` alone.

    Attributes
    ----------
    seed
        As in the file's name.
    corpus
        Where the corpus lay.
    folds
        A source each, in sorted order.
    mean_plcc
        Mean of the folds' PLCC; ``null`` where that of any is undefined.
    corpus_sha256, n_rows
        The corpus, by the sha256 of its content, and its size.
    recipe
        Every hyperparameter, the four above included.
    fold_plan
        Which sources were held out together: plan, number of folds, digest of the assignment.
    machine
        Processor and BLAS, on which the last bits of a figure depend.
    wall_time_s
        Seconds spent on the folds, added up.
    """

    model_config = ConfigDict(title="loso_seed{N}.json")

    seed: Count
    corpus: str = ""
    n_folds: int | None = None
    folds: tuple[FoldDocument, ...]
    mean_plcc: Correlation
    std_plcc: float | None = None
    min_plcc: float | None = None
    max_plcc: float | None = None
    mean_srocc: float | None = None
    mean_rmse: float | None = None
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
    written_by: str | None = None
    backend: str | None = None
    machine: dict[str, Any] | None = None
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
