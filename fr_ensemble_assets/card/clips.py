"""Where a corpus' sources come from: read from the notes that were made with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fr_ensemble_assets.card.facts import ClipData
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.corpus.provenance import CLIPS, read_note
from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS
from fr_ensemble_assets.foundation import store

_TIMES = "\N{MULTIPLICATION SIGN}"
_ROW = re.compile(r"^\| `(?P<source>[^`]+)` \|(?P<cells>.*)\|$", re.MULTILINE)


def clips_of(corpus: Corpus, note: Mapping[str, Any] | None = None) -> tuple[ClipData, ...]:
    """Every source of ``corpus`` with what is known of it.

    Parameters
    ----------
    note
        What was noted when the corpus was made (:mod:`fr_ensemble_assets.corpus.provenance`). The
        bundled corpus brings its own; it is known by its content, never by its sources' names.
    """
    told = _noted(note) if note is not None else {}
    about = store.read(BUNDLED_CORPUS.parent / "PROVENANCE.md", "a provenance").decode()
    if f"`{corpus.sha256}`" in about:
        told = _described(about, _noted(read_note(BUNDLED_CORPUS) or {}))
    nothing = ("", "", "", "", "")
    return tuple(ClipData(source, *told.get(source, nothing)) for source in corpus.sources)


_Told = dict[str, tuple[str, str, str, str, str]]


def _noted(note: Mapping[str, Any]) -> _Told:
    """Size and digest of each clip; a note knows no origin and no licence."""
    clips = note.get(CLIPS)
    told: _Told = {}
    for clip in clips if isinstance(clips, list) else []:
        if isinstance(clip, dict) and isinstance(clip.get("src"), str):
            size = f"{clip.get('width', '?')}{_TIMES}{clip.get('height', '?')}"
            told[clip["src"]] = (
                "",
                str(clip.get("file") or ""),
                "",
                size,
                str(clip.get("sha256") or ""),
            )
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
