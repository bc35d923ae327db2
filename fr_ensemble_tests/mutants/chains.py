"""Homes in which the chain has run, made once by the code as it is: training takes too long."""

from __future__ import annotations

import hashlib
import pickle
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from upath import UPath


@dataclass(frozen=True)
class Homes:
    """Stands in for ``conftest.run_chain``.

    Attributes
    ----------
    kept
        The folder of homes.
    record
        Whether a home that isn't there is made and kept.
    """

    kept: Path
    record: bool

    def install(self) -> None:
        """Have the fixtures of this process take homes from here."""
        from fr_ensemble_tests import conftest

        genuine = conftest.run_chain

        def run_chain(home: Path, corpus: UPath, epochs: int = 200, force: bool = False) -> Any:
            key = hashlib.sha256(corpus.read_bytes() + f"{epochs}".encode()).hexdigest()[:16]
            place = self.kept / key
            if home.exists() or force:
                return genuine(home, corpus, epochs, force)
            if not place.exists() and self.record:
                outcome = genuine(home, corpus, epochs, force)
                shutil.copytree(home, place / "home")
                (place / "outcome").write_bytes(pickle.dumps(_moved(outcome, home, Path())))
            if not place.exists():
                return genuine(home, corpus, epochs, force)
            if not home.exists():
                shutil.copytree(place / "home", home)
            outcome = pickle.loads((place / "outcome").read_bytes())
            return _moved(outcome, Path(), home)

        conftest.run_chain = run_chain


def recording(kept: Path) -> Homes:
    """Make what is missing."""
    return Homes(kept, record=True)


def replaying(kept: Path) -> Homes:
    """Take what is there."""
    return Homes(kept, record=False)


def _moved(outcome: Any, before: Path, after: Path) -> Any:
    def move(path: UPath | None) -> UPath | None:
        return None if path is None else UPath(after / Path(str(path)).relative_to(before))

    return replace(
        outcome, results_dir=move(outcome.results_dir), candidate_dir=move(outcome.candidate_dir)
    )
