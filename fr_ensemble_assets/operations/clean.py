"""Stores that no candidate needs: listed, and removed when told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from upath import UPath

from fr_ensemble_assets.candidate.places import variants_published
from fr_ensemble_assets.corpus.in_use import newest_corpus
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


@dataclass(frozen=True)
class Store:
    """What is kept for one corpus, or was published for it before.

    Attributes
    ----------
    size_bytes
        Of all files in it.
    verdict
        PROMOTE, HOLD, or ``none`` under any recipe; ``replaced`` for a candidate's version that a
        later publication replaced, or that a killed publisher left.
    kept_for
        Why it stays; empty if nothing needs it.
    """

    folder: UPath
    size_bytes: int
    verdict: str
    kept_for: str


def list_stores(home: Home) -> list[Store]:
    """Every store, the needed ones first."""
    if not home.is_there():
        return []
    home.prepare()
    with open_instance(home) as instance:
        current = newest_corpus(instance)
    stores = [
        Store(
            folder, store.size_of(folder), _verdict(folder), _kept_for(home, folder.name, current)
        )
        for folder in store.folders(home.store)
    ]
    stores += _replaced(home)
    return sorted(stores, key=lambda kept: (not kept.kept_for, kept.folder.name))


def _replaced(home: Home) -> list[Store]:
    """Versions of candidates that no reader takes any more; a home on a disk has none."""
    if store.is_local(home.root):
        return []
    return [
        Store(version, store.size_of(version), "replaced", "")
        for candidate in store.folders(home.candidates)
        for version in versions.unpointed(candidate)
        if objects.under(version)  # what is removed may be listed for a while
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
        store.delete(kept.folder)
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
