"""Door: the check on ``reference_clips``."""

import dagster as dg

from fr_ensemble_assets.clips.assets import reference_clips
from fr_ensemble_assets.clips.inventory import inventory_file, load_inventory
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.doors.refusals import refusals_as_failures
from fr_ensemble_assets.foundation.wording import listed


@dg.asset_check(
    asset=reference_clips, description="Every file that looks like a clip can be used as one."
)
def clips_usable(home: HomeResource) -> dg.AssetCheckResult:
    """Name the files that look like clips and were refused."""
    with refusals_as_failures():
        inventory = load_inventory(inventory_file(home.open()))
    return dg.AssetCheckResult(
        passed=not inventory.refused,
        severity=dg.AssetCheckSeverity.WARN,
        description=listed(inventory.refused, separator="; ", limit=300)
        or f"{len(inventory.clips)} clips",
        metadata={
            "refused": len(inventory.refused),
            "threshold": "none refused",
            "next_step": "nothing to do"
            if not inventory.refused
            else "mend or remove the named files, and materialise 'reference_clips' again; "
            "the corpus is made without them",
        },
    )
