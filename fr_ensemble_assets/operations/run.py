"""Materialise everything in this process, through Dagster, and tell how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from upath import UPath

from fr_ensemble_assets.contract.agreed import ENSEMBLE, Contract
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.gate.verdict import Judgement
from fr_ensemble_assets.operations.codecs import Codecs
from fr_ensemble_assets.operations.in_process import consecutive, execute, name_seeds
from fr_ensemble_assets.operations.instance import (
    OrchestrationFailure,
    close_dead_runs,
    open_instance,
)
from fr_ensemble_assets.operations.refusals import first_failure, raise_refusals
from fr_ensemble_assets.operations.train_codecs import train_codecs
from fr_ensemble_assets.training.executors import ExecutorChoice

if TYPE_CHECKING:
    from collections.abc import Sequence

    import dagster as dg

    from fr_ensemble_assets.foundation.progress import Progress


@dataclass(frozen=True)
class Plan:
    """What ``fr-ensemble run`` was asked for."""

    home: Home
    corpus: str
    seeds: tuple[int, ...]
    epochs: int
    force: bool
    evidence: bool = True
    groups: int | None = None
    executor: ExecutorChoice = field(default_factory=ExecutorChoice)
    controls: bool = False

    @property
    def job(self) -> str:
        return "train_with_controls" if self.controls else "train_ensemble"

    @property
    def contract(self) -> Contract:
        return ENSEMBLE.under(epochs=self.epochs).grouped(self.groups)


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes
    ----------
    judgement
        The gate's decision and the results behind it.
    corpus_sha256
        The corpus that was judged.
    results_dir
        Holds the ``loso_seed{N}.json`` and the verdict file.
    candidate_dir
        The published candidate; ``None`` on HOLD.
    codecs
        What the gate says of each codec's predictor.
    worth
        What the verdict is worth, in lines: none where that wasn't asked for.
    trained_again
        Why seeds whose results lay there were trained all the same, a sentence each.
    """

    judgement: Judgement
    corpus_sha256: str
    results_dir: UPath
    candidate_dir: UPath | None
    codecs: Codecs
    worth: tuple[str, ...] = ()
    trained_again: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        decision = self.judgement.decision
        gate = decision.gate_fields()
        return {
            "verdict": decision.verdict,
            "mean_plcc": gate["mean_plcc"],
            "plcc_spread": gate["plcc_spread"],
            "per_seed_plccs": gate["per_seed_plccs"],
            "corpus_sha256": self.corpus_sha256,
            "results_dir": str(self.results_dir),
            "candidate_dir": str(self.candidate_dir) if self.candidate_dir else None,
            "dry_run": decision.dry_run,
            "predictors": self.codecs.to_json(),
            "worth": list(self.worth),
        }


def run_ensemble(plan: Plan, progress: Progress) -> Outcome:
    """Run the chain from the corpus to the verdict and, on PROMOTE, to the candidate.

    Raises
    ------
    UnusableInput
        If the corpus or the home can't be used.
    GateRefusal
        If something that only a PROMOTE may build was refused after a PROMOTE was written.
    KeyboardInterrupt
        On Ctrl-C, after the step at work has stopped.
    OrchestrationFailure
        If anything else failed; Dagster's UI has the whole story.
    """
    plan.executor.reach()
    plan.home.require_room()
    plan.home.prepare()
    plan.home.sweep()
    with open_instance(plan.home) as instance:
        close_dead_runs(instance)
        # Before the candidate, which takes those that pass.
        codecs = Codecs()
        if _can_be_read(plan.corpus):
            codecs = train_codecs(instance, plan.home, plan.force, progress)
        *others, last = consecutive(plan.seeds)
        again: list[str] = []
        for seeds in others:
            result = _execute(instance, "train_seeds", plan, seeds, progress)
            raise_refusals(result.all_events)
            again += _trained_again(result)
        result = _execute(instance, plan.job, plan, last, progress)
        again += _trained_again(result)
        return replace(_outcome(plan, result, codecs), trained_again=tuple(again))


def _can_be_read(corpus: str) -> bool:
    """Whether a corpus that was named is one; else its own step says why, at once."""
    from fr_ensemble_assets.corpus.fitness import require_fit
    from fr_ensemble_assets.corpus.reader import read_corpus
    from fr_ensemble_assets.foundation.files import parse_path

    try:
        if corpus:
            require_fit(read_corpus(parse_path(corpus)).corpus)
    except UnusableInput:
        return False
    return True


def rows_to_read(home: Home, corpus: str) -> dict[str, int]:
    """How many rows each source has of what a run would read, as ``corpus`` reads it."""
    from fr_ensemble_assets.clips.inventory import inventory_file, load_inventory
    from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS, count_rows, shard_paths
    from fr_ensemble_assets.encodes.shards import shards_of
    from fr_ensemble_assets.foundation import store
    from fr_ensemble_assets.foundation.files import parse_path

    if corpus:
        return count_rows(shard_paths(parse_path(corpus))[0])
    known = inventory_file(home)
    inventory = load_inventory(known) if store.exists(known) else None
    if inventory is not None and inventory.clips:
        return count_rows(shards_of(home.shards, inventory))
    return count_rows([BUNDLED_CORPUS])


def _execute(
    instance: dg.DagsterInstance, job: str, plan: Plan, seeds: Sequence[int], progress: Progress
) -> dg.ExecuteInProcessResult:
    force = {"config": {"force": plan.force}}
    ops = {"corpus": {"config": {"path": plan.corpus}}, "loso_results": force}
    if job == plan.job:
        ops["ensemble_verdict"] = {"config": {"evidence": plan.evidence}}
    return execute(
        instance,
        plan.home,
        job,
        seeds,
        progress,
        ops=ops,
        epochs=plan.epochs,
        folds=plan.groups,
        executor=plan.executor,
    )


def _outcome(plan: Plan, result: dg.ExecuteInProcessResult, codecs: Codecs) -> Outcome:
    from fr_ensemble_assets.assurance.assess import worth_of
    from fr_ensemble_assets.assurance.trained import load_controls
    from fr_ensemble_assets.contract.places import Places
    from fr_ensemble_assets.corpus.store import load_corpus
    from fr_ensemble_assets.gate.verdict import judge

    raise_refusals(result.all_events)
    materialised = {event.asset_key.to_user_string() for event in _materialisations(result)}
    if "ensemble_verdict" not in materialised:
        raise OrchestrationFailure(_told(result))
    contract = plan.contract
    corpus = load_corpus(plan.home, _corpus_sha256(result))
    places = Places(plan.home, contract, corpus.sha256)
    judgement = judge(places.results, corpus, contract)
    if judgement.decision.promote and not result.success:
        raise OrchestrationFailure(_told(result))
    candidate = places.candidate if judgement.decision.promote else None
    worth = worth_of(corpus, judgement.results, contract.plan) if plan.evidence else ()
    if plan.controls:
        found = load_controls(places.results, corpus.sha256, judgement.results[0])
        worth += (found.codec_block, found.swap) if found is not None else ()
    return Outcome(judgement, corpus.sha256, places.results, candidate, codecs, worth)


def _materialisations(result: dg.ExecuteInProcessResult) -> list[dg.AssetMaterialization]:
    return [
        event.step_materialization_data.materialization
        for event in result.all_events
        if event.event_type_value == "ASSET_MATERIALIZATION"
    ]


def _trained_again(result: dg.ExecuteInProcessResult) -> list[str]:
    from fr_ensemble_assets.loso.assets import TRAINED_AGAIN

    told: dict[str, list[int]] = {}
    for made in _materialisations(result):
        if TRAINED_AGAIN in made.metadata:
            why = str(made.metadata[TRAINED_AGAIN].value)
            told.setdefault(why, []).append(int(made.partition or 0))
    return [f"seeds {name_seeds(seeds)} were trained again: {why}" for why, seeds in told.items()]


def _corpus_sha256(result: dg.ExecuteInProcessResult) -> str:
    (event,) = (e for e in _materialisations(result) if e.asset_key.path == ["corpus"])
    return (event.tags or {})["dagster/data_version"]


def _told(result: dg.ExecuteInProcessResult) -> str:
    return first_failure(result.all_events) or "the run ended without a verdict"
