"""Finished parts of seeds in the making: kept, so that a run taken up again trains what is missing.

They lie beside the results, a folder a seed, and go once the seed's results are whole. A part is
believed as results are: only as the part of this corpus, this contract, this version of the streams
and these folds, and only whole. Whatever else lies there is trained again, and told.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from upath import UPath

from fr_ensemble_assets.contract.agreed import Contract
from fr_ensemble_assets.evidence.results import training_record
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.documents import read_object
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import json_bytes, sha256_of
from fr_ensemble_assets.foundation.wording import shown
from fr_ensemble_assets.loso.evaluation import HeldOut, Part
from fr_ensemble_assets.loso.prepared import PreparedCorpus
from fr_ensemble_assets.training.recentre import RECENTRE_VERSION, Correction

_SUFFIX = ".json"
#: A million held-out rows take a tenth of this.
_BYTES_MAX = 1 << 27


@dataclass(frozen=True)
class Found:
    """What was kept of earlier attempts.

    Attributes
    ----------
    parts
        Those that can be taken as they are.
    dropped
        Why others can't, a sentence each: they are trained again.
    """

    parts: Mapping[Part, HeldOut] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True)
class KeptParts:
    """The finished parts under one contract's results in ``folder``."""

    folder: UPath
    contract: Contract

    def load(self, seed: int, parts: Iterable[Part], data: PreparedCorpus) -> Found:
        """What is kept of these parts of a seed."""
        place = self._place(seed)
        there = set(store.names(place))
        if not there:
            return Found()
        found: dict[Part, HeldOut] = {}
        dropped = []
        for part in parts:
            name = self._name(part)
            if name not in there:
                continue
            try:
                found[part] = self._read(place / name, part, data)
            except UnusableInput as error:
                dropped.append(str(error))
        return Found(found, tuple(dropped))

    def keep(self, part: Part, held_out: HeldOut) -> None:
        """Write one part, whole or not at all."""
        told = {
            "schema_version": 1,
            "kind": "finished_part",
            "key": self._key(part),
            "held_out": [list(fold) for fold in part.folds],
            "prediction": _encoded(held_out.prediction),
            "corrections": [correction.to_json() for correction in held_out.corrections],
            "seconds": held_out.seconds,
            "machine": dict(held_out.machine),
        }
        digest = sha256_of(json_bytes(told))
        store.put_json(self._place(part.seed) / self._name(part), {**told, "sha256": digest})

    def sweep(self, seed: int) -> None:
        """Forget a seed's parts: its results are whole, or it is trained anew."""
        store.delete(self._place(seed))

    def _place(self, seed: int) -> UPath:
        return self.folder / f"parts_seed{seed}"

    def _name(self, part: Part) -> str:
        return f"{self._key(part)[:32]}{_SUFFIX}"

    def _key(self, part: Part) -> str:
        """By all that a part's bytes depend on, but for the machine, which it records."""
        about = {
            "corpus": part.data,
            "seed": part.seed,
            "folds": part.folds,
            "backend": part.trainer.backend,
            "corrections": RECENTRE_VERSION,
            **training_record(self.contract),
        }
        return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()

    def _read(self, path: UPath, part: Part, data: PreparedCorpus) -> HeldOut:
        told = read_object(store.read_regular(path, "a finished part", _BYTES_MAX), str(path))
        digest = told.pop("sha256", None)
        if digest != sha256_of(json_bytes(told)):
            raise UnusableInput(f"{path}: expected a part as it was written, found it altered.")
        if told.get("key") != self._key(part):
            raise UnusableInput(f"{path}: expected the part that its name says, found another.")
        rows = np.concatenate([data.rows_of(fold) for fold in part.folds])
        try:
            prediction = np.frombuffer(base64.b64decode(told["prediction"], validate=True), "<f8")
            corrections = tuple(map(Correction.from_json, told["corrections"]))
            machine, seconds = dict(told["machine"]), float(told["seconds"])
        except (KeyError, TypeError, ValueError) as error:
            raise UnusableInput(
                f"{path}: expected a finished part, found '{shown(error)}'."
            ) from error
        if len(prediction) != len(rows):
            raise UnusableInput(
                f"{path}: expected {len(rows)} predictions, found {len(prediction)}."
            )
        if len(corrections) != len(part.folds):
            raise UnusableInput(
                f"{path}: expected {len(part.folds)} corrections, found {len(corrections)}."
            )
        return HeldOut(rows, prediction.astype(np.float64), corrections, seconds, machine)


def _encoded(prediction: Any) -> str:
    """Float64 to the bit, and whatever it is: a model that diverged predicts no number."""
    return base64.b64encode(np.ascontiguousarray(prediction, "<f8").tobytes()).decode()
