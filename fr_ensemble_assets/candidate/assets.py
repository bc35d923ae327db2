"""Door: ``registry_candidate``."""

import dagster as dg

from fr_ensemble_assets.calibration.assets import interval_calibration
from fr_ensemble_assets.candidate.build import build_candidate
from fr_ensemble_assets.contract.places import Places
from fr_ensemble_assets.corpus.assets import corpus
from fr_ensemble_assets.corpus.in_use import corpus_in_use
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.doors.metadata import OWNERS, table
from fr_ensemble_assets.doors.progress import Watch
from fr_ensemble_assets.doors.refusals import refusals_as_failures
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.gate.assets import ensemble_verdict
from fr_ensemble_assets.gate.verdict import authorise
from fr_ensemble_assets.members.assets import ensemble_members
from fr_ensemble_assets.training.resources import (
    TRAINING_POOL,
    RecipeResource,
    TrainerResource,
)


@dg.asset(
    group_name="candidate",
    owners=OWNERS,
    kinds={"onnx", "json"},
    tags={"domain": "video-quality"},
    code_version="2",
    pool=TRAINING_POOL,
    deps=[corpus, ensemble_verdict, interval_calibration, ensemble_members],
)
def registry_candidate(
    context: dg.AssetExecutionContext,
    home: HomeResource,
    recipe: RecipeResource,
    trainer: TrainerResource,
    watch: dg.ResourceParam[Watch],
) -> dg.MaterializeResult[None]:
    """A folder that verifies by itself, for a person to propose to somebody else's registry.

    Only on PROMOTE, evaluated again from the results files. The members are fitted again, unless
    this very process did: stored ones must be the same to the byte. What was verified in memory is
    written under a temporary name and renamed into ``candidates/`` as the last step.
    """
    with refusals_as_failures():
        kept = home.open()
        used, contract = corpus_in_use(context, kept), recipe.contract()
        places = Places(kept, contract, used.sha256)
        judgement = authorise(places.results, used, contract)
        folder = places.candidate
        build_candidate(
            places,
            used,
            judgement,
            trainer.build(),
            watch(context.log).report("final fits again"),
        )
    return dg.MaterializeResult(
        metadata={
            "contents": table(
                [
                    {"file": name, "bytes": (folder / name).stat().st_size, "sha256": sha256}
                    for name, sha256 in sorted(store.digests(folder).items())
                ]
            ),
            "next_step": dg.MetadataValue.md(
                "Print the diff for their registry, read it, and apply it in their tree; the flip "
                f"is yours:\n\n`fr-ensemble propose --candidate {folder} --registry REGISTRY_JSON`"
            ),
            "corpus_sha256": used.sha256,
            "stored_at": dg.MetadataValue.path(str(folder)),
        }
    )
