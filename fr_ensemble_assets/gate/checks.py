"""Door: the checks on ``loso_results`` and on ``ensemble_verdict``.

They judge from the results files with the gate's own rule. They show; they never authorise: what
may be built is decided by :func:`~fr_ensemble_assets.gate.verdict.authorise`.
"""

from collections.abc import Iterator

import dagster as dg

from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.contract.places import Places
from fr_ensemble_assets.contract.thresholds import ADR_0303
from fr_ensemble_assets.corpus.in_use import corpus_in_use
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.doors.metadata import Cell, table
from fr_ensemble_assets.doors.refusals import refusals_as_failures
from fr_ensemble_assets.gate.advice import advice, next_step
from fr_ensemble_assets.gate.assets import ensemble_verdict
from fr_ensemble_assets.gate.rule import Decision
from fr_ensemble_assets.gate.verdict import Judgement, judge
from fr_ensemble_assets.loso.assets import loso_results
from fr_ensemble_assets.training.resources import RecipeResource

_NOTHING = "nothing to do"
_LOOK = "look at worst_folds of ensemble_verdict"


def _judge(
    context: dg.AssetCheckExecutionContext, home: HomeResource, recipe: RecipeResource
) -> Judgement:
    with refusals_as_failures():
        kept = home.open()
        used, contract = corpus_in_use(context, kept), recipe.contract()
        return judge(Places(kept, contract, used.sha256).results, used, contract)


def _seeds_table(decision: Decision) -> dg.MetadataValue:
    rows: list[dict[str, Cell]] = [
        {"seed": seed, "plcc": decision.per_seed_plcc[seed]} for seed in decision.seeds
    ]
    return table(rows)


# One evaluation for all seeds that have results: a check a partition still is a preview feature,
# and a check that loads the asset would fail while a seed is missing.
@dg.asset_check(
    asset=loso_results,
    description=f"Each seed that has results reaches a mean PLCC of {ADR_0303.each_plcc_min:g}.",
)
def seed_plcc(
    context: dg.AssetCheckExecutionContext, home: HomeResource, recipe: RecipeResource
) -> dg.AssetCheckResult:
    """Judge each seed by itself."""
    return seeds_checked(_judge(context, home, recipe).decision)


def seeds_checked(decision: Decision) -> dg.AssetCheckResult:
    """Whether each seed that has results passes, and which don't."""
    return dg.AssetCheckResult(
        passed=decision.per_seed_pass,
        description=_failing(decision) or f"{len(decision.seeds)} seeds at or above the threshold",
        metadata={
            "threshold": ADR_0303.each_plcc_min,
            "seeds": _seeds_table(decision),
            "next_step": _LOOK if decision.failing_seeds else "materialise ensemble_verdict",
        },
    )


_SPECS = {
    "all_seeds": f"All of seeds {', '.join(map(str, ENSEMBLE.units))} count, with nothing against "
    "their results: this corpus, the contract's recipe, figures that follow from the predictions.",
    "mean_plcc": f"The seeds' mean PLCC is at least {ADR_0303.mean_plcc_min:g}.",
    "plcc_spread": f"The seeds' PLCC (max - min) spreads by at most {ADR_0303.plcc_spread_max:g}.",
    "per_seed_plcc": f"Each seed's PLCC is at least {ADR_0303.each_plcc_min:g}.",
}


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(name, asset=ensemble_verdict, description=text, blocking=True)
        for name, text in _SPECS.items()
    ]
)
def verdict_checks(
    context: dg.AssetCheckExecutionContext, home: HomeResource, recipe: RecipeResource
) -> Iterator[dg.AssetCheckResult]:
    """Evaluate the gate again from the results files, an aspect a check."""
    yield from verdict_checked(_judge(context, home, recipe))


def verdict_checked(judgement: Judgement) -> Iterator[dg.AssetCheckResult]:
    """Each aspect; on HOLD, after the last, :class:`dagster.Failure` with the reasons."""
    decision = judgement.decision
    yield _all_seeds(decision)
    for name, passed, found, threshold in (
        ("mean_plcc", decision.mean_plcc_pass, decision.mean_plcc, ADR_0303.mean_plcc_min),
        ("plcc_spread", decision.plcc_spread_pass, decision.plcc_spread, ADR_0303.plcc_spread_max),
    ):
        told = "undefined" if found is None else f"{found:.6f}"
        yield dg.AssetCheckResult(
            asset_key=ensemble_verdict.key,
            check_name=name,
            passed=passed,
            description=f"{told} against {threshold:g}",
            metadata={
                **({} if found is None else {"found": found}),
                "threshold": threshold,
                "next_step": _NOTHING if passed else advice(decision),
            },
        )
    yield dg.AssetCheckResult(
        asset_key=ensemble_verdict.key,
        check_name="per_seed_plcc",
        passed=decision.per_seed_pass,
        description=_failing(decision) or "every judged seed is at or above the threshold",
        metadata={
            "threshold": ADR_0303.each_plcc_min,
            "seeds": _seeds_table(decision),
            "next_step": _NOTHING if decision.per_seed_pass else advice(decision),
        },
    )
    if not decision.promote:
        # Else the run would end with Dagster's own error, whose stack trace hides the numbers.
        raise dg.Failure(
            description="\n- ".join(("HOLD:", *decision.reasons)),
            metadata={"next_step": next_step(decision, judgement.scores)},
            allow_retries=False,
        )


def _all_seeds(decision: Decision) -> dg.AssetCheckResult:
    """Whatever speaks against the verdict without being one of the gate's three figures."""
    passed = not decision.objections
    return dg.AssetCheckResult(
        asset_key=ensemble_verdict.key,
        check_name="all_seeds",
        passed=passed,
        description="; ".join(decision.objections) or f"{len(decision.seeds)} seeds judged",
        metadata={
            "judged": ", ".join(map(str, decision.seeds)) or "none",
            "missing": ", ".join(map(str, decision.missing_seeds)) or "none",
            "dry_run": decision.dry_run,
            "next_step": _NOTHING
            if passed
            else "materialise the missing seeds of loso_results with the contract's recipe",
        },
    )


def _failing(decision: Decision) -> str:
    failing = ", ".join(str(seed) for seed in decision.failing_seeds)
    return f"below {ADR_0303.each_plcc_min:g} or undefined: seed {failing}" if failing else ""
