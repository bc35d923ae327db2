"""What lies in a candidate's folder, read once: what was verified is what is used.

Only regular files of bounded size are taken. A link could lead anywhere, a pipe never ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from upath import UPath

from fr_ensemble_assets.calibration.document import CALIBRATION_FILE
from fr_ensemble_assets.candidate.registry import REGISTRY_FILE, SCHEMA_FILE
from fr_ensemble_assets.candidate.signing import SIGNATURE_FILE
from fr_ensemble_assets.card.render import CARD_FILES
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.evidence.results import results_file
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.wording import NAMED, shown
from fr_ensemble_assets.gate.verdict import VERDICT_FILES
from fr_ensemble_assets.members.consumers import THRESHOLDS_FILE
from fr_ensemble_assets.members.names import MANIFEST_FILE, onnx_file, sidecar_file
from fr_ensemble_assets.members.onnx_check import MAX_MEMBER_BYTES
from fr_ensemble_assets.predictors.names import PREDICTOR_FILES

VERDICT_FILE = VERDICT_FILES["PROMOTE"]
#: The digest of every other file; the manifest names its own.
DIGESTS_FILE = "digests.json"
#: What every candidate holds.
CANDIDATE_FILES = tuple(
    sorted(
        [
            *(onnx_file(seed) for seed in ENSEMBLE.units),
            *(sidecar_file(seed) for seed in ENSEMBLE.units),
            *(results_file(seed) for seed in ENSEMBLE.units),
            MANIFEST_FILE,
            CALIBRATION_FILE,
            VERDICT_FILE,
            REGISTRY_FILE,
            SCHEMA_FILE,
            DIGESTS_FILE,
        ]
    )
)
#: What a candidate may hold beside them. Whoever writes one into the evidence's ``carried`` names
#: it here; its digest then hangs from the root as all others do.
OPTIONAL_FILES: frozenset[str] = frozenset({*CARD_FILES, THRESHOLDS_FILE, *PREDICTOR_FILES})

#: Far above any document that we write: 16 MiB.
MAX_FILE_BYTES = 1 << 24


@dataclass(frozen=True)
class Contents:
    """The files of a folder.

    Attributes
    ----------
    where
        What to call the folder in a message.
    files
        The bytes of each file that a candidate may hold, by name.
    problems
        Files that are missing, foreign, too large, or no regular files; one sentence each.
    """

    where: str
    files: Mapping[str, bytes]
    problems: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether every file that a candidate must hold was read."""
        return set(CANDIDATE_FILES) <= set(self.files)


def read_contents(folder: UPath) -> Contents:
    """Read a candidate's folder.

    Raises
    ------
    UnusableInput
        If there is no such folder, or it can't be listed.
    """
    names = _listed(folder)
    known = {*CANDIDATE_FILES, *OPTIONAL_FILES}
    # The signature is over these files, and none of them; whoever trusts it reads it there.
    names.discard(SIGNATURE_FILE)
    files: dict[str, bytes] = {}
    problems = [f"{name} is missing" for name in CANDIDATE_FILES if name not in names]
    for name in sorted(names & known):
        try:
            files[name] = read_file(folder / name)
        except UnusableInput as error:
            problems.append(str(error))
    foreign = sorted(names - known)
    problems += [f"{shown(name)} doesn't belong here" for name in foreign[:NAMED]]
    if len(foreign) > NAMED:
        problems.append(f"{len(foreign) - NAMED} more files don't belong here")
    return Contents(str(folder), files, tuple(problems))


def read_file(path: UPath) -> bytes:
    """A candidate's file: regular, no link, and no larger than one of its kind can be."""
    return store.read_regular(path, "a file of a candidate", _limit(path.name))


def _limit(name: str) -> int:
    return MAX_MEMBER_BYTES if name.endswith(".onnx") else MAX_FILE_BYTES


def _listed(folder: UPath) -> set[str]:
    found = store.found_at(folder, "folder")
    if found != "a folder":
        raise UnusableInput(f"{folder}: expected a candidate folder, found {found}.")
    try:
        return {entry.name for entry in folder.iterdir()}
    except OSError as error:
        raise UnusableInput(
            f"{folder}: expected a candidate folder, found it unreadable ({error.strerror})."
        ) from error
