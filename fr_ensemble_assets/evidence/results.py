"""``loso_seed{N}.json``, read (contracts section 3).

Two kinds of people write the file: we, with more provenance, and the fork. So reading demands only
what the contract fixes and the gate needs.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from upath import UPath

from fr_ensemble_assets.contract.agreed import Contract
from fr_ensemble_assets.evidence.metrics import mean_or_none
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import sha256_of
from fr_ensemble_assets.foundation.wording import shown
from fr_ensemble_assets.training.streams import STREAMS_VERSION

if TYPE_CHECKING:
    from fr_ensemble_assets.evidence.schema import LosoDocument

#: Figures may be rounded by whoever wrote the file; a mean further than this from the mean of its
#: own folds is another number.
MEAN_TOLERANCE = 1e-6
#: Results of 100,000 folds have a fifth of this.
_RESULTS_BYTES_MAX = 64 << 20
_RESULTS_FILE = re.compile(r"^loso_seed(?P<seed>0|[1-9][0-9]*)\.json$")


def results_file(seed: int) -> str:
    """The name that the contract gives to one seed's results."""
    return f"loso_seed{seed}.json"


def is_results_file(name: str) -> bool:
    """Whether the contract would give this name, or one that is meant to be like it."""
    return fnmatchcase(name, "loso_seed*.json")


def predictions_file(seed: int) -> str:
    """The name of one seed's out-of-fold predictions."""
    return f"loso_seed{seed}_predictions.parquet"


@dataclass(frozen=True)
class FoldScore:
    """One fold as the results file tells it."""

    held_out: str
    plcc: float | None
    srocc: float | None
    rmse: float | None
    n_val: int | None = None


@dataclass(frozen=True)
class SeedScore:
    """One ``loso_seed{N}.json`` as the gate reads it.

    Attributes
    ----------
    mean_plcc
        As the file says; ``None`` where it or any fold is undefined.
    corpus_sha256, n_rows
        ``None`` in files of the fork, which doesn't record them.
    settings
        What the file records of the recipe and of the encoder vocabulary, by name.
    fold_plan
        Which sources were held out together, as a plan, a number and a digest; ``None`` in files
        that hold out one at a time and don't say so.
    predictions_sha256
        Digest of the predictions beside it; ``None`` in files of the fork.
    wall_time_s
        What the seed took, in seconds; 0 where the file doesn't say.
    sha256
        Digest of the file's own bytes.
    data
        These bytes, for whoever hands on what was judged.
    """

    seed: int
    folds: tuple[FoldScore, ...]
    mean_plcc: float | None
    corpus: str
    corpus_sha256: str | None
    n_rows: int | None
    settings: Mapping[str, Any]
    fold_plan: Mapping[str, Any] | None
    predictions_sha256: str | None
    wall_time_s: float
    sha256: str
    data: bytes = field(default=b"", repr=False, compare=False)

    @property
    def undefined_folds(self) -> tuple[str, ...]:
        """Held-out sources whose PLCC is undefined."""
        return tuple(fold.held_out for fold in self.folds if fold.plcc is None)

    @property
    def mean_of_folds(self) -> float | None:
        """The mean recomputed from the folds; undefined where any fold is."""
        return mean_or_none([fold.plcc for fold in self.folds])


def load_scores(folder: UPath) -> list[SeedScore]:
    """Every ``loso_seed{N}.json`` of ``folder``, by seed.

    Raises
    ------
    UnusableInput
        If the folder doesn't exist, holds no results, or holds one that can't be read.
    """
    if not store.is_folder(folder):
        raise UnusableInput(
            f"{folder}: expected a folder of {results_file(0)} and its like, "
            f"found {store.missing_at(folder, 'folder')}."
        )
    matched = map(_RESULTS_FILE.match, store.names(folder))
    found = sorted(int(match["seed"]) for match in matched if match)
    if not found:
        raise UnusableInput(
            f"{folder}: expected {results_file(0)} and its like, found none; "
            "point at the folder that holds the results themselves."
        )
    return [load_seed(folder / results_file(seed), seed) for seed in found]


def load_seed(path: UPath, seed: int) -> SeedScore:
    """Read one results file, ours or the fork's.

    Raises
    ------
    UnusableInput
        If it is missing, no regular file, larger than 64 MiB, not JSON, lacks ``seed``, ``folds``
        or ``mean_plcc``, or says that it belongs to another seed than its name.
    """
    data = store.read_regular(path, f"the results of seed {seed}", _RESULTS_BYTES_MAX, follow=True)
    return parse_seed(data, path, seed)


def parse_seed(data: bytes, path: UPath, seed: int) -> SeedScore:
    """The results in ``data``, which was read from ``path``; raises as :func:`load_seed`."""
    from fr_ensemble_assets.evidence.schema import LosoDocument
    from fr_ensemble_assets.foundation.documents import parse_document

    document = parse_document(LosoDocument, data, str(path))
    if document.seed != seed:
        raise UnusableInput(
            f"{path}: expected 'seed' to be {seed} as in its name, found {document.seed}; "
            "the file was renamed or mixed up."
        )
    return SeedScore(
        seed=seed,
        folds=_folds(path, document),
        mean_plcc=_defined(document.mean_plcc),
        corpus=document.corpus,
        corpus_sha256=document.corpus_sha256,
        n_rows=document.n_rows,
        settings=_settings(path, document),
        fold_plan=document.fold_plan,
        predictions_sha256=document.predictions.sha256 if document.predictions else None,
        wall_time_s=_defined(document.wall_time_s) or 0.0,
        sha256=sha256_of(data),
        data=data,
    )


def training_record(contract: Contract) -> dict[str, Any]:
    """What our files record of the way in which a seed was trained."""
    versions = {
        "codec_block_version": contract.codec_block_version,
        "streams_version": STREAMS_VERSION,
    }
    return asdict(contract.recipe) | versions


def recorded(score: SeedScore, contract: Contract) -> dict[str, Any]:
    """The same as a file tells it; ``None`` for what it leaves out."""
    return {name: score.settings.get(name) for name in training_record(contract)}


def _settings(path: UPath, document: LosoDocument) -> dict[str, Any]:
    """What the file says of its recipe: at its top, as the contract has it, and in ours."""
    told = document.settings
    for name, value in (document.recipe or {}).items():
        if told.setdefault(name, value) != value:
            raise UnusableInput(
                f"{path}: expected one value for '{name}', found {shown(told[name])} at the "
                f"top and {shown(value)} in 'recipe'; train the seed again with --force."
            )
    return told


def _folds(path: UPath, document: LosoDocument) -> tuple[FoldScore, ...]:
    folds = tuple(
        FoldScore(
            held_out=fold.held_out or f"folds[{number}]",
            plcc=_defined(fold.plcc),
            srocc=_defined(fold.srocc),
            rmse=_defined(fold.rmse),
            n_val=fold.n_val,
        )
        for number, fold in enumerate(document.folds)
    )
    if not folds or document.n_folds not in (None, len(folds)):
        raise UnusableInput(
            f"{path}: expected {document.n_folds or 'at least one'} fold in 'folds', found "
            f"{len(folds)}."
        )
    times = Counter(fold.held_out for fold in folds)
    twice = next((name for name, count in times.items() if count > 1), None)
    if twice is not None:
        raise UnusableInput(
            f"{path}: expected each source held out once, found '{shown(twice)}' more than once."
        )
    return folds


def _defined(figure: float | None) -> float | None:
    """A figure, or ``None`` for null and for the NaN that the fork's files may hold."""
    return figure if figure is not None and math.isfinite(figure) else None
