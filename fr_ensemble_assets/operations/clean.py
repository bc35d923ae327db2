"""Stores that no candidate needs: listed, and removed when told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from upath import UPath

from fr_ensemble_assets.candidate.places import variants_published
from fr_ensemble_assets.clips.inventory import inventory_file, load_inventory
from fr_ensemble_assets.corpus.in_use import CELLS, newest_corpus
from fr_ensemble_assets.foundation import objects, store, versions
from fr_ensemble_assets.foundation.digests import is_digest
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.gate.verdict import VERDICT_FILES
from fr_ensemble_assets.operations.instance import (
    close_dead_runs,
    open_instance,
    unfinished_backfills,
    unfinished_runs,
)
from fr_ensemble_assets.predictors.clip_cells import clip_cells_files
from fr_ensemble_assets.predictors.gate import MISSING_ROWS, PASS
from fr_ensemble_assets.predictors.names import REPORT_FILE
from fr_ensemble_assets.predictors.told import parse_report

if TYPE_CHECKING:
    from fr_ensemble_assets.predictors.schema import PredictorsDocument


@dataclass(frozen=True)
class Store:
    """What is kept for one corpus or for cells, or was published for it before.

    Attributes
    ----------
    kind
        What it is kept for, in a word or two.
    folder
        Where it lies.
    size_bytes
        Of all files in it.
    verdict
        PROMOTE, HOLD, or ``none`` under any recipe; ``replaced`` for a candidate's version that a
        later publication replaced, or that a killed publisher left; how many codecs' predictors
        pass on cells.
    kept_for
        Why it stays; empty if nothing needs it.
    files
        What of the folder is meant; empty for all.
    """

    kind: str
    folder: UPath
    size_bytes: int
    verdict: str
    kept_for: str
    files: tuple[UPath, ...] = ()


def list_stores(home: Home) -> list[Store]:
    """Every store, the needed ones first."""
    if not home.is_there():
        return []
    home.prepare()
    with open_instance(home) as instance:
        current = newest_corpus(instance)
        cells = newest_corpus(instance, kind=CELLS)
    stores = [
        Store(
            *("corpus", folder, store.size_of(folder), _verdict(folder)),
            _kept_for(home, folder.name, current),
        )
        for folder in store.folders(home.store)
    ]
    stores += _replaced(home) + _of_cells(home, cells) + _of_clips(home)
    return sorted(stores, key=lambda kept: (not kept.kept_for, kept.kind, kept.folder.name))


def _replaced(home: Home) -> list[Store]:
    """Versions of candidates that no reader takes any more; a home on a disk has none."""
    if store.is_local(home.root):
        return []
    return [
        Store("candidate", version, store.size_of(version), "replaced", "")
        for candidate in store.folders(home.candidates)
        for version in versions.unpointed(candidate)
        if objects.under(version)  # what is removed may be listed for a while
    ]


def _of_cells(home: Home, current: str | None) -> list[Store]:
    """Planning cells with their codecs' results and predictors."""
    in_candidates = _cells_of_candidates(home)
    found = []
    for folder in store.folders(home.planning):
        if folder == home.clip_cells:
            continue
        if not is_digest(folder.name):
            kept_for = "not being cells' store by its name"
        elif folder.name in in_candidates:
            kept_for = "its candidate"
        else:
            kept_for = "being the current cells" if folder.name == current else ""
        told = _report(folder)
        judged = [] if told is None else [c for c in told.codecs if c.status != MISSING_ROWS]
        passing = sum(codec.status == PASS for codec in judged)
        verdict = f"{passing} of {len(judged)} PASS" if judged else "none"
        found.append(Store("cells", folder, store.size_of(folder), verdict, kept_for))
    return found


def _cells_of_candidates(home: Home) -> set[str]:
    told = (_report(versions.standing(folder)) for folder in store.folders(home.candidates))
    return {report.corpus_sha256 for report in told if report is not None}


def _report(folder: UPath) -> PredictorsDocument | None:
    path = folder / REPORT_FILE
    try:
        return parse_report(store.read(path, "the codecs' verdicts"), str(path))
    except UnusableInput:
        return None


def _of_clips(home: Home) -> list[Store]:
    """Clips' own planning cells: those of clips that lie in the clips folder, and the others."""
    known = inventory_file(home)
    clips = load_inventory(known).clips if store.exists(known) else ()
    needed = {path for clip in clips for path in clip_cells_files(home.clip_cells, clip.src)}
    lying = [home.clip_cells / name for name in store.names(home.clip_cells)]
    groups = {
        "clips in the clips folder": tuple(path for path in lying if path in needed),
        "": tuple(path for path in lying if path not in needed),
    }
    return [
        Store("cells", home.clip_cells, sum(map(store.size_of, files)), "none", kept_for, files)
        for kept_for, files in groups.items()
        if files
    ]


def remove_stores(home: Home, stores: Sequence[Store]) -> int:
    """Remove these; returns the bytes that were freed.

    Raises
    ------
    UnusableInput
        If a run or a backfill is at work or waits: it may be about to need one of them.
    """
    with open_instance(home) as instance:
        close_dead_runs(instance)
        busy = len(unfinished_runs(instance)) + len(unfinished_backfills(instance))
    if busy:
        raise UnusableInput(
            f"{home.root}: expected no run or backfill at work, found {busy}; "
            "clean when they are done (`fr-ensemble status` shows them)."
        )
    for kept in stores:
        for path in kept.files or (kept.folder,):
            store.delete(path)
    return sum(kept.size_bytes for kept in stores)


def _kept_for(home: Home, sha256: str, current: str | None) -> str:
    if not is_digest(sha256):
        return "not being a corpus' store by its name"
    if variants_published(home, sha256):
        return "its candidate"
    return "being the current corpus" if sha256 == current else ""


def _verdict(folder: UPath) -> str:
    lying = {name for inside in store.folders(folder) for name in store.names(inside)}
    return next((verdict for verdict, name in VERDICT_FILES.items() if name in lying), "none")
