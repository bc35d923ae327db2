"""Which candidate a command works on: a folder, the beginning of a digest, or the current one."""

from __future__ import annotations

import re

from upath import UPath

from fr_ensemble_assets.candidate.places import corpus_of, is_published, variants_published
from fr_ensemble_assets.doors.glance import glance_at
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import parse_path
from fr_ensemble_assets.foundation.home import SETTINGS_FILE, Home
from fr_ensemble_assets.foundation.wording import listed, shown

#: Digits, and the variant that a grouped candidate's folder is named by besides.
_DIGITS = re.compile(r"[0-9a-fA-F]{1,64}(-[0-9]{1,6}folds)?")


def chosen_candidate(named: str | None, home: str | None) -> UPath:
    """The candidate folder that was named, else the current one in the home.

    A name that could be both is the folder, if there is one. Whoever uses the candidate verifies
    it: here nothing is opened but manifests.

    Raises
    ------
    UnusableInput
        If the beginning of a digest fits none or several candidates in the home, or none was named
        and the home has several, none of which is the current corpus'.
    """
    if named is None:
        return _current(Home.at(home))
    if not named:
        raise UnusableInput("--candidate: expected a path, found nothing; leave the option out.")
    path = parse_path(named)
    if _DIGITS.fullmatch(named) and not path.exists():
        return _beginning_so(Home.at(home), named.lower())
    return path


def has_any(home: str | None) -> bool:
    """Whether the home has a candidate; nothing is created, and Dagster isn't asked."""
    return bool(_published(Home.at(home)))


def _beginning_so(home: Home, digits: str) -> UPath:
    fitting = [folder for folder in _published(home) if _is_of(folder, digits)]
    if len(fitting) != 1:
        count = f"{len(fitting)} that begin so" if fitting else "none that begins so"
        raise UnusableInput(
            f"--candidate '{digits}': expected a candidate folder, or the beginning of a digest of "
            f"one in {home.candidates}, found {count}; there: {_names(_published(home))}."
        )
    return fitting[0]


def _is_of(folder: UPath, digits: str) -> bool:
    """Whether the corpus' digest begins so; of a folder's name it is only the first digits.

    A name without a variant is that of the contract itself, where both are there.
    """
    (short, _, variant), (asked, _, named) = folder.name.partition("-"), digits.partition("-")
    if variant != named:
        return False
    if len(asked) <= len(short):
        return short.startswith(asked)
    return asked.startswith(short) and (corpus_of(folder) or "").startswith(asked)


def _current(home: Home) -> UPath:
    folders = _published(home)
    if not folders:
        raise UnusableInput(
            f"{home.candidates}: expected one candidate, found none; name it with --candidate."
        )
    if len(folders) == 1:
        return folders[0]
    current = _current_corpus(home)
    variants = [] if current is None else variants_published(home, current)
    if current is None or not variants:
        raise UnusableInput(
            f"{home.candidates}: expected a candidate of the current corpus, found "
            f"{_names(folders)}, none of which is its; name one with --candidate."
        )
    return home.candidate_dir(current, variants[0])  # the contract itself before its variants


def _published(home: Home) -> list[UPath]:
    if not home.candidates.is_dir():
        return []
    folders = sorted(path for path in home.candidates.iterdir() if not path.name.startswith("."))
    # Where none is whole, the first that is used says what it lacks.
    return [folder for folder in folders if is_published(folder)] or folders


def _current_corpus(home: Home) -> str | None:
    """The corpus that was materialised last; ``None`` in a home that Dagster never opened."""
    if not (home.dagster / SETTINGS_FILE).exists():
        return None
    if (glance := glance_at(home)) is not None:
        return glance.corpus_sha256
    from fr_ensemble_assets.corpus.in_use import newest_corpus
    from fr_ensemble_assets.operations.instance import open_instance

    with open_instance(home) as instance:
        return newest_corpus(instance)


def _names(folders: list[UPath]) -> str:
    return listed(shown(folder.name) for folder in folders) or "none"
