"""What a candidate says of itself, for the texts that go with a patch: read, never typed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fr_ensemble_assets.calibration.calibrate import Calibration
from fr_ensemble_assets.calibration.coverage import Coverage, Unit
from fr_ensemble_assets.calibration.rules import Rule
from fr_ensemble_assets.candidate.contents import VERDICT_FILE
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.foundation.documents import read_object
from fr_ensemble_assets.members.names import MANIFEST_FILE, sidecar_file

_LEVEL = 0.95


@dataclass(frozen=True)
class Summary:
    """The figures of a verified candidate.

    Attributes
    ----------
    verdict, manifest, sidecar
        The documents, the sidecar being the first member's.
    calibration
        Intervals, and how they did on sources left out.
    """

    verdict: Mapping[str, Any]
    manifest: Mapping[str, Any]
    sidecar: Mapping[str, Any]
    calibration: Calibration

    @property
    def corpus_sha256(self) -> str:
        return str(self.verdict["corpus"]["sha256"])

    @property
    def n_rows(self) -> int:
        return int(self.sidecar["corpus"]["n_rows"])

    @property
    def mean_plcc(self) -> float:
        return float(self.verdict["gate"]["mean_plcc"])

    @property
    def plcc_spread(self) -> float:
        return float(self.verdict["gate"]["plcc_spread"])

    @property
    def protocol(self) -> str:
        """How sources were held out, as the manifest says it."""
        return str(self.manifest["eval"]["protocol"])

    @property
    def members(self) -> Mapping[str, str]:
        """sha256 of each member, by file name."""
        return {member["onnx"]: member["sha256"] for member in self.manifest["members"]}

    @property
    def encoders(self) -> tuple[str, ...]:
        """Each encoder of the corpus with its qualities, in words."""
        seen = self.calibration.trained_on.qualities
        return tuple(f"`{name}` {r.low:g} to {r.high:g}" for name, r in seen.items())

    def coverage(self, unit: Unit, rule: Rule, level: float = _LEVEL) -> Coverage | None:
        """Leave-one-source-out coverage, ``None`` where the sources don't carry the level."""
        for found in self.calibration.coverages:
            if (found.unit, found.rule, found.level) == (unit, rule, level) and found.measured:
                return found
        return None


def summarise(files: Mapping[str, bytes], calibration: Calibration) -> Summary:
    """The figures of a candidate that was verified, from its files by name."""
    verdict, manifest, sidecar = (
        read_object(files[name], name)
        for name in (VERDICT_FILE, MANIFEST_FILE, sidecar_file(ENSEMBLE.units[0]))
    )
    return Summary(verdict, manifest, sidecar, calibration)
