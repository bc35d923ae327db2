"""Where the candidate of a corpus is published, and whose candidate lies there.

A folder's name has twelve digits, which two corpora can share: a search of minutes finds such a
pair. Whose it is says its manifest, by the whole digest.
"""

from __future__ import annotations

import re

from upath import UPath

from fr_ensemble_assets.candidate.contents import (
    CANDIDATE_FILES,
    OPTIONAL_FILES,
    read_file,
)
from fr_ensemble_assets.candidate.signing import SIGNATURE_FILE
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import is_temporary
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.foundation.wording import shown
from fr_ensemble_assets.members.names import MANIFEST_FILE

#: What a folder's name may have behind its twelve digits (``Contract.variant``).
_VARIANT = re.compile(r"(-[0-9]{1,6}folds)?")


def corpus_of(folder: UPath) -> str | None:
    """The corpus that a candidate's manifest names; ``None`` where none can be read."""
    from fr_ensemble_assets.foundation.documents import parse_document
    from fr_ensemble_assets.members.schema import ManifestDocument

    path = folder / MANIFEST_FILE
    try:
        return parse_document(ManifestDocument, read_file(path), str(path)).eval.corpus_sha256
    except UnusableInput:
        return None


def has_candidate(home: Home, corpus_sha256: str, variant: str = "") -> bool:
    """Whether a candidate of this very corpus is published, perhaps a damaged one."""
    folder = home.candidate_dir(corpus_sha256, variant)
    return is_published(folder) and corpus_of(folder) in (corpus_sha256, None)


def variants_published(home: Home, corpus_sha256: str) -> list[str]:
    """The variants under which the corpus has candidates; the empty one is the contract itself."""
    short = home.candidate_dir(corpus_sha256).name
    found = [name.removeprefix(short) for name in store.names(home.candidates)]
    named = [variant for variant in found if _VARIANT.fullmatch(variant)]
    return [variant for variant in named if has_candidate(home, corpus_sha256, variant)]


def is_published(folder: UPath) -> bool:
    """Whether a publication was finished there; the manifest is put last."""
    return store.is_published(folder, MANIFEST_FILE)


def require_place(place: UPath, corpus_sha256: str) -> None:
    """Let nothing be replaced but an older candidate of the same corpus, or an unfinished one.

    Raises
    ------
    UnusableInput
        If a file, a link, a foreign folder or the candidate of another corpus lies there.
    """
    try:
        entries = store.entries(place)
    except NotADirectoryError as error:
        raise _taken(place, str(error)) from error
    except OSError as error:
        raise _taken(place, f"it unreadable ({error.strerror})") from error
    known = {*CANDIDATE_FILES, *OPTIONAL_FILES, SIGNATURE_FILE}
    ours = {name for name, is_file in entries.items() if is_file and name in known}
    named = corpus_of(place)
    if named is not None and named != corpus_sha256:
        raise _taken(place, f"the candidate of corpus {shown(named)}")
    # Without a manifest it is what a writer that was killed left.
    if entries and (not ours or (named is None and is_published(place))):
        raise _taken(place, "another folder")
    for name in sorted(entries.keys() - ours):
        if not is_temporary(name):
            raise _taken(place, f"'{shown(name)}' in it, which isn't ours")


def _taken(place: UPath, found: str) -> UnusableInput:
    return UnusableInput(
        f"{place}: expected nothing, or an earlier candidate of the same corpus, where the "
        f"candidate goes, found {found}; move it away and run again."
    )
