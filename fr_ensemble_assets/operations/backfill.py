"""Seeds of one corpus as a true asset backfill: launched, followed, and judged from the data."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from upath import UPath

from fr_ensemble_assets.candidate.places import has_candidate
from fr_ensemble_assets.candidate.verify import verify_candidate
from fr_ensemble_assets.contract.agreed import ENSEMBLE, Contract
from fr_ensemble_assets.contract.places import Places
from fr_ensemble_assets.corpus.fitness import require_fit
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.corpus.in_use import CORPUS_TAG, newest_corpus
from fr_ensemble_assets.corpus.store import load_corpus
from fr_ensemble_assets.doors.glance import BACKFILL_ENDED
from fr_ensemble_assets.doors.naming import work_of
from fr_ensemble_assets.doors.progress import read_progress
from fr_ensemble_assets.foundation import seen, store
from fr_ensemble_assets.foundation.digests import is_digest
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.foundation.wording import listed
from fr_ensemble_assets.gate.verdict import Judgement, altered_since, judge, read_verdict
from fr_ensemble_assets.loso.run import finished_seed
from fr_ensemble_assets.operations.in_process import consecutive, execute
from fr_ensemble_assets.operations.instance import (
    OrchestrationFailure,
    daemon_silence_s,
)
from fr_ensemble_assets.operations.launching import JUDGING_ASSETS, request_backfill
from fr_ensemble_assets.operations.refusals import first_failure, raise_refusals

if TYPE_CHECKING:
    import dagster as dg

    from fr_ensemble_assets.foundation.progress import Progress, StepReport

#: The daemon says that it lives every 30 s; one that is silent for longer than this is gone.
DAEMON_SILENT_S = 75.0
#: Dagster's own, which no setting changes: a backfill takes up to three looks even where nothing is
#: left to train.
DAEMON_LOOKS_S = 30.0
#: So long a backfill waits for a daemon to come back before the command gives up on it.
_DAEMON_LOST_S = 600.0
_WAITING = frozenset({"QUEUED", "NOT_STARTED"})
_SECONDS_BETWEEN_LOOKS = 1.0


@dataclass(frozen=True)
class BackfillPlan:
    """What is to be trained.

    Attributes
    ----------
    seeds
        In ascending order; those beyond the ensemble's are for a study.
    judges
        Whether the ensemble is whole once they are done, so that the verdict and, on PROMOTE,
        members and candidate follow.
    groups
        In how many groups sources are held out; ``None`` for one at a time.
    """

    home: Home
    corpus_sha256: str
    seeds: tuple[int, ...]
    judges: bool
    groups: int | None = None

    @property
    def contract(self) -> Contract:
        return ENSEMBLE.grouped(self.groups)

    @property
    def places(self) -> Places:
        return Places(self.home, self.contract, self.corpus_sha256)

    @property
    def ensemble(self) -> tuple[int, ...]:
        return tuple(seed for seed in self.seeds if seed in ENSEMBLE.units)

    @property
    def studied(self) -> tuple[int, ...]:
        return tuple(seed for seed in self.seeds if seed not in ENSEMBLE.units)

    @property
    def results(self) -> UPath:
        return self.places.results


@dataclass(frozen=True)
class Ending:
    """What stands after a backfill.

    Attributes
    ----------
    judgement
        Of all results that the corpus has by now.
    judged
        Whether the verdict was asked for: not while seeds of the ensemble are missing.
    candidate_dir
        The published candidate, where there is one.
    """

    judgement: Judgement
    judged: bool
    candidate_dir: UPath | None


def corpus_asked_for(instance: dg.DagsterInstance, home: Home, corpus: str | None) -> Corpus:
    """The corpus that a backfill works on.

    Parameters
    ----------
    corpus
        A sha256 or its beginning; ``None`` for the corpus that was materialised last.

    Raises
    ------
    UnusableInput
        If there is no such corpus in the store, or more than one, or it is not fit.
    """
    sha256 = newest_corpus(instance) if corpus is None else _stored(home, corpus)
    if sha256 is None:
        raise UnusableInput(
            f"{home.root}: expected a corpus that was materialised, found none; "
            "put one into inbox/ while `fr-ensemble ui` runs, or type `fr-ensemble run`."
        )
    used = load_corpus(home, sha256)
    require_fit(used)
    return used


def plan_backfill(
    instance: dg.DagsterInstance, home: Home, seeds: Sequence[int], corpus: str | None
) -> BackfillPlan:
    """Settle what is trained on what; raises as :func:`corpus_asked_for`."""
    return plan_on(home, corpus_asked_for(instance, home, corpus), seeds)


def plan_on(
    home: Home, used: Corpus, seeds: Sequence[int], groups: int | None = None
) -> BackfillPlan:
    """Settle what is trained on ``used``, with its sources held out in ``groups`` or alone."""
    contract = ENSEMBLE.grouped(groups)
    folder = Places(home, contract, used.sha256).results
    missing = [seed for seed in ENSEMBLE.units if seed not in seeds]
    whole = all(finished_seed(folder, used, contract, seed) for seed in missing)
    return BackfillPlan(home, used.sha256, tuple(sorted(set(seeds))), whole, groups)


def _stored(home: Home, prefix: str) -> str:
    known = [f.name for f in store.folders(home.store) if is_digest(f.name)]
    found = [name for name in known if prefix and name.startswith(prefix.lower())]
    if len(found) != 1:
        stored = listed(name[:12] for name in known) or "none"
        told = f"{len(found)} that begin so" if found else "none that begins so"
        raise UnusableInput(
            f"--corpus '{prefix[:64]}': expected the sha256 of a corpus in the store, or its "
            f"beginning, found {told}; in the store: {stored}."
        )
    return found[0]


def already_done(plan: BackfillPlan, used: Corpus) -> Ending | None:
    """What stands, where everything that was asked for is done; ``None`` where something is left.

    The daemon would take more than a minute to find nothing to do.
    """
    contract, folder = plan.contract, plan.results
    if not all(finished_seed(folder, used, contract, seed) for seed in plan.seeds):
        return None
    judgement = judge(folder, used, contract)
    if not plan.judges:
        return Ending(judgement, False, None)
    promote = judgement.decision.promote
    if not _verdict_stands(folder, judgement) or (promote and not _candidate_stands(plan)):
        return None
    return Ending(judgement, True, plan.places.candidate if promote else None)


def _verdict_stands(folder: UPath, judgement: Judgement) -> bool:
    try:
        verdict = read_verdict(folder)
    except UnusableInput:
        return False
    if verdict is None or verdict.verdict != judgement.decision.verdict:
        return False
    return not altered_since(verdict, judgement.scores)


def _candidate_stands(plan: BackfillPlan) -> bool:
    try:
        return verify_candidate(plan.places.candidate).problems == ()
    except UnusableInput:
        return False


def daemon_lives(instance: dg.DagsterInstance) -> bool:
    """Whether a daemon takes up backfills over this home."""
    return daemon_silence_s(instance) < DAEMON_SILENT_S


def launch(instance: dg.DagsterInstance, plan: BackfillPlan, address: str) -> str:
    """Ask the web server at ``address`` for it, and so the daemon; returns the backfill's id.

    Raises
    ------
    UnusableInput, OrchestrationFailure
        If the server can't be asked, or refuses.
    """
    _register_studied(instance, plan)
    return request_backfill(plan, address)


def follow(
    instance: dg.DagsterInstance,
    plan: BackfillPlan,
    backfill_id: str,
    progress: Progress,
    say: Callable[[str], None],
    warn: Callable[[str], None],
) -> Ending:
    """Wait until the backfill has ended, and tell how it did.

    ``say`` is told, each time that it changes, what is waited for.

    Raises
    ------
    UnusableInput, GateRefusal
        As the runs said.
    OrchestrationFailure
        If it was canceled, if seeds are missing for no reason of ours, or if no daemon has been
        there for ten minutes; the backfill stands and goes on when one comes back.
    """
    relay = _Relay(instance, backfill_id, _bars(plan, progress))
    warned, before = False, ""
    while True:
        backfill = instance.get_backfill(backfill_id)
        relay.pass_on()
        if backfill is None or backfill.status.value in BACKFILL_ENDED:
            break
        if (awaited := _awaited(relay.runs())) != before:
            say(awaited)
        before = awaited
        silence = daemon_silence_s(instance)
        if silence > _DAEMON_LOST_S:
            raise OrchestrationFailure(
                f"no daemon for {silence:.0f} s; backfill {backfill_id} goes on when "
                "`fr-ensemble ui` runs again"
            )
        if silence > DAEMON_SILENT_S and not warned:
            warn(f"the daemon is silent for {silence:.0f} s; waiting for `fr-ensemble ui`")
        warned = silence > DAEMON_SILENT_S
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    if backfill is None or backfill.status.value == "CANCELED":
        raise OrchestrationFailure(f"backfill {backfill_id} was canceled")
    return conclude(plan, relay.events())


def _awaited(runs: Sequence[dg.DagsterRun]) -> str:
    """What a backfill with these runs waits for."""
    unfinished = [run for run in runs if not run.is_finished]
    at_work = [run for run in unfinished if run.status.value not in _WAITING]
    if at_work:
        return f"at work: {listed(map(work_of, at_work), 4)}"
    if unfinished:
        return "waiting in the queue: one run works at a time"
    return f"waiting for the daemon, which looks every {DAEMON_LOOKS_S:.0f} s for what is next"


def run_here(instance: dg.DagsterInstance, plan: BackfillPlan, progress: Progress) -> Ending:
    """The same without a daemon: in this process, one range of seeds after the other."""
    _register_studied(instance, plan)
    bars = _bars(plan, progress)
    onto = _OntoBars(bars, progress)
    events: list[dg.DagsterEvent] = []
    for job, asset, seeds in (
        ("train_seeds", "loso_results", plan.ensemble),
        ("train_study", "study_results", plan.studied),
    ):
        for part in consecutive(seeds):
            result = _execute(instance, plan, job, part, onto, [asset])
            events += result.all_events
    if plan.judges:
        last = [ENSEMBLE.units[-1]]
        result = _execute(instance, plan, "train_ensemble", last, onto, JUDGING_ASSETS)
        events += result.all_events
    for seed in plan.seeds:
        bars[f"seed {seed}"](1, 1)
    return conclude(plan, events)


def conclude(plan: BackfillPlan, events: Sequence[dg.DagsterEvent]) -> Ending:
    """Judge by what lies in the store; ``events`` only explain what is missing there.

    Raises
    ------
    UnusableInput, GateRefusal, KeyboardInterrupt, OrchestrationFailure
        If a seed, or after PROMOTE the candidate, isn't there.
    """
    seen.look_again()
    used = load_corpus(plan.home, plan.corpus_sha256)
    results, contract = plan.results, plan.contract
    missing = [seed for seed in plan.seeds if finished_seed(results, used, contract, seed) is None]
    if missing:
        raise_refusals(events)
        named = ", ".join(map(str, missing))
        told = first_failure(events) or "no step failed; look at the backfill's runs in the UI"
        raise OrchestrationFailure(f"seeds {named} are missing: {told}")
    judgement = judge(plan.results, used, plan.contract)
    candidate = plan.places.candidate
    there = has_candidate(plan.home, plan.corpus_sha256, plan.contract.variant)
    if plan.judges and judgement.decision.promote and not there:
        raise_refusals(events)
        told = first_failure(events) or "no step failed; look at the backfill's runs in the UI"
        raise OrchestrationFailure(f"the verdict is PROMOTE, and there is no candidate: {told}")
    published = judgement.decision.promote and there
    return Ending(judgement, plan.judges, candidate if published else None)


def _execute(
    instance: dg.DagsterInstance,
    plan: BackfillPlan,
    job: str,
    seeds: Sequence[int],
    progress: Progress,
    assets: Sequence[str],
) -> dg.ExecuteInProcessResult:
    tags = {CORPUS_TAG: plan.corpus_sha256}
    folds = plan.groups
    return execute(instance, plan.home, job, seeds, progress, assets=assets, tags=tags, folds=folds)


def _register_studied(instance: dg.DagsterInstance, plan: BackfillPlan) -> None:
    from fr_ensemble_assets.loso.assets import STUDY_PARTITIONS

    if plan.studied and STUDY_PARTITIONS.name is not None:
        instance.add_dynamic_partitions(STUDY_PARTITIONS.name, [str(s) for s in plan.studied])


def _bars(plan: BackfillPlan, progress: Progress) -> dict[str, StepReport]:
    return {name: progress.report(name) for name in (f"seed {seed}" for seed in plan.seeds)}


class _OntoBars:
    """Progress that goes on with the bars that are shown already."""

    def __init__(self, bars: dict[str, StepReport], progress: Progress) -> None:
        self._bars, self._progress = bars, progress

    def report(self, name: str) -> StepReport:
        return self._bars.get(name) or self._progress.report(name)


class _Relay:
    """Passes on what the backfill's runs tell, each event once."""

    def __init__(
        self, instance: dg.DagsterInstance, backfill_id: str, bars: dict[str, StepReport]
    ) -> None:
        self._instance, self._bars = instance, bars
        self._tags = {"dagster/backfill": backfill_id}
        self._cursors: dict[str, str] = {}
        self._seen: list[dg.DagsterEvent] = []

    def pass_on(self) -> None:
        for run_id in (run.run_id for run in self.runs()):
            found = self._instance.get_records_for_run(run_id, self._cursors.get(run_id))
            self._cursors[run_id] = found.cursor
            for record in found.records:
                entry = record.event_log_entry
                if entry.dagster_event is None:
                    self._tell(read_progress(entry.user_message))
                    continue
                self._seen.append(entry.dagster_event)
                if entry.dagster_event.event_type_value == "ASSET_MATERIALIZATION":
                    self._tell((f"seed {entry.dagster_event.partition}", 100))

    def events(self) -> list[dg.DagsterEvent]:
        return list(self._seen)

    def runs(self) -> Sequence[dg.DagsterRun]:
        import dagster as dg

        return self._instance.get_runs(dg.RunsFilter(tags=self._tags))

    def _tell(self, told: tuple[str, int] | None) -> None:
        if told is not None and told[0] in self._bars:
            self._bars[told[0]](told[1], 100)
