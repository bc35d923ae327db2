"""A rule's finding as the result of a check."""

import dagster as dg

from fr_ensemble_assets.foundation.findings import Finding


def check_result(
    asset: dg.AssetKey, name: str, finding: Finding, *, blocks: bool
) -> dg.AssetCheckResult:
    """Show ``finding`` as check ``name`` of ``asset``: an error where it blocks, else a warning."""
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=name,
        passed=finding.passed,
        severity=dg.AssetCheckSeverity.ERROR if blocks else dg.AssetCheckSeverity.WARN,
        description=f"{finding.observed} (expected {finding.threshold})",
        metadata={
            "found": finding.observed,
            "threshold": finding.threshold,
            "next_step": finding.next_step,
        },
    )
