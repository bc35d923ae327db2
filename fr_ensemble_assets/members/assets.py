"""Door: ``ensemble_members``."""

import dagster as dg

from fr_ensemble_assets.calibration.assets import interval_calibration
from fr_ensemble_assets.calibration.calibrate import calibrate
from fr_ensemble_assets.calibration.recentring import judged_predictions
from fr_ensemble_assets.contract.places import Places
from fr_ensemble_assets.corpus.assets import corpus
from fr_ensemble_assets.corpus.in_use import corpus_in_use
from fr_ensemble_assets.doors.groups import CANDIDATE_GROUP
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.doors.metadata import OWNERS, in_home, table
from fr_ensemble_assets.doors.progress import Watch
from fr_ensemble_assets.doors.refusals import refusals_as_failures
from fr_ensemble_assets.features.assets import codec_block, fitted_scaler
from fr_ensemble_assets.features.stored import load_codec_block, load_scaler
from fr_ensemble_assets.foundation.home import SHORT_SHA_LENGTH
from fr_ensemble_assets.gate.assets import ensemble_verdict
from fr_ensemble_assets.gate.verdict import authorise
from fr_ensemble_assets.members.build import build_members
from fr_ensemble_assets.members.names import onnx_file
from fr_ensemble_assets.training.resources import (
    TRAINING_POOL,
    RecipeResource,
    TrainerResource,
)


@dg.asset(
    group_name=CANDIDATE_GROUP,
    owners=OWNERS,
    kinds={"numba", "onnx"},
    tags={"domain": "video-quality"},
    code_version="2",
    pool=TRAINING_POOL,
    deps=[corpus, fitted_scaler, codec_block, ensemble_verdict, interval_calibration],
)
def ensemble_members(
    context: dg.AssetExecutionContext,
    home: HomeResource,
    recipe: RecipeResource,
    trainer: TrainerResource,
    watch: dg.ResourceParam[Watch],
) -> dg.MaterializeResult[None]:
    """The five members, fitted once more on the whole corpus, as ONNX files with sidecars.

    Only on PROMOTE: the gate is evaluated again from the results files, and a HOLD fails this
    asset whatever any check says. Always fits: a stored fit is not believed.
    """
    with refusals_as_failures():
        kept = home.open()
        used, contract = corpus_in_use(context, kept), recipe.contract()
        places = Places(kept, contract, used.sha256)
        # They ship with the members; what was altered in the store ships nowhere.
        load_scaler(places.corpus, used)
        load_codec_block(places.corpus, used)
        judgement = authorise(places.results, used, contract)
        predicted = judged_predictions(places.results, used, contract, judgement)
        made = build_members(
            places.members,
            used,
            contract,
            judgement,
            calibrate(used, predicted.raw, predicted.recentred),
            trainer.build(),
            watch(context.log).report("final fits"),
        )
    return dg.MaterializeResult(
        metadata={
            "members": table(
                [
                    {"seed": m.seed, "onnx": onnx_file(m.seed), "sha256": m.sha256}
                    for m in made.members
                ]
            ),
            "corpus_sha256": used.sha256[:SHORT_SHA_LENGTH],
            "stored_at": in_home(kept, places.members),
        }
    )
