"""The home folder as a Dagster resource."""

import dagster as dg

from fr_ensemble_assets.foundation.home import Home


class HomeResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Where everything is kept; empty means ``FR_ENSEMBLE_HOME``, else ``.fr-ensemble`` here."""

    path: str = ""

    def open(self) -> Home:
        """The home, its folders made."""
        home = Home.at(self.path or None)
        home.prepare()
        return home
