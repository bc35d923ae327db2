"""Of which clips a corpus was made: the note that ``fr-ensemble generate`` writes beside it.

It travels with the corpus into the store, so that a model card can name clips and digests. Nothing
is judged by it: rows are what they are, whoever made them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from upath import UPath

from fr_ensemble_assets.corpus.reader import Reading
from fr_ensemble_assets.encodes.output import provenance_file
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.documents import read_object

PROVENANCE_FILE = "provenance.json"
CLIPS = "clips"
#: Some 700 bytes a clip, 2 KB an encode of the grid: far above any real note.
_BYTES_MAX = 1 << 24


def read_note(corpus: UPath) -> Mapping[str, Any] | None:
    """The note beside a corpus file, ``None`` if there is none.

    Raises
    ------
    UnusableInput
        If there is one that is no JSON object: a damaged note is no missing one.
    """
    return _read(provenance_file(corpus))


def note_of(path: UPath, reading: Reading) -> dict[str, Any] | None:
    """What the notes beside the files of a corpus tell, which was read from ``path``."""
    folder = path if path.is_dir() else path.parent
    notes = filter(None, (read_note(folder / name) for name in reading.files))
    clips = [clip for note in notes for clip in _listed(note.get(CLIPS))]
    return noted(clips, reading.corpus.sources)


def noted(clips: Iterable[Mapping[str, Any]], sources: Iterable[str]) -> dict[str, Any] | None:
    """A note that tells of these clips; ``None`` where none of them is a source's.

    Of a source of which two clips are told, neither is.
    """
    known = set(sources)
    told: dict[str, Mapping[str, Any]] = {}
    for clip in clips:
        source = clip.get("src")
        if source in known and told.setdefault(source, clip) != clip:
            known.discard(source)
    kept = [told[source] for source in sorted(told) if source in known]
    return {"schema_version": 1, CLIPS: kept} if kept else None


def keep_note(folder: UPath, note: Mapping[str, Any] | None) -> None:
    """Keep a note beside the stored corpus; an earlier one stays where there is none now."""
    if note is not None:
        store.put_json(folder / PROVENANCE_FILE, note)


def kept_note(folder: UPath) -> Mapping[str, Any] | None:
    """The note beside a stored corpus, ``None`` if there is none."""
    return _read(folder / PROVENANCE_FILE)


def _read(path: UPath) -> Mapping[str, Any] | None:
    if not store.exists(path):
        return None
    return read_object(
        store.read_regular(path, "the provenance of a corpus", _BYTES_MAX), str(path)
    )


def _listed(value: Any) -> list[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
