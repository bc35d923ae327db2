"""Where everything meets: the assets, checks, jobs and resources of the platform."""

import os
import warnings
from collections.abc import Sequence

import dagster as dg

from fr_ensemble_assets.assurance.assets import verdict_controls
from fr_ensemble_assets.calibration.assets import interval_calibration
from fr_ensemble_assets.calibration.checks import calibration_checks
from fr_ensemble_assets.candidate.assets import registry_candidate
from fr_ensemble_assets.candidate.checks import candidate_checks
from fr_ensemble_assets.candidate.schedules import reverify_schedule
from fr_ensemble_assets.clips.assets import reference_clips
from fr_ensemble_assets.clips.checks import clips_usable
from fr_ensemble_assets.clips.resources import FfmpegResource
from fr_ensemble_assets.contract.agreed import CODECS, ENSEMBLE
from fr_ensemble_assets.corpus.assets import corpus
from fr_ensemble_assets.corpus.checks import corpus_checks
from fr_ensemble_assets.corpus.sensors import Taker, inbox_sensor
from fr_ensemble_assets.doors.fixed import fixed, no_io
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.doors.progress import LogProgress, Watch
from fr_ensemble_assets.doors.sensors import (
    WEBHOOK_VARIABLE,
    NoticesResource,
    failures_sensor,
    verdicts_sensor,
)
from fr_ensemble_assets.encodes.assets import GridResource, corpus_shards
from fr_ensemble_assets.encodes.sensors import clips_sensor
from fr_ensemble_assets.features.assets import codec_block, fitted_scaler
from fr_ensemble_assets.gate.assets import ensemble_verdict
from fr_ensemble_assets.gate.checks import seed_plcc, verdict_checks
from fr_ensemble_assets.loso.assets import loso_results, study_results
from fr_ensemble_assets.members.assets import ensemble_members
from fr_ensemble_assets.members.checks import members_checks
from fr_ensemble_assets.predictors.arrivals import CSV_SUFFIXES, holds_cells
from fr_ensemble_assets.predictors.assets import (
    planning_cells,
    planning_corpus,
    predictor_results,
    predictor_verdict,
    predictors,
)
from fr_ensemble_assets.predictors.checks import predictor_checks
from fr_ensemble_assets.training.resources import ExecutorResource, RecipeResource, TrainerResource

#: Looks into the clips folder and makes a partition of each clip.
LIST_CLIPS = dg.define_asset_job(
    "list_clips",
    selection=dg.AssetSelection.assets(reference_clips),
    description="What lies in the clips folder; a partition for each clip.",
)
#: Encodes and scores the clips of the run's partitions.
SCORE_CLIPS = dg.define_asset_job(
    "score_clips",
    selection=dg.AssetSelection.assets(corpus_shards, planning_cells),
    description="One corpus shard for each clip that the run is asked for, and its planning cells.",
)
#: The whole chain; a run takes the seeds of its partition range.
TRAIN_ENSEMBLE = dg.define_asset_job(
    "train_ensemble",
    selection=dg.AssetSelection.assets(corpus).downstream()
    - dg.AssetSelection.assets(study_results, verdict_controls),
    description="From a corpus to a gated registry candidate, with every check.",
)
#: The same with the controls that are trained: as long as two seeds more.
TRAIN_WITH_CONTROLS = dg.define_asset_job(
    "train_with_controls",
    selection=dg.AssetSelection.assets(corpus).downstream()
    - dg.AssetSelection.assets(study_results),
    description="As train_ensemble, and what the verdict is worth where that takes training.",
)
#: The chain up to the results, for some of the seeds.
TRAIN_SEEDS = dg.define_asset_job(
    "train_seeds",
    selection=dg.AssetSelection.assets(corpus).downstream()
    & dg.AssetSelection.assets(loso_results).upstream(),
    description="From a corpus to the leave-one-source-out results of some seeds; no verdict.",
)
#: Seeds beyond the ensemble's, on the corpus that is there.
TRAIN_STUDY = dg.define_asset_job(
    "train_study",
    selection=dg.AssetSelection.assets(study_results),
    description="Leave-one-source-out results of seeds beyond the ensemble's, for studies.",
)
#: From cells to the predictors of codecs that pass; a run takes the codecs of its range.
TRAIN_PREDICTORS = dg.define_asset_job(
    "train_predictors",
    selection=dg.AssetSelection.assets(
        planning_corpus, predictor_results, predictor_verdict, predictors
    ),
    description="From cells of encodes to a verdict a codec, and the files of those that pass.",
)
#: What the schedule runs: only the checks.
VERIFY_CANDIDATE = dg.define_asset_job(
    "verify_candidate",
    selection=dg.AssetSelection.checks_for_assets(registry_candidate),
    description="Is the current candidate still what it was published as?",
)


def build_definitions(
    home: HomeResource | None = None,
    recipe: RecipeResource | None = None,
    trainer: TrainerResource | None = None,
    grid: GridResource | None = None,
    executor: ExecutorResource | None = None,
    watch: Watch = LogProgress,
) -> dg.Definitions:
    """All definitions, with these settings; the defaults are what the Dagster UI gets."""
    return dg.Definitions(
        assets=_with_code_references(
            [
                reference_clips,
                corpus_shards,
                corpus,
                fitted_scaler,
                codec_block,
                loso_results,
                study_results,
                verdict_controls,
                ensemble_verdict,
                interval_calibration,
                ensemble_members,
                planning_cells,
                planning_corpus,
                predictor_results,
                predictor_verdict,
                predictors,
                registry_candidate,
            ]
        ),
        asset_checks=[
            clips_usable,
            corpus_checks,
            seed_plcc,
            verdict_checks,
            calibration_checks,
            members_checks,
            predictor_checks,
            candidate_checks,
        ],
        sensors=[
            inbox_sensor(
                corpora=Taker(TRAIN_ENSEMBLE, "corpus", [str(seed) for seed in ENSEMBLE.units]),
                cells=Taker(
                    *(TRAIN_PREDICTORS, "planning_corpus", CODECS), CSV_SUFFIXES, holds_cells
                ),
            ),
            clips_sensor(LIST_CLIPS, SCORE_CLIPS),
            failures_sensor(),
            verdicts_sensor(),
        ],
        schedules=[reverify_schedule(VERIFY_CANDIDATE.name)],
        jobs=[
            *(LIST_CLIPS, SCORE_CLIPS, TRAIN_ENSEMBLE, TRAIN_WITH_CONTROLS, TRAIN_SEEDS),
            *(TRAIN_STUDY, TRAIN_PREDICTORS, VERIFY_CANDIDATE),
        ],
        resources={
            "home": fixed(home or HomeResource()),
            "ffmpeg": FfmpegResource(),
            "grid": grid or GridResource(),
            "recipe": recipe or RecipeResource(),
            "trainer": trainer or TrainerResource(),
            "executor": fixed(executor or ExecutorResource()),
            "watch": fixed(watch, "From a step's log to whoever shows its progress."),
            "notices": fixed(NoticesResource(os.environ.get(WEBHOOK_VARIABLE, ""))),
            "io_manager": no_io(),
        },
        # A run has one step that takes time; a process a step would cost 3 s each.
        executor=dg.in_process_executor,
    )


def _with_code_references(assets: Sequence[dg.AssetsDefinition]) -> Sequence[dg.AssetsDefinition]:
    """Each asset with a link to the lines that define it; Dagster 1.13 still calls that beta."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        linked = dg.with_source_code_references(list(assets))
    return [_in_markdown(asset) for asset in linked]  # type: ignore[arg-type]


def _in_markdown(asset: dg.AssetsDefinition) -> dg.AssetsDefinition:
    """Docstrings have double backticks, which the UI shows raw where it shows no Markdown."""
    return asset.map_asset_specs(
        lambda spec: spec.replace_attributes(
            description=(spec.description or "").replace("``", "`")
        )
    )


defs = build_definitions()
