"""Where everything is kept that belongs to one contract and one corpus: every path is made here."""

from __future__ import annotations

import re
from dataclasses import dataclass

from upath import UPath

from fr_ensemble_assets.contract.agreed import ENSEMBLE, FOLD, Contract
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.home import Home

_MEMBERS = "members"


def variants_kept(home: Home, agreed: Contract, corpus_sha256: str) -> list[Contract]:
    """The contract, and behind it its variants in groups that have a folder of results."""
    beginning = re.escape(agreed.folder)
    names = store.names(home.corpus_dir(corpus_sha256))
    told = (re.fullmatch(rf"{beginning}-([1-9][0-9]{{0,5}})folds", name) for name in names)
    return [agreed, *(agreed.grouped(n) for n in sorted(int(m[1]) for m in told if m))]


@dataclass(frozen=True)
class Places:
    """Paths under a home.

    Attributes
    ----------
    home, contract, corpus_sha256
        What the paths are made from.
    """

    home: Home
    contract: Contract
    corpus_sha256: str

    @property
    def corpus(self) -> UPath:
        """What belongs to the corpus, whatever is trained on it; a codec's are planning cells."""
        if self.contract.unit == FOLD:
            return self.home.cells_dir(self.corpus_sha256)
        return self.home.corpus_dir(self.corpus_sha256)

    @property
    def results(self) -> UPath:
        """Results, predictions, verdict and calibration."""
        return self.corpus / self.contract.folder

    @property
    def members(self) -> UPath:
        """The exported members, after PROMOTE."""
        return self.results / _MEMBERS

    @property
    def candidate(self) -> UPath:
        """Where the candidate is published; the ensemble's is named by corpus and variant alone."""
        folder = self.home.candidate_dir(self.corpus_sha256, self.contract.variant)
        if self.contract.id == ENSEMBLE.id:
            return folder
        return folder.with_name(f"{folder.name}-{self.contract.id}")

    @property
    def results_from_home(self) -> str:
        """Where the results are, from the home on, with slashes: as a verdict says it."""
        return f"{self.corpus.parent.name}/{self.corpus_sha256}/{self.contract.folder}"
