"""Scaler and codec block as they are kept for a corpus: written by their assets, read by training.

Whoever reads holds them against the corpus: they follow from it, and an altered file must not
change a model.
"""

from __future__ import annotations

from typing import Any

from upath import UPath

from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.features.codec_block import CodecBlock, fit_codec_block
from fr_ensemble_assets.features.scaler import Scaler, fit_scaler
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import parse_json

SCALER_FILE = "scaler.json"
CODEC_BLOCK_FILE = "codec_block.json"


def save_scaler(folder: UPath, corpus: Corpus, scaler: Scaler) -> UPath:
    """Keep the corpus-wide scaler in the corpus' ``folder``; returns where."""
    path = folder / SCALER_FILE
    store.put_json(path, scaler.to_json() | {"corpus_sha256": corpus.sha256})
    return path


def save_codec_block(folder: UPath, corpus: Corpus, block: CodecBlock) -> UPath:
    """Keep the codec block's ranges and presets; returns where."""
    path = folder / CODEC_BLOCK_FILE
    store.put_json(path, block.to_json() | {"corpus_sha256": corpus.sha256})
    return path


def load_scaler(folder: UPath, corpus: Corpus) -> Scaler:
    """The stored scaler of ``corpus``; fitted where its asset wasn't materialised yet.

    Raises
    ------
    UnusableInput
        If it isn't what the corpus gives.
    """
    scaler = fit_scaler(corpus.features)
    _require_same(folder / SCALER_FILE, scaler.to_json(), corpus, "fitted_scaler")
    return scaler


def load_codec_block(folder: UPath, corpus: Corpus) -> CodecBlock:
    """The stored codec block of ``corpus``; raises as :func:`load_scaler`."""
    block = fit_codec_block(corpus)
    _require_same(folder / CODEC_BLOCK_FILE, block.to_json(), corpus, "codec_block")
    return block


def _require_same(path: UPath, given: dict[str, Any], corpus: Corpus, asset: str) -> None:
    if not store.exists(path):
        return
    told = parse_json(store.read(path, f"what '{asset}' made"), str(path))
    if told != given | {"corpus_sha256": corpus.sha256}:
        raise UnusableInput(
            f"{path}: expected what the corpus {corpus.sha256} gives, found something else; "
            f"materialise '{asset}' again."
        )
