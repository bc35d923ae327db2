"""Door: ``loso_results``, a partition a seed."""

import warnings
from collections.abc import Callable

import dagster as dg

from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.contract.folds import MANY_SOURCES
from fr_ensemble_assets.contract.places import Places
from fr_ensemble_assets.corpus.assets import corpus
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.corpus.in_use import corpus_in_use
from fr_ensemble_assets.doors.groups import VERDICT_GROUP
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.doors.metadata import (
    OWNERS,
    column_schema,
    fitting,
    four_digits,
    in_home,
    plot,
    table,
)
from fr_ensemble_assets.doors.progress import Watch
from fr_ensemble_assets.doors.refusals import refusals_as_failures
from fr_ensemble_assets.evidence.metrics import mean_or_none
from fr_ensemble_assets.features.assets import codec_block
from fr_ensemble_assets.features.stored import load_codec_block
from fr_ensemble_assets.foundation.home import SHORT_SHA_LENGTH
from fr_ensemble_assets.loso.plots import SOURCES_DRAWN, WORST_FOLDS, fold_figure, worst_folds
from fr_ensemble_assets.loso.run import SeedOutcome, evaluate_seeds
from fr_ensemble_assets.training.resources import (
    TRAINING_POOL,
    ExecutorResource,
    RecipeResource,
    TrainerResource,
    TrainingConfig,
)

SEED_PARTITIONS = dg.StaticPartitionsDefinition([str(seed) for seed in ENSEMBLE.units])
#: Registered by whoever asks for them: ``fr-ensemble backfill --seeds 0-19``.
STUDY_PARTITIONS = dg.DynamicPartitionsDefinition(name="study_seeds")
#: The metadata that says why a seed whose results lay there was trained all the same.
TRAINED_AGAIN = "trained_again"
_COLUMNS = {
    "src, encoder, cq, frame_index": ("key", "The row's key, and preset where recorded"),
    "fold": ("int", "Position of the held-out source in sorted order"),
    "target": ("float", "VMAF, 0..100"),
    "prediction": ("float", "By the model that never saw the row's source"),
}


def _asset_by_seed(
    name: str, partitions: dg.PartitionsDefinition[str]
) -> Callable[[Callable[..., None]], dg.AssetsDefinition]:
    with warnings.catch_warnings():
        # Backfill policies are still called beta in Dagster 1.13, with a warning at each start.
        # Ours gives one run all the seeds that it was asked for, which then train side by side.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.asset(
            name=name,
            partitions_def=partitions,
            backfill_policy=dg.BackfillPolicy.single_run(),
            group_name=VERDICT_GROUP,
            owners=OWNERS,
            kinds={"numba", "json"},
            tags={"domain": "video-quality"},
            code_version="1",
            pool=TRAINING_POOL,
            metadata=column_schema(_COLUMNS),
            deps=[corpus, codec_block],
        )


@_asset_by_seed("loso_results", SEED_PARTITIONS)
def loso_results(
    context: dg.AssetExecutionContext,
    config: TrainingConfig,
    home: HomeResource,
    recipe: RecipeResource,
    trainer: TrainerResource,
    executor: ExecutorResource,
    watch: dg.ResourceParam[Watch],
) -> None:
    """Leave-one-source-out under each seed: train on all sources but one, predict that one.

    Writes ``loso_seed{N}.json`` and the out-of-fold predictions under the corpus' sha256. Seeds of
    one run train side by side; a seed that is done for this corpus and recipe is not trained again
    unless ``force`` is set.
    """
    _evaluate(context, config, home, recipe, trainer, executor, watch)


@_asset_by_seed("study_results", STUDY_PARTITIONS)
def study_results(
    context: dg.AssetExecutionContext,
    config: TrainingConfig,
    home: HomeResource,
    recipe: RecipeResource,
    trainer: TrainerResource,
    executor: ExecutorResource,
    watch: dg.ResourceParam[Watch],
) -> None:
    """As ``loso_results``, for seeds beyond the ensemble: how far do seeds spread?

    The verdict shows them and doesn't judge them; none of them becomes a member. Their partitions
    are made by ``fr-ensemble backfill --seeds 0-19``.
    """
    _evaluate(context, config, home, recipe, trainer, executor, watch)


def _evaluate(
    context: dg.AssetExecutionContext,
    config: TrainingConfig,
    home: HomeResource,
    recipe: RecipeResource,
    trainer: TrainerResource,
    executor: ExecutorResource,
    watch: Watch,
) -> None:
    with refusals_as_failures():
        kept = home.open()
        used, contract = corpus_in_use(context, kept), recipe.contract()
        places = Places(kept, contract, used.sha256)
        folder, choice = places.results, executor.choice()
        for outcome in evaluate_seeds(
            folder,
            used,
            [int(key) for key in context.partition_keys],
            contract,
            trainer.build_for(choice),
            watch(context.log),
            config.force,
            choice.open(),
            block=load_codec_block(places.corpus, used),
            keep_parts=choice.remote or len(used.sources) >= MANY_SOURCES,
        ):
            for sentence in outcome.dropped:
                context.log.warning(f"{sentence} It was trained again.")
            # Drawn while the other seeds train.
            context.add_asset_metadata(
                _describe(used, outcome)
                | {"results_dir": dg.MetadataValue.text(in_home(kept, folder))},
                partition_key=str(outcome.result.seed),
            )


def _describe(used: Corpus, outcome: SeedOutcome) -> dict[str, dg.MetadataValue]:
    result = outcome.result
    few = len(result.folds) <= SOURCES_DRAWN
    shown = result.folds if few else worst_folds(result.folds)[:WORST_FOLDS]
    folds = [
        {
            "held_out": fold.held_out,
            "n_train": fold.n_train,
            "n_val": fold.n_val,
            "plcc": fold.agreement.plcc,
            "srocc": fold.agreement.srocc,
            "rmse": fold.agreement.rmse,
        }
        for fold in shown
    ]
    plcc = mean_or_none([fold.agreement.plcc for fold in result.folds])
    figures = {} if plcc is None else {"mean_plcc": dg.MetadataValue.float(four_digits(plcc))}
    again = dg.MetadataValue.text(fitting(outcome.replaced))
    replaced = {TRAINED_AGAIN: again} if outcome.replaced else {}
    return figures | {
        "plot_of_folds": plot(fold_figure(used, result), f"folds of seed {result.seed}"),
        "folds": table(folds),
        "folds_in_all": dg.MetadataValue.text(str(len(result.folds))),
        "wall_time_s": dg.MetadataValue.float(four_digits(result.wall_time_s)),
        "reused": dg.MetadataValue.bool(outcome.reused),
        **replaced,
        "parts_kept": dg.MetadataValue.text(str(outcome.parts_kept)),
        "corpus_sha256": dg.MetadataValue.text(used.sha256[:SHORT_SHA_LENGTH]),
    }
