"""Does a published candidate still stand? Its corpus, its results and the gate may have moved."""

from __future__ import annotations

from dataclasses import dataclass

from upath import UPath

from fr_ensemble_assets.calibration.document import CALIBRATION_FILE
from fr_ensemble_assets.candidate.contents import (
    CANDIDATE_FILES,
    Contents,
    read_contents,
    read_file,
)
from fr_ensemble_assets.candidate.places import corpus_of
from fr_ensemble_assets.candidate.verify import Verification, verify_contents
from fr_ensemble_assets.contract.agreed import Contract
from fr_ensemble_assets.contract.places import Places
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.corpus.store import load_corpus
from fr_ensemble_assets.foundation.errors import GateRefusal, UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.gate.verdict import authorise, read_verdict
from fr_ensemble_assets.members.names import MANIFEST_FILE
from fr_ensemble_assets.members.sidecars import facts_of


@dataclass(frozen=True)
class Drift:
    """How far a candidate is from what it was made of.

    Attributes
    ----------
    altered
        What was changed beneath it: it should not be proposed.
    overtaken
        By which newer corpus; empty if it belongs to the current one.
    verification
        The candidate held against itself, for whoever asks that too.
    """

    altered: tuple[str, ...]
    overtaken: str
    verification: Verification

    @property
    def sentences(self) -> tuple[str, ...]:
        """All that doesn't stand as it was published."""
        return (*self.altered, *([self.overtaken] if self.overtaken else []))


def drift_of(home: Home, candidate_sha256: str, current_sha256: str, contract: Contract) -> Drift:
    """Hold the candidate of one corpus against the store, and against the current corpus.

    Raises
    ------
    UnusableInput
        If there is no such candidate.
    """
    places = Places(home, contract, candidate_sha256)
    folder = places.candidate
    contents = read_contents(folder)
    verification = verify_contents(contents)
    altered: list[str] = []
    try:
        used = load_corpus(home, candidate_sha256)
        authorise(places.results, used, contract)
        altered += _other_inputs(verification, used)
    except (UnusableInput, GateRefusal) as error:
        altered.append(str(error))
    if corpus_of(folder) != candidate_sha256:
        altered.append(f"{folder.name} holds no candidate of {candidate_sha256}")
    # The calibration beside the results knows no members yet; the one beside these does.
    altered += _differences(contents, places.results, but=(CALIBRATION_FILE,))
    altered += _differences(contents, places.members, but=(MANIFEST_FILE,))
    overtaken = _overtaken(home, candidate_sha256, current_sha256, contract)
    return Drift(tuple(altered), overtaken, verification)


def _differences(contents: Contents, stored: UPath, but: tuple[str, ...] = ()) -> list[str]:
    """Files of the candidate that the store has too, and that aren't the same any more.

    The manifest gains the root digest when it is published; all else is the same to the byte.
    """
    both = [name for name in CANDIDATE_FILES if name not in but and (stored / name).exists()]
    return [
        f"{name} is not the one in the store"
        for name in both
        if contents.files.get(name) != _bytes_of(stored / name)
    ]


def _bytes_of(path: UPath) -> bytes | None:
    try:
        return read_file(path)
    except UnusableInput:
        return None


def _other_inputs(verification: Verification, corpus: Corpus) -> list[str]:
    """Scaler, quality range and presets follow from the corpus, which no folder holds."""
    found = verification.evidence
    if found is None:
        return ["the candidate doesn't verify"]
    told, given = found.facts, facts_of(corpus)
    same = (
        told.scaler.to_json() == given.scaler.to_json()
        and told.codec.to_json() == given.codec.to_json()
        and told.sha256 == given.sha256
    )
    return [] if same else ["scaler, quality range or presets are not those of its corpus"]


def _overtaken(home: Home, candidate_sha256: str, current_sha256: str, contract: Contract) -> str:
    if candidate_sha256 == current_sha256:
        return ""
    try:
        document = read_verdict(Places(home, contract, current_sha256).results)
    except UnusableInput:
        document = None
    verdict = document.verdict if document is not None else "none yet"
    return f"the current corpus is {current_sha256}, verdict: {verdict}"
