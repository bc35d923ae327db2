"""Door: the checks on ``interval_calibration``; each calibrates anew from the predictions."""

from collections.abc import Iterator

import dagster as dg

from fr_ensemble_assets.calibration.assets import interval_calibration, judged_frames
from fr_ensemble_assets.calibration.calibrate import calibrate
from fr_ensemble_assets.calibration.coverage import find_coverage, find_monotone, find_sharpness
from fr_ensemble_assets.contract.places import Places
from fr_ensemble_assets.corpus.in_use import corpus_in_use
from fr_ensemble_assets.corpus.summary import Finding
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.doors.refusals import refusals_as_failures
from fr_ensemble_assets.training.resources import RecipeResource

_WARNING = {
    "coverage": "Each conformal rule covers its level on sources left out, but for what chance "
    "allows at that many sources.",
    "sharpness": "Source-level intervals at 90 % are narrow enough to decide something.",
}
_MONOTONE = "A higher level never gives a narrower interval."


@dg.multi_asset_check(
    specs=[
        *(
            dg.AssetCheckSpec(name, asset=interval_calibration, description=text)
            for name, text in _WARNING.items()
        ),
        dg.AssetCheckSpec(
            "monotone", asset=interval_calibration, description=_MONOTONE, blocking=True
        ),
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
        made = calibrate(used, judged_frames(results, used, contract))
    yield _result("coverage", find_coverage(made.coverages))
    yield _result("sharpness", find_sharpness(made.coverages))
    yield _result("monotone", find_monotone(made.every_table))


def _result(name: str, finding: Finding) -> dg.AssetCheckResult:
    warns = name in _WARNING
    return dg.AssetCheckResult(
        asset_key=interval_calibration.key,
        check_name=name,
        passed=finding.passed,
        severity=dg.AssetCheckSeverity.WARN if warns else dg.AssetCheckSeverity.ERROR,
        description=f"{finding.found} (expected {finding.threshold})",
        metadata={
            "found": finding.found,
            "threshold": finding.threshold,
            "next_step": finding.next_step,
        },
    )
