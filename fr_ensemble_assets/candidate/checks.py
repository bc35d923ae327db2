"""Door: the checks on ``registry_candidate``."""

from collections.abc import Iterator

import dagster as dg

from fr_ensemble_assets.candidate.assets import registry_candidate
from fr_ensemble_assets.candidate.drift import Drift, drift_of
from fr_ensemble_assets.candidate.places import has_candidate
from fr_ensemble_assets.corpus.in_use import sha256_in_use
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.doors.refusals import refusals_as_failures
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.training.resources import RecipeResource


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            "digests",
            asset=registry_candidate,
            description="Every file is there, hangs from the manifest's digest, is what the "
            "evidence beside it gives, and belongs to the corpus of a PROMOTE that still holds.",
        ),
        dg.AssetCheckSpec(
            "registry_schema",
            asset=registry_candidate,
            description="registry.json obeys its schema.",
        ),
        dg.AssetCheckSpec(
            "drift",
            asset=registry_candidate,
            description="Corpus, results and gate still stand as when it was published, and no "
            "newer corpus has become the current one (a warning).",
        ),
    ]
)
def candidate_checks(
    context: dg.AssetCheckExecutionContext, home: HomeResource, recipe: RecipeResource
) -> Iterator[dg.AssetCheckResult]:
    """Verify the published folder against itself, and against what it was made from."""
    with refusals_as_failures():
        kept, current = home.open(), sha256_in_use(context)
        contract = recipe.contract()
        published = _published(context.instance, kept, current, contract.variant)
        drift = drift_of(kept, published, current, contract)
    found = drift.verification
    for name, problems, threshold in (
        ("digests", (*found.files, *found.digests, *found.gate), "no file off its digest"),
        ("registry_schema", found.schema, "contracts section 6"),
    ):
        yield dg.AssetCheckResult(
            asset_key=registry_candidate.key,
            check_name=name,
            passed=not problems,
            description="; ".join(problems) or "verified",
            metadata={
                "problems": len(problems),
                "threshold": threshold,
                "next_step": "do not propose it; materialise registry_candidate again"
                if problems
                else "propose it: see next_step of the asset",
            },
        )
    yield _drift_result(drift)


def _published(instance: dg.DagsterInstance, home: Home, current: str, variant: str) -> str:
    """The corpus of the current candidate: the current one, else that of the last published."""
    if has_candidate(home, current, variant):
        return current
    newest = instance.get_latest_materialization_event(registry_candidate.key)
    told = newest.asset_materialization if newest is not None else None
    named = told.metadata.get("corpus_sha256") if told is not None else None
    if named is None:
        return current
    # JSON in what was published before.
    found = named.value["sha256"] if isinstance(named.value, dict) else named.value
    return "".join(str(found).split())


def _drift_result(drift: Drift) -> dg.AssetCheckResult:
    serious = dg.AssetCheckSeverity.ERROR if drift.altered else dg.AssetCheckSeverity.WARN
    return dg.AssetCheckResult(
        asset_key=registry_candidate.key,
        check_name="drift",
        passed=not drift.sentences,
        severity=serious,
        description="; ".join(drift.sentences) or "stands as it was published",
        metadata={
            "altered": len(drift.altered),
            "overtaken": drift.overtaken or "no",
            "threshold": "nothing altered, the current corpus",
            "next_step": "do not propose it; find out who altered the store, and train again"
            if drift.altered
            else "nothing to do, or train on the current corpus"
            if drift.overtaken
            else "nothing to do",
        },
    )
