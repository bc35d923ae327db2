"""All seeds that were asked for: what is done already is taken as it is, the rest is trained."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from upath import UPath

from fr_ensemble_assets.contract.agreed import Contract
from fr_ensemble_assets.contract.folds import Assignment
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.evidence.audit import load_seed_result
from fr_ensemble_assets.evidence.measure import SeedResult, measure_folds, rows_by_source
from fr_ensemble_assets.evidence.results import (
    load_seed,
    recorded,
    results_file,
    training_record,
)
from fr_ensemble_assets.features.codec_block import CodecBlock
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.machine import ONE_KIND, machine_told
from fr_ensemble_assets.foundation.progress import Progress, Shares, StepReport
from fr_ensemble_assets.foundation.wording import listed
from fr_ensemble_assets.loso.evaluation import HeldOut, Part, parts_of
from fr_ensemble_assets.loso.parts import Found, KeptParts
from fr_ensemble_assets.loso.prepared import prepare
from fr_ensemble_assets.loso.recentred import load_corrections
from fr_ensemble_assets.loso.writing import save_seed
from fr_ensemble_assets.training.executors import Executor
from fr_ensemble_assets.training.recentre import Correction
from fr_ensemble_assets.training.trainer import Trainer


@dataclass(frozen=True)
class SeedOutcome:
    """One seed's result, and what of it was there already.

    Attributes
    ----------
    reused
        Whether all of it.
    parts_kept
        How many of its parts, trained before an interruption.
    dropped
        Why others that lay there were trained again, a sentence each.
    replaced
        Why the result that lay there was not taken; empty if there was none.
    """

    result: SeedResult
    reused: bool
    parts_kept: int = 0
    dropped: tuple[str, ...] = ()
    replaced: str = ""


def evaluate_seeds(
    folder: UPath,
    corpus: Corpus,
    seeds: Sequence[int],
    contract: Contract,
    trainer: Trainer,
    progress: Progress,
    force: bool = False,
    executor: Executor | None = None,
    block: CodecBlock | None = None,
    keep_parts: bool = False,
) -> Iterator[SeedOutcome]:
    """Hold out every source once under each of ``seeds``; yields outcomes as seeds are done.

    All folds of all seeds share one executor (threads of this process unless told). A seed's files
    are written as soon as its last fold is done, so that an interruption loses only the seeds in
    the making; what the caller does with an outcome, it does while the other seeds train. With
    ``keep_parts`` it loses only the parts in the making.

    Raises
    ------
    UnusableInput
        If parts come from machines that differ: their last bits are of two kinds.
    """
    assignment = contract.plan.assign(rows_by_source(corpus))
    replaced: dict[int, str] = {}
    for seed in seeds:
        if force:
            replaced[seed] = ""
            continue
        try:
            result = _standing(folder, corpus, contract, seed)
        except UnusableInput as reason:
            replaced[seed] = _why_again(folder, seed, str(reason))
        else:
            yield SeedOutcome(result, reused=True)
    if not replaced:
        return
    data, kept_parts = prepare(corpus, block), KeptParts(folder, contract)
    open_seeds = {}
    for seed in replaced:
        cut = parts_of(corpus.sha256, assignment, seed, contract.recipe, trainer)
        if force:
            kept_parts.sweep(seed)
        open_seeds[seed] = _OpenSeed(corpus, seed, cut, progress, kept_parts.load(seed, cut, data))
    parts = {part: r for one in open_seeds.values() for part, r in one.reports.items()}
    finished: Iterator[tuple[Part, HeldOut]] = (
        pair for one in open_seeds.values() for pair in one.found.parts.items()
    )
    missing = {part: parts[part] for part in parts if part not in open_seeds[part.seed].found.parts}
    if missing:
        trained = trainer.side_by_side(missing, {corpus.sha256: data}, executor)
        finished = chain(finished, trained)
    one_kind = _OneKind()
    for part, held_out in finished:
        open_seed = open_seeds[part.seed]
        one_kind.require(part, held_out)
        if keep_parts and part in missing:
            kept_parts.keep(part, held_out)
        open_seed.take(part, held_out)
        if not open_seed.pending:
            result = open_seed.result(assignment)
            corrections, machine = open_seed.corrections(assignment), held_out.machine
            how = trainer.backend, corrections, machine
            result = _saved(folder, corpus, contract, result, how, force)
            kept_parts.sweep(part.seed)
            found = open_seed.found
            kept = len(found.parts)
            yield SeedOutcome(result, False, kept, found.dropped, replaced[part.seed])


def _saved(
    folder: UPath,
    corpus: Corpus,
    contract: Contract,
    result: SeedResult,
    how: tuple[str, Sequence[Correction], Mapping[str, Any]],
    force: bool,
) -> SeedResult:
    """Write a seed's files; where another run over this home was faster, those that it wrote stand.

    A verdict may name them already, and two that are equal but for their seconds differ in digest.
    What lies there of another recipe, or damaged, gives way.
    """
    save = partial(save_seed, folder, corpus, contract, result, *how)
    if save(replace=force):
        return result
    faster = finished_seed(folder, corpus, contract, result.seed)
    if faster is None:
        save()
    return faster or result


class _OneKind:
    """Sees to it that all parts were made on machines that give the same last bits."""

    def __init__(self) -> None:
        self._machine: Mapping[str, Any] | None = None

    def require(self, part: Part, held_out: HeldOut) -> None:
        if self._machine is None:
            self._machine = held_out.machine
        if held_out.machine != self._machine:
            raise UnusableInput(
                f"seed {part.seed}: expected every part from machines of one kind, found one of "
                f"{machine_told(held_out.machine)} beside those of {machine_told(self._machine)}; "
                f"their last bits differ: {ONE_KIND}, or train anew with --force."
            )


class _OpenSeed:
    """A seed at work: its parts, its predictions so far, the time that they took."""

    def __init__(
        self, corpus: Corpus, seed: int, parts: Sequence[Part], progress: Progress, found: Found
    ) -> None:
        self.found = found
        self._corpus, self._seed = corpus, seed
        shares = Shares(len(parts), progress.report(f"seed {seed}"))
        self.reports: Mapping[Part, StepReport] = {
            part: shares.report(number) for number, part in enumerate(parts)
        }
        for part in found.parts:
            self.reports[part](1, 1)
        self.pending = set(parts)
        self._prediction = np.empty(corpus.n_rows)
        self._corrections: dict[tuple[str, ...], Correction] = {}
        self._seconds = 0.0

    def take(self, part: Part, held_out: HeldOut) -> None:
        self._prediction[held_out.rows] = held_out.prediction
        self._corrections |= zip(part.folds, held_out.corrections, strict=True)
        self._seconds += held_out.seconds
        self.pending.remove(part)

    def result(self, assignment: Assignment) -> SeedResult:
        folds = measure_folds(self._corpus, self._prediction, assignment)
        return SeedResult(self._seed, folds, self._prediction, self._seconds)

    def corrections(self, assignment: Assignment) -> tuple[Correction, ...]:
        return tuple(self._corrections[held_out] for held_out in assignment.folds)


def finished_seed(
    folder: UPath, corpus: Corpus, contract: Contract, seed: int
) -> SeedResult | None:
    """The result of a seed that is done for this corpus, contract and version of the streams.

    Without its folds' corrections a seed is not done: no interval can be calibrated on it.
    """
    try:
        return _standing(folder, corpus, contract, seed)
    except UnusableInput:
        return None


def _why_again(folder: UPath, seed: int, why: str) -> str:
    """Why what lies there of a seed is not taken; empty where nothing does."""
    name = results_file(seed)
    if store.exists(folder / name):
        return why
    same_length = re.compile(rf"{re.escape(folder.name.rpartition('-')[0])}-[0-9a-f]+")
    others = [other for other in store.folders(folder.parent) if same_length.fullmatch(other.name)]
    found = [other.name for other in others if store.exists(other / name)]
    return f"{listed(found)} is of another recipe or version of fr-ensemble" if found else ""


def _standing(folder: UPath, corpus: Corpus, contract: Contract, seed: int) -> SeedResult:
    """:func:`finished_seed`, or :class:`UnusableInput`, which says why what lies there is none."""
    score = load_seed(folder / results_file(seed), seed)
    result = load_seed_result(folder, corpus, contract, score)
    load_corrections(folder, corpus, contract, score)
    if recorded(score, contract) != training_record(contract):
        raise UnusableInput(
            "it was trained under another recipe, or by another version of fr-ensemble"
        )
    if score.corpus_sha256 != corpus.sha256:
        raise UnusableInput("it belongs to another corpus")
    return result
