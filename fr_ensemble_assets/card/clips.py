"""Where a corpus' sources come from: read from the notes that were made with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from upath import UPath

from fr_ensemble_assets.card.facts import ClipData
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS
from fr_ensemble_assets.foundation.files import parse_json, read_bytes

_TIMES = "\N{MULTIPLICATION SIGN}"
_ROW = re.compile(r"^\| `(?P<source>[^`]+)` \|(?P<cells>.*)\|$", re.MULTILINE)


def clips_of(corpus: Corpus, note: Mapping[str, Any] | None = None) -> tuple[ClipData, ...]:
    """Every source of ``corpus`` with what is known of it.

    Parameters
    ----------
    note
        What ``fr-ensemble generate`` wrote beside the corpus (``*.provenance.json``). The bundled
        corpus brings its own; it is known by its content, never by its sources' names.
    """
    told = _noted(note) if note is not None else {}
    about = read_bytes(BUNDLED_CORPUS.parent / "PROVENANCE.md", "a provenance").decode()
    if f"`{corpus.sha256}`" in about:
        told = _described(about, _noted(read_note(BUNDLED_CORPUS) or {}))
    nothing = ("", "", "", "", "")
    return tuple(ClipData(source, *told.get(source, nothing)) for source in corpus.sources)


def read_note(path: UPath) -> Mapping[str, Any] | None:
    """The note beside a corpus file, ``None`` if there is none."""
    beside = path.parent / f"{path.name}.provenance.json"
    if not beside.exists():
        return None
    document = parse_json(read_bytes(beside, "the provenance of a corpus"), str(beside))
    return document if isinstance(document, dict) else None


_Told = dict[str, tuple[str, str, str, str, str]]


def _noted(note: Mapping[str, Any]) -> _Told:
    """Size and digest of each clip; a note knows no origin and no licence."""
    clips = note.get("clips")
    told: _Told = {}
    for clip in clips if isinstance(clips, list) else []:
        if isinstance(clip, dict) and isinstance(clip.get("src"), str):
            size = f"{clip.get('width', '?')}{_TIMES}{clip.get('height', '?')}"
            told[clip["src"]] = ("", str(clip.get("file", "")), "", size, str(clip.get("sha256")))
    return told


def _described(about: str, noted: _Told) -> _Told:
    """The table of the bundled corpus: what is seen, origin, licence, first frame, size."""
    told: _Told = {}
    for row in _ROW.finditer(about):
        cells = [cell.strip() for cell in row["cells"].split(" | ")]
        if len(cells) == 5:
            seen, origin, licence, _, size = cells
            digest = noted.get(row["source"], ("",) * 5)[4]
            told[row["source"]] = (seen, origin, licence, size, digest)
    return told
