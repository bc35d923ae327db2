"""Door: the checks on ``interval_calibration``; each calibrates anew from the predictions."""

from collections.abc import Iterator

import dagster as dg

from fr_ensemble_assets.calibration.assets import interval_calibration, predictions_for_intervals
from fr_ensemble_assets.calibration.calibrate import calibrate
from fr_ensemble_assets.calibration.coverage import find_coverage, find_sharpness
from fr_ensemble_assets.contract.places import Places
from fr_ensemble_assets.corpus.in_use import corpus_in_use
from fr_ensemble_assets.doors.findings import check_result
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.doors.refusals import refusals_as_failures
from fr_ensemble_assets.training.resources import RecipeResource

_CHECKS = {
    "coverage": "Each conformal rule covers its level on sources left out, but for what chance "
    "allows at that many sources.",
    "sharpness": "Source-level intervals at 90 % are narrow enough to decide something.",
}


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(name, asset=interval_calibration, description=text)
        for name, text in _CHECKS.items()
    ]
)
def calibration_checks(
    context: dg.AssetCheckExecutionContext, home: HomeResource, recipe: RecipeResource
) -> Iterator[dg.AssetCheckResult]:
    """Try the intervals on every source left out."""
    with refusals_as_failures():
        kept = home.open()
        used, contract = corpus_in_use(context, kept), recipe.contract()
        results = Places(kept, contract, used.sha256).results
        predicted = predictions_for_intervals(results, used, contract)
        made = calibrate(used, predicted.raw, predicted.recentred)
    for name, finding in (
        ("coverage", find_coverage(made.coverages)),
        ("sharpness", find_sharpness(made.coverages)),
    ):
        yield check_result(interval_calibration.key, name, finding, blocks=False)
