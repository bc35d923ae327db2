"""Where things stand: what the UI would show, for a terminal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from upath import UPath

from fr_ensemble_assets.candidate.places import variants_published
from fr_ensemble_assets.candidate.verify import verify_candidate
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.contract.places import Places, variants_kept
from fr_ensemble_assets.corpus.fitness import require_fit
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.corpus.store import load_corpus, read_origin
from fr_ensemble_assets.doors.glance import glance_at
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.gate.verdict import Judgement, judge
from fr_ensemble_assets.operations.codecs import Codecs, standing_codecs
from fr_ensemble_assets.operations.serving.lock import served_at


@dataclass(frozen=True)
class Candidate:
    """A published candidate, verified now.

    Attributes
    ----------
    problems
        What is wrong with it; empty if it can be proposed.
    current
        Whether it belongs to the current corpus.
    """

    folder: UPath
    problems: tuple[str, ...]
    current: bool


@dataclass(frozen=True)
class Work:
    """A run or a backfill that waits or is at work; ``state`` as Dagster calls it, or KILLED."""

    name: str
    state: str
    identity: str


@dataclass(frozen=True)
class Records:
    """What Dagster knows; the attributes are those of :class:`Status`, and the newest cells."""

    corpus_sha256: str | None
    skipped: int
    work: tuple[Work, ...]
    cells_sha256: str | None = None


@dataclass(frozen=True)
class Status:
    """Everything that ``fr-ensemble status`` prints.

    Attributes
    ----------
    corpus_sha256, read_from
        The corpus that was materialised last, and where it was read from.
    corpus
        The same, loaded; ``None`` where it can't be.
    judgement
        The gate over the results that it has, evaluated now.
    damage
        Why corpus or results can't be used; empty if they can.
    skipped
        How many reported materialisations of the corpus, newer than the current one, don't count.
    candidates
        All that are published, the current corpus' first.
    codecs
        What the gate says of the codecs' predictors.
    exists
        Whether there is a home at all.
    untold
        What can't be told of a home that can only be read; empty if all is.
    """

    home: UPath
    served_at: str | None
    corpus_sha256: str | None
    read_from: str
    corpus: Corpus | None
    judgement: Judgement | None
    damage: str
    skipped: int
    candidates: tuple[Candidate, ...]
    work: tuple[Work, ...]
    codecs: Codecs = field(default_factory=Codecs)
    exists: bool = True
    untold: str = ""

    def to_json(self) -> dict[str, Any]:
        decision = self.judgement.decision if self.judgement else None
        return {
            "home": str(self.home),
            "served_at": self.served_at,
            "corpus_sha256": self.corpus_sha256,
            "read_from": self.read_from if self.corpus_sha256 else None,
            "seeds": list(decision.seeds) if decision else [],
            "verdict": decision.verdict if decision and decision.seeds else None,
            "reasons": list(decision.reasons) if decision and decision.seeds else [],
            "damage": self.damage or None,
            "skipped_reports": self.skipped,
            "candidates": [
                {"folder": str(c.folder), "current": c.current, "problems": list(c.problems)}
                for c in self.candidates
            ],
            "predictors": self.codecs.to_json(),
            "untold": self.untold or None,
            "work": [{"name": w.name, "state": w.state, "id": w.identity} for w in self.work],
        }


def status_of(home: Home) -> Status:
    """Look. In a home that is there, folders that it lacks are made; no home is.

    A home that can only be read is looked at as far as that goes: Dagster itself opens none.

    Raises
    ------
    UnusableInput
        If the home can't be opened. What is damaged in it is part of the answer.
    """
    there = home.is_there()
    untold = ""
    if there and home.can_be_written():
        home.prepare()
        records = _records(home)
    elif there:
        home.require_no_links()
        records, untold = _records_as_read(home)
    else:
        records = Records(None, 0, ())
    sha256 = records.corpus_sha256
    corpus, judgement, damage = _judged(home, sha256) if sha256 else (None, None, "")
    return Status(
        home=home.root,
        served_at=served_at(home),
        corpus_sha256=sha256,
        read_from=_read_from(home, sha256) if sha256 else "",
        corpus=corpus,
        judgement=judgement,
        damage=damage,
        skipped=records.skipped,
        candidates=tuple(_candidates(home, sha256)),
        work=records.work,
        codecs=standing_codecs(home, records.cells_sha256),
        exists=there,
        untold=untold,
    )


def _judged(home: Home, sha256: str) -> tuple[Corpus | None, Judgement | None, str]:
    corpus = None
    try:
        corpus = load_corpus(home, sha256)
        require_fit(corpus)
        # A variant in groups is told of where the contract itself has no results.
        judged = (
            judge(Places(home, contract, sha256).results, corpus, contract)
            for contract in variants_kept(home, ENSEMBLE, sha256)
        )
        first = next(judged)
        told = first if first.scores else next((j for j in judged if j.scores), first)
        return corpus, told, ""
    except UnusableInput as error:
        return corpus, None, str(error)


def _records(home: Home) -> Records:
    """At a glance, where nothing is at work and nothing in doubt; else from Dagster, which takes a
    second more to import than all else here."""
    glance = glance_at(home)
    if glance is not None and not glance.at_work:
        return Records(glance.corpus_sha256, glance.skipped, (), glance.cells_sha256)
    from fr_ensemble_assets.operations.records import records_of

    return records_of(home)


def _records_as_read(home: Home) -> tuple[Records, str]:
    """The same of a home that can't be written, and what can't be told of it."""
    glance = glance_at(home)
    if glance is None:
        return Records(None, 0, ()), "which corpus is current, and what is at work"
    told = Records(glance.corpus_sha256, glance.skipped, (), glance.cells_sha256)
    return told, "what is at work, though something is" if glance.at_work else ""


def _read_from(home: Home, sha256: str) -> str:
    try:
        return read_origin(home, sha256).read_from
    except UnusableInput:
        return "unknown"


def _candidates(home: Home, sha256: str | None) -> list[Candidate]:
    variants = variants_published(home, sha256) if sha256 else []
    current = [home.candidate_dir(sha256, variant) for variant in variants if sha256]
    folders = (home.candidates / name for name in store.names(home.candidates))
    found = [Candidate(f, _problems(f), f in current) for f in folders]
    return sorted(found, key=lambda candidate: not candidate.current)


def _problems(folder: UPath) -> tuple[str, ...]:
    try:
        return verify_candidate(folder).problems
    except UnusableInput as error:
        return (str(error),)
