"""Door: the checks on ``registry_candidate``."""

from collections.abc import Iterator

import dagster as dg

from fr_ensemble_assets.candidate.assets import registry_candidate
from fr_ensemble_assets.candidate.verify import verify_candidate
from fr_ensemble_assets.corpus.in_use import corpus_in_use
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.doors.refusals import refusals_as_failures


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            "digests",
            asset=registry_candidate,
            description="Every file is there, has the digest that names it, and belongs to the "
            "corpus of a PROMOTE that still holds.",
        ),
        dg.AssetCheckSpec(
            "registry_schema",
            asset=registry_candidate,
            description="registry.json obeys its schema.",
        ),
    ]
)
def candidate_checks(
    context: dg.AssetCheckExecutionContext, home: HomeResource
) -> Iterator[dg.AssetCheckResult]:
    """Verify the published folder against itself."""
    with refusals_as_failures():
        kept = home.open()
        folder = kept.candidate_dir(corpus_in_use(context, kept).sha256)
        found = verify_candidate(folder)
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
