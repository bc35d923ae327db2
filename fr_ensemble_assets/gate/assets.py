"""Door: ``ensemble_verdict``."""

from typing import Any

import dagster as dg
from upath import UPath

from fr_ensemble_assets.assurance.assess import Assurance, NothingToAssess, assess, two_lines
from fr_ensemble_assets.assurance.assets import verdict_controls
from fr_ensemble_assets.assurance.plots import assurance_figure
from fr_ensemble_assets.assurance.tables import assurance_tables
from fr_ensemble_assets.assurance.trained import load_controls
from fr_ensemble_assets.contract.agreed import Contract
from fr_ensemble_assets.contract.places import Places
from fr_ensemble_assets.corpus.assets import corpus
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.corpus.in_use import corpus_in_use
from fr_ensemble_assets.corpus.store import corpus_name
from fr_ensemble_assets.doors.groups import VERDICT_GROUP
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.doors.metadata import (
    OWNERS,
    Cell,
    fitting,
    folded,
    four_digits,
    lines,
    plot,
    table,
)
from fr_ensemble_assets.doors.refusals import refusals_as_failures
from fr_ensemble_assets.evidence.results import FoldScore, SeedScore
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import SHORT_SHA_LENGTH
from fr_ensemble_assets.foundation.wording import shown
from fr_ensemble_assets.gate.advice import next_step
from fr_ensemble_assets.gate.plots import verdict_figure
from fr_ensemble_assets.gate.previous import Previous, previous_verdict
from fr_ensemble_assets.gate.rule import Decision
from fr_ensemble_assets.gate.verdict import (
    Judgement,
    judge,
    verdict_document,
    write_verdict,
)
from fr_ensemble_assets.loso.assets import loso_results, study_results
from fr_ensemble_assets.training.resources import RecipeResource

_WORST_FOLDS = 8
_NAME_LIMIT = 20
#: What follows from simpler models that do better; which ones, the line on skill says.
_NO_NEED = "This corpus doesn't need a network."


class EvidenceConfig(dg.Config):
    """``evidence``: show what the verdict is worth beside it; it decides nothing."""

    evidence: bool = True


@dg.asset(
    group_name=VERDICT_GROUP,
    owners=OWNERS,
    kinds={"json"},
    tags={"domain": "video-quality"},
    code_version="1",
    deps=[
        corpus,
        dg.AssetDep(loso_results, partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep(study_results, partition_mapping=dg.AllPartitionMapping()),
        verdict_controls,
    ],
)
def ensemble_verdict(
    context: dg.AssetExecutionContext,
    config: EvidenceConfig,
    home: HomeResource,
    recipe: RecipeResource,
) -> dg.MaterializeResult[None]:
    """PROMOTE or HOLD: the seeds' leave-one-source-out results against ADR-0303's gate.

    Mean PLCC >= 0.95, spread (max - min) <= 0.005, every seed >= 0.95. Reads all seeds' results
    for the current corpus and writes PROMOTE.json or HOLD.json beside them. What the verdict is
    worth (simpler models, controls, certainty, a HOLD's diagnosis) is shown with it, decides
    nothing, and may be left out.

    `plot_of_seeds`, behind *Show Markdown*: every seed against the gate, the spread beside that
    of the last PROMOTE, the hardest sources.
    """
    with refusals_as_failures():
        kept = home.open()
        used, contract = corpus_in_use(context, kept), recipe.contract()
        places = Places(kept, contract, used.sha256)
        folder = places.results
        judgement = judge(folder, used, contract)
        worth = _worth(used, judgement, contract) if config.evidence else None
        caveats = worth.caveats if isinstance(worth, Assurance) else ()
        controls = _controls(folder, used, judgement) if config.evidence else {}
        document = verdict_document(judgement, used, places.results_from_home, caveats=caveats)
        path = write_verdict(folder, document)
        previous = previous_verdict(kept, used.sha256, contract)
    decision = judgement.decision
    return dg.MaterializeResult(
        # In the order in which the page shows it.
        metadata={
            "verdict": decision.verdict,
            "reasons": lines(decision.reasons) if decision.reasons else "none: every figure passes",
            "next_step": f"{next_step(decision, judgement.scores)}.",
            "corpus": fitting(corpus_name(kept, used.sha256)),
            **_figures(decision, judgement.scores),
            **_change(decision, previous),
            "plot_of_seeds": plot(verdict_figure(judgement, previous), "all seeds"),
            "judged_seeds": ", ".join(map(str, decision.seeds)) or "none",
            "studied_seeds": ", ".join(str(s.seed) for s in judgement.studied) or "none",
            "dry_run": decision.dry_run,
            "worst_folds": table(_worst_folds(judgement.scores)),
            **_evidence(worth, used.sha256),
            **controls,
            "corpus_sha256": used.sha256[:SHORT_SHA_LENGTH],
            "stored_at": path.name,
        }
    )


def _worth(used: Corpus, judgement: Judgement, contract: Contract) -> Assurance | NothingToAssess:
    try:
        return assess(used, judgement.results, contract.plan)
    except NothingToAssess as nothing:
        return nothing


def _evidence(assurance: Assurance | NothingToAssess | None, corpus_sha256: str) -> dict[str, Any]:
    """What the verdict is worth, as a person reads it."""
    if assurance is None:
        return {}
    if isinstance(assurance, NothingToAssess):
        return {"evidence": f"none: {assurance}"}
    diagnosis = assurance.diagnosis
    looks = f"{diagnosis.looks_like}. Next: {diagnosis.next_step}." if diagnosis else "passes"
    skill, chance = two_lines(assurance)
    return {
        "skill_over_quadratic": four_digits(assurance.skill_over_quadratic),
        "evidence": lines((skill, chance, *(_NO_NEED for _ in assurance.caveats[:1]))),
        "diagnosis": fitting(looks),
        "plot_of_evidence": plot(assurance_figure(assurance), "what the verdict is worth"),
        "tables_of_evidence": folded(assurance_tables(assurance), f"corpus {corpus_sha256}"),
    }


def _controls(folder: UPath, used: Corpus, judgement: Judgement) -> dict[str, Any]:
    """What those say that were trained beside these results, if any.

    They decide nothing: a damaged file is told of, and ends no verdict.
    """
    if not judgement.results:
        return {}
    try:
        controls = load_controls(folder, used.sha256, judgement.results[0])
    except UnusableInput as error:
        told = f"can't be read: {error} `fr-ensemble run --controls` trains them again."
        return {"controls": fitting(told)}
    if controls is None:
        return {}
    return {"codec_block": controls.codec_block, "swapped_scores": controls.swap}


def _figures(decision: Decision, scores: tuple[SeedScore, ...]) -> dict[str, float]:
    """To four digits: as many as one reads. The reasons have those that decide."""
    defined = [fold.plcc for score in scores for fold in score.folds if fold.plcc is not None]
    named = {
        "mean_plcc": decision.mean_plcc,
        "plcc_spread": decision.plcc_spread,
        "lowest_fold_plcc": min(defined, default=None),
    }
    return {name: four_digits(value) for name, value in named.items() if value is not None}


def _change(decision: Decision, previous: Previous | None) -> dict[str, float | str]:
    """The step since the last PROMOTE."""
    if previous is None:
        return {"last_promote": "none on another corpus"}
    short = previous.corpus_sha256[:SHORT_SHA_LENGTH]
    told = {"last_promote": f"{fitting(previous.name)} ({short})"}
    if decision.mean_plcc is None or previous.mean_plcc is None:
        return {**told}
    return {**told, "mean_plcc_change": four_digits(decision.mean_plcc - previous.mean_plcc)}


def _rounded(fold: FoldScore) -> dict[str, Cell]:
    known = {"plcc": fold.plcc, "rmse": fold.rmse}
    return {name: None if value is None else four_digits(value) for name, value in known.items()}


def _worst_folds(scores: tuple[SeedScore, ...]) -> list[dict[str, Cell]]:
    folds = [(score.seed, fold) for score in scores for fold in score.folds]
    folds.sort(key=lambda pair: -1.0 if pair[1].plcc is None else pair[1].plcc)
    rows: list[dict[str, Cell]] = []
    for seed, fold in folds[:_WORST_FOLDS]:
        name = shown(fold.held_out, _NAME_LIMIT)
        rows.append({"seed": seed, "held_out": name, **_rounded(fold)})
    return rows
