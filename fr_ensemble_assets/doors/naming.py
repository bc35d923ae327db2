"""What a run is called, for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fr_ensemble_assets.foundation.wording import listed

if TYPE_CHECKING:
    import dagster as dg


def work_of(run: dg.DagsterRun) -> str:
    """The job; of Dagster's own, which materialises whatever was chosen, the assets."""
    chosen = sorted(key.to_user_string() for key in run.asset_selection or ())
    return listed(chosen, 4) if run.job_name.startswith("__") and chosen else run.job_name
