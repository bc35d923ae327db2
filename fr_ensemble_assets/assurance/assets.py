"""Door: ``verdict_controls``, what the verdict is worth where that takes training."""

import dagster as dg

from fr_ensemble_assets.assurance.trained import save_controls, train_controls
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.contract.places import Places
from fr_ensemble_assets.corpus.assets import corpus
from fr_ensemble_assets.corpus.in_use import corpus_in_use
from fr_ensemble_assets.doors.groups import VERDICT_GROUP
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.doors.metadata import OWNERS, four_digits
from fr_ensemble_assets.doors.progress import Watch
from fr_ensemble_assets.doors.refusals import refusals_as_failures
from fr_ensemble_assets.evidence.audit import load_seed_result
from fr_ensemble_assets.evidence.results import load_seed, results_file
from fr_ensemble_assets.loso.assets import loso_results
from fr_ensemble_assets.training.resources import TRAINING_POOL, RecipeResource, TrainerResource

#: The seed whose network is trained again.
SEED = ENSEMBLE.units[0]


@dg.asset(
    group_name=VERDICT_GROUP,
    owners=OWNERS,
    kinds={"numba", "json"},
    tags={"domain": "video-quality"},
    code_version="1",
    pool=TRAINING_POOL,
    deps=[corpus, dg.AssetDep(loso_results, partition_mapping=dg.AllPartitionMapping())],
)
def verdict_controls(
    context: dg.AssetExecutionContext,
    home: HomeResource,
    recipe: RecipeResource,
    trainer: TrainerResource,
    watch: dg.ResourceParam[Watch],
) -> dg.MaterializeResult[None]:
    """One seed trained twice more: without the codec block, and on scores that sources swapped.

    Optional, and it decides nothing. It takes as long as two seeds, and the verdict's page shows
    what it found: whether knowing the encoder earns its place (ADR-0235), and what the network
    makes of scores that belong to other clips. `fr-ensemble run --controls` includes it.
    """
    with refusals_as_failures():
        kept = home.open()
        used, contract = corpus_in_use(context, kept), recipe.contract()
        folder = Places(kept, contract, used.sha256).results
        score = load_seed(folder / results_file(SEED), SEED)
        result = load_seed_result(folder, used, contract, score)
        found = train_controls(used, result, contract, trainer.build(), watch(context.log))
        path = save_controls(folder, found)
    gain = found.ablation.gain
    return dg.MaterializeResult(
        metadata={
            "codec_block": found.codec_block,
            "swapped_scores": found.swap,
            **({} if gain is None else {"codec_block_gain": four_digits(gain)}),
            "seed": str(SEED),
            "stored_at": path.name,
        }
    )
