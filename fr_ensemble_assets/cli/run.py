"""Materialise everything in this process, through Dagster, and tell how it ended."""

from __future__ import annotations

import contextlib
import importlib
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from upath import UPath

from fr_ensemble_assets.foundation.errors import GateRefusal, UnusableInput
from fr_ensemble_assets.foundation.files import is_alive
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.gate.verdict import Judgement

if TYPE_CHECKING:
    import dagster as dg

    from fr_ensemble_assets.foundation.progress import Progress, StepReport

#: By this tag a run of the command line names its process, so that a dead one can be told.
_PROCESS_TAG = "fr_ensemble/process"
#: As which Dagster reports a Ctrl-C that came during a step.
_INTERRUPTS = frozenset({"DagsterExecutionInterruptedError", "KeyboardInterrupt"})


class OrchestrationFailure(Exception):
    """Dagster, or code of ours, failed in a way that says nothing about the input."""


@dataclass(frozen=True)
class Plan:
    """What ``fr-ensemble run`` was asked for."""

    home: Home
    corpus: str
    seeds: tuple[int, ...]
    epochs: int
    force: bool


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
    """

    judgement: Judgement
    corpus_sha256: str
    results_dir: UPath
    candidate_dir: UPath | None

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
    plan.home.prepare()
    plan.home.sweep()
    with open_instance(plan.home) as instance:
        _close_runs_of_dead_processes(instance)
        *others, last = _consecutive(plan.seeds)
        for seeds in others:
            _raise_refusals(_execute(instance, "train_seeds", plan, seeds, progress))
        result = _execute(instance, "train_ensemble", plan, last, progress)
        return _outcome(plan, result)


def open_instance(home: Home) -> dg.DagsterInstance:
    """Dagster's instance under ``home``, its storage initialised.

    Several processes that initialise one fresh SQLite home at once break it for good; whoever
    starts several calls this first.
    """
    import dagster as dg

    instance = dg.DagsterInstance.from_config(str(home.dagster))
    instance.get_runs(limit=1)
    instance.all_asset_keys()
    instance.all_instigator_state()
    return instance


def _execute(
    instance: dg.DagsterInstance,
    job: str,
    plan: Plan,
    seeds: Sequence[int],
    progress: Progress,
) -> dg.ExecuteInProcessResult:
    from fr_ensemble_assets.definitions import build_definitions
    from fr_ensemble_assets.doors.home import HomeResource
    from fr_ensemble_assets.training.resources import RecipeResource

    definitions = build_definitions(
        home=HomeResource(path=str(plan.home.root)),
        recipe=RecipeResource(epochs=plan.epochs),
        watch=lambda _log: _ImportingAhead(progress),
    )
    force = {"config": {"force": plan.force}}
    ops = {"corpus": {"config": {"path": plan.corpus}}, "loso_results": force}
    if job == "train_ensemble":
        ops["ensemble_members"] = force
    return definitions.resolve_job_def(job).execute_in_process(
        instance=instance,
        run_config={"ops": ops, "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        tags={
            "dagster/asset_partition_range_start": str(seeds[0]),
            "dagster/asset_partition_range_end": str(seeds[-1]),
            _PROCESS_TAG: str(os.getpid()),
            # The daemon must not take up a killed run: its command is simply typed again.
            "dagster/max_retries": "0",
        },
        raise_on_error=False,
    )


class _ImportingAhead:
    """Progress that uses the time: imports what is slow to import and needed after training.

    Only once the first model is under way: then the kernel runs, and leaves Python's lock alone.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._idle = threading.Semaphore()  # taken once, by the first to report

    def report(self, name: str) -> StepReport:
        told = self._progress.report(name)

        def tell(done: int, total: int) -> None:
            if self._idle.acquire(blocking=False):
                threading.Thread(target=_import_ahead, daemon=True).start()
            told(done, total)

        return tell


def _import_ahead() -> None:
    for module in ("matplotlib.backends.backend_agg", "torch", "onnxruntime", "onnx"):
        with contextlib.suppress(ImportError):
            importlib.import_module(module)


def _outcome(plan: Plan, result: dg.ExecuteInProcessResult) -> Outcome:
    from fr_ensemble_assets.corpus.store import load_corpus
    from fr_ensemble_assets.gate.verdict import judge
    from fr_ensemble_assets.loso.run import results_dir
    from fr_ensemble_assets.training.recipe import Recipe

    _raise_refusals(result)
    materialised = {event.asset_key.to_user_string() for event in _materialisations(result)}
    if "ensemble_verdict" not in materialised:
        raise OrchestrationFailure(_first_failure(result))
    recipe = Recipe(epochs=plan.epochs)
    corpus = load_corpus(plan.home, _corpus_sha256(result))
    folder = results_dir(plan.home, corpus.sha256, recipe)
    judgement = judge(folder, corpus, recipe)
    if judgement.decision.promote and not result.success:
        raise OrchestrationFailure(_first_failure(result))
    candidate = plan.home.candidate_dir(corpus.sha256) if judgement.decision.promote else None
    return Outcome(judgement, corpus.sha256, folder, candidate)


def _materialisations(result: dg.ExecuteInProcessResult) -> list[dg.AssetMaterialization]:
    return [
        event.step_materialization_data.materialization
        for event in result.all_events
        if event.event_type_value == "ASSET_MATERIALIZATION"
    ]


def _corpus_sha256(result: dg.ExecuteInProcessResult) -> str:
    (event,) = (e for e in _materialisations(result) if e.asset_key.path == ["corpus"])
    return (event.tags or {})["dagster/data_version"]


def _raise_refusals(result: dg.ExecuteInProcessResult) -> None:
    """Raise interrupts, what our code refused, and blocking checks on the corpus as our errors."""
    from fr_ensemble_assets.doors.refusals import REFUSAL, UNUSABLE_INPUT

    for failure in _step_failures(result):
        if failure.error is not None and failure.error.cls_name in _INTERRUPTS:
            raise KeyboardInterrupt
        told = failure.user_failure_data
        if told is not None and REFUSAL in told.metadata:
            unusable = told.metadata[REFUSAL].value == UNUSABLE_INPUT
            raise (UnusableInput if unusable else GateRefusal)(told.description)
    for check in result.get_asset_check_evaluations():
        if check.asset_key.path == ["corpus"] and check.blocking and not check.passed:
            next_step = check.metadata["next_step"].value
            raise UnusableInput(
                f"corpus check '{check.check_name}': {check.description}; {next_step}."
            )


def _step_failures(result: dg.ExecuteInProcessResult) -> list[Any]:
    return [
        event.step_failure_data
        for event in result.all_events
        if event.event_type_value == "STEP_FAILURE"
    ]


def _first_failure(result: dg.ExecuteInProcessResult) -> str:
    told = [str(f.error.to_string()).strip() for f in _step_failures(result) if f.error]
    return told[0] if told else "the run ended without a verdict"


def _consecutive(seeds: Sequence[int]) -> list[list[int]]:
    """Cut sorted seeds into ranges, as Dagster's partition ranges want them."""
    ranges: list[list[int]] = []
    for seed in sorted(set(seeds)):
        if ranges and ranges[-1][-1] == seed - 1:
            ranges[-1].append(seed)
        else:
            ranges.append([seed])
    return ranges


def _close_runs_of_dead_processes(instance: dg.DagsterInstance) -> None:
    """Mark runs whose process was killed as failed; Dagster would show them running for ever."""
    import dagster as dg

    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        process = run.tags.get(_PROCESS_TAG)
        if process is not None and not is_alive(int(process)):
            instance.report_run_failed(run, "The process of this run was killed.")
