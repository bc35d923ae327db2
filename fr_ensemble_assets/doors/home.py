"""The home folder as a Dagster resource."""

from dataclasses import dataclass

from fr_ensemble_assets.doors.fixed import TreatAsResourceParam
from fr_ensemble_assets.foundation.home import Home


@dataclass(frozen=True)
class HomeResource(TreatAsResourceParam):
    """Where everything is kept; empty means ``FR_ENSEMBLE_HOME``, else ``.fr-ensemble`` here.

    ``local`` is for what needs a disk, where ``path`` is none.
    """

    path: str = ""
    local: str = ""

    def open(self) -> Home:
        """The home, its folders made."""
        home = Home.at(self.path or None, self.local or None)
        home.prepare()
        return home
