"""Does a published candidate still stand? Its corpus, its results and the gate may have moved."""

from __future__ import annotations

from dataclasses import dataclass

from upath import UPath

from fr_ensemble_assets.candidate.contents import CANDIDATE_FILES
from fr_ensemble_assets.candidate.places import corpus_of
from fr_ensemble_assets.corpus.store import load_corpus
from fr_ensemble_assets.foundation.errors import GateRefusal, UnusableInput
from fr_ensemble_assets.foundation.files import sha256_of_file
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.gate.verdict import authorise, read_verdict
from fr_ensemble_assets.loso.run import results_dir
from fr_ensemble_assets.training.recipe import Recipe


@dataclass(frozen=True)
class Drift:
    """How far a candidate is from what it was made of.

    Attributes
    ----------
    altered
        What was changed beneath it: it should not be proposed.
    overtaken
        By which newer corpus; empty if it belongs to the current one.
    """

    altered: tuple[str, ...]
    overtaken: str

    @property
    def found(self) -> tuple[str, ...]:
        return (*self.altered, *([self.overtaken] if self.overtaken else []))


def drift_of(home: Home, candidate_sha256: str, current_sha256: str, recipe: Recipe) -> Drift:
    """Hold the candidate of one corpus against the store, and against the current corpus."""
    results = results_dir(home, candidate_sha256, recipe)
    altered: list[str] = []
    try:
        authorise(results, load_corpus(home, candidate_sha256), recipe)
    except (UnusableInput, GateRefusal) as error:
        altered.append(str(error))
    folder = home.candidate_dir(candidate_sha256)
    if corpus_of(folder) != candidate_sha256:
        altered.append(f"{folder.name} holds no candidate of {candidate_sha256}")
    altered += _differences(folder, results)
    return Drift(tuple(altered), _overtaken(home, candidate_sha256, current_sha256, recipe))


def _differences(folder: UPath, results: UPath) -> list[str]:
    """Files of the candidate that were copied from the results, and aren't theirs any more."""
    copied = [folder / name for name in CANDIDATE_FILES if (results / name).exists()]
    return [
        f"{file.name} is not the one in the store"
        for file in copied
        if not file.exists() or sha256_of_file(file) != sha256_of_file(results / file.name)
    ]


def _overtaken(home: Home, candidate_sha256: str, current_sha256: str, recipe: Recipe) -> str:
    if candidate_sha256 == current_sha256:
        return ""
    try:
        document = read_verdict(results_dir(home, current_sha256, recipe)) or {}
    except UnusableInput:
        document = {}
    return f"the current corpus is {current_sha256}, verdict: {document.get('verdict', 'none yet')}"
