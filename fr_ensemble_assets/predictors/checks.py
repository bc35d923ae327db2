"""Door: the checks on ``predictor_verdict``, one a codec.

They judge again from stored predictions, and show; what is built is decided from the cells.
"""

from collections.abc import Iterator

import dagster as dg

from fr_ensemble_assets.contract.agreed import CODECS
from fr_ensemble_assets.contract.thresholds import ADR_0303
from fr_ensemble_assets.corpus.in_use import CELLS, sha256_in_use
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.doors.metadata import four_digits
from fr_ensemble_assets.doors.refusals import refusals_as_failures
from fr_ensemble_assets.predictors.assets import figures_told, predictor_verdict
from fr_ensemble_assets.predictors.cell_store import load_cells
from fr_ensemble_assets.predictors.gate import MISSING_ROWS
from fr_ensemble_assets.predictors.published import stored_verdicts
from fr_ensemble_assets.predictors.results import CodecVerdicts


def check_name(codec: str) -> str:
    """A codec's check: its name, without what Dagster's names can't have."""
    return codec.replace("-", "_")


_NAMES = {
    "mean_plcc": "mean PLCC",
    "plcc_spread": "spread",
    "lowest_plcc": "lowest fold",
    "rmse": "RMSE",
}
_TEXT = (
    f"Where there are cells of {{}}: mean PLCC >= {ADR_0303.mean_plcc_min:g}, spread over folds "
    f"<= {ADR_0303.plcc_spread_max:g}, each fold >= {ADR_0303.each_plcc_min:g}."
)


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            check_name(codec), asset=predictor_verdict, description=_TEXT.format(codec)
        )
        for codec in CODECS
    ]
)
def predictor_checks(
    context: dg.AssetCheckExecutionContext, home: HomeResource
) -> Iterator[dg.AssetCheckResult]:
    """Evaluate the gate again for each codec; a HOLD of one stops no other."""
    with refusals_as_failures():
        kept = home.open()
        judged = stored_verdicts(kept, load_cells(kept, sha256_in_use(context, CELLS)))
    for verdicts in judged:
        yield _result(verdicts)


def _result(verdicts: CodecVerdicts) -> dg.AssetCheckResult:
    verdict = verdicts.scored
    passed = verdict.passed or verdict.status == MISSING_ROWS
    figures = figures_told(verdict)
    told = ", ".join(f"{_NAMES[name]} {value:.5f}" for name, value in figures.items())
    reasons = "; ".join(verdict.reasons)
    others = [grouping.passes for grouping in verdict.others]
    return dg.AssetCheckResult(
        asset_key=predictor_verdict.key,
        check_name=check_name(verdict.encoder),
        passed=passed,
        description="; ".join(filter(None, (reasons, told))) or "nothing judged",
        metadata={
            **{name: four_digits(value) for name, value in figures.items()},
            "status": verdict.status,
            "threshold": f"mean PLCC >= {ADR_0303.mean_plcc_min:g}, "
            f"spread <= {ADR_0303.plcc_spread_max:g}, each fold >= {ADR_0303.each_plcc_min:g}",
            "hardest_sources": ", ".join(hard.source for hard in verdict.hardest[:3]) or "none",
            "passes_without": ", ".join(verdict.culprits) or "none",
            "other_groupings_pass": f"{sum(others)} of {len(others)}",
            "unscored_probe": verdicts.unscored.status,
            "next_step": "nothing to do"
            if passed
            else "look at hardest_sources: add clips like them and materialise planning_corpus",
        },
    )
