"""The final fits: every seed once more, on the whole corpus, with the corpus-wide scaler."""

from __future__ import annotations

import copy
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from upath import UPath

from fr_ensemble_assets.contract.agreed import Contract
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.features.codec_block import fit_codec_block
from fr_ensemble_assets.features.scaler import fit_scaler
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.progress import StepReport, report_nothing
from fr_ensemble_assets.foundation.tables import read_parquet, write_parquet
from fr_ensemble_assets.training.model import FitInput, Parameters
from fr_ensemble_assets.training.streams import STREAMS_VERSION
from fr_ensemble_assets.training.trainer import Trainer


@lru_cache(maxsize=1)
def full_corpus_inputs(corpus: Corpus) -> npt.NDArray[np.float32]:
    """Standardised features, then the codec block, of every row; shape (n_rows, 20)."""
    scaler = fit_scaler(corpus.features)
    codec = fit_codec_block(corpus).encode(corpus)
    inputs = np.concatenate([scaler.standardise(corpus.features), codec], axis=1)
    inputs.flags.writeable = False
    return inputs


def fit_members(
    corpus: Corpus,
    contract: Contract,
    trainer: Trainer,
    report: StepReport = report_nothing,
) -> list[Parameters]:
    """Fit each of the contract's seeds on all rows; parameters in the order of the seeds.

    The same inputs give the same bits on the same machine. The fits stay in this process' memory
    for :func:`fits_of_this_process`.
    """
    inputs = full_corpus_inputs(corpus)
    target = corpus.target.astype(np.float32)
    fits = [FitInput(seed, inputs, target) for seed in contract.units]
    made = trainer.train(fits, contract.recipe, report)
    _last.clear()
    _last[_fits_key(corpus, contract, trainer)] = copy.deepcopy(made)
    return made


#: The fits that this process made last. Nothing that is stored anywhere can get in here.
_last: dict[tuple[str, ...], list[Parameters]] = {}


def fits_of_this_process(
    corpus: Corpus, contract: Contract, trainer: Trainer
) -> list[Parameters] | None:
    """What :func:`fit_members` gave here last, if it was asked for the very same; else ``None``.

    Spares whoever publishes in the run that fitted from fitting twice.
    """
    made = _last.get(_fits_key(corpus, contract, trainer))
    return copy.deepcopy(made)


def forget_fits() -> None:
    """As a new process would begin."""
    _last.clear()


def _fits_key(corpus: Corpus, contract: Contract, trainer: Trainer) -> tuple[str, ...]:
    fits = (fit_identity(corpus, contract, seed) for seed in contract.units)
    return (trainer.backend, *fits)


def fit_identity(corpus: Corpus, contract: Contract, seed: int) -> str:
    """What a final fit depends on; stored with it, so that it is never taken for another."""
    versions = f"codecs{contract.codec_block_version}/streams{STREAMS_VERSION}"
    return f"{corpus.sha256}/{contract.recipe.digest}/{versions}/seed{seed}"


def save_parameters(path: UPath, parameters: Parameters, identity: str) -> None:
    """One row a tensor: whose it is, name, shape, values.

    Parquet, because loading a pickle runs code.
    """
    tensors = [
        *((f"weight{n}", tensor) for n, tensor in enumerate(parameters.weights)),
        *((f"bias{n}", tensor) for n, tensor in enumerate(parameters.biases)),
    ]
    table = pa.table(
        {
            "fit": [identity] * len(tensors),
            "name": [name for name, _ in tensors],
            "shape": pa.array([list(t.shape) for _, t in tensors], pa.list_(pa.int32())),
            "values": pa.array([t.ravel() for _, t in tensors], pa.list_(pa.float32())),
        }
    )
    write_parquet(path, table)


def load_parameters(path: UPath, identity: str) -> Parameters:
    """Read what :func:`save_parameters` wrote for this very fit.

    Raises
    ------
    UnusableInput
        If the file is missing or holds something else.
    """
    rows = read_parquet(path, "a member's parameters").to_pylist()
    try:
        if {row["fit"] for row in rows} != {identity}:
            raise ValueError("the parameters of another fit")
        tensors = {
            row["name"]: np.array(row["values"], dtype=np.float32).reshape(row["shape"])
            for row in rows
        }
        layers = range(len(tensors) // 2)
        return Parameters(
            tuple(tensors[f"weight{n}"] for n in layers),
            tuple(tensors[f"bias{n}"] for n in layers),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UnusableInput(
            f"{path}: expected a member's parameters, found '{error}'; "
            "make them again with --force."
        ) from error
