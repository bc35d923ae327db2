"""Resources that are settled where the platform is started, and that no run's config can change.

Whoever reaches the web server writes run configs. A path in one would decide what is opened or
executed, an address where notices go; so these resources have no field there, and a config that
names one is refused by its schema.
"""

import dagster as dg

from fr_ensemble_assets.doors.dagster_internals import TreatAsResourceParam

__all__ = ["TreatAsResourceParam", "fixed", "no_io"]


def fixed(value: object, description: str = "") -> dg.ResourceDefinition:
    """``value`` as a resource with an empty config."""
    return dg.ResourceDefinition(
        lambda _context: value, config_schema={}, description=description or type(value).__doc__
    )


def no_io() -> dg.IOManagerDefinition:
    """Assets keep their own files; Dagster's default would pickle into a folder of the config."""

    def keep_nothing(_context: dg.InitResourceContext) -> dg.InMemoryIOManager:
        return dg.InMemoryIOManager()  # type: ignore[no-untyped-call]

    return dg.IOManagerDefinition(keep_nothing, config_schema={})
