"""Where the candidate of a corpus is published, and whose candidate lies there.

A folder's name has twelve digits, which two corpora can share: a search of minutes finds such a
pair. Whose it is says its manifest, by the whole digest.
"""

from __future__ import annotations

import os
import stat

from upath import UPath

from fr_ensemble_assets.candidate.contents import (
    CANDIDATE_FILES,
    OPTIONAL_FILES,
    read_regular,
)
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import parse_json
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.members.names import MANIFEST_FILE


def corpus_of(folder: UPath) -> str | None:
    """The corpus that a candidate's manifest names; ``None`` where none can be read."""
    path = folder / MANIFEST_FILE
    try:
        named = parse_json(read_regular(path), str(path))["eval"]["corpus_sha256"]
    except (UnusableInput, KeyError, TypeError):
        return None
    return named if isinstance(named, str) else None


def has_candidate(home: Home, corpus_sha256: str) -> bool:
    """Whether a candidate of this very corpus is published, perhaps a damaged one."""
    folder = home.candidate_dir(corpus_sha256)
    return folder.is_dir() and corpus_of(folder) in (corpus_sha256, None)


def require_place(place: UPath, corpus_sha256: str) -> None:
    """Let nothing be replaced but an older candidate of the same corpus.

    Raises
    ------
    UnusableInput
        If a file, a link, a foreign folder or the candidate of another corpus lies there.
    """
    try:
        mode = os.lstat(str(place)).st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise _taken(place, f"it unreadable ({error.strerror})") from error
    if not stat.S_ISDIR(mode):
        raise _taken(place, "a link" if stat.S_ISLNK(mode) else "a file")
    named = corpus_of(place)
    if named != corpus_sha256:
        raise _taken(place, f"the candidate of corpus {named}" if named else "another folder")
    known = {*CANDIDATE_FILES, *OPTIONAL_FILES}
    for entry in sorted(os.scandir(str(place)), key=lambda entry: entry.name):
        if entry.name not in known or not entry.is_file(follow_symlinks=False):
            raise _taken(place, f"'{entry.name}' in it, which isn't ours")


def _taken(place: UPath, found: str) -> UnusableInput:
    return UnusableInput(
        f"{place}: expected nothing, or an earlier candidate of the same corpus, where the "
        f"candidate goes, found {found}; move it away and run again."
    )
