"""Predictors that a candidate carries, of codecs that pass; and the shipped ones for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fr_ensemble_assets.predictors.document import parse_scored_probe
from fr_ensemble_assets.predictors.gate import PASS, decide
from fr_ensemble_assets.predictors.model import ScoredProbe
from fr_ensemble_assets.predictors.names import REPORT_FILE, scored_probe_file
from fr_ensemble_assets.predictors.shipped import (
    CodecPredictor,
    bundled_cells,
    codec_predictor_of,
)
from fr_ensemble_assets.predictors.told import judged_again, parse_report


@dataclass(frozen=True)
class Predictors:
    """Which predictor is asked about an encoder.

    Attributes
    ----------
    carried
        Of codecs that pass, by encoder; whatever isn't here is fitted to the bundled cells.
    origin
        What they came with; empty where none came.
    """

    carried: Mapping[str, CodecPredictor] = field(default_factory=dict)
    origin: str = ""

    @property
    def known(self) -> tuple[str, ...]:
        """The encoders that can be asked about."""
        shipped = bundled_cells().encoders
        return (*shipped, *(name for name in self.carried if name not in shipped))

    def of(self, encoder: str) -> CodecPredictor:
        """The predictor of one of them.

        Raises
        ------
        UnusableInput
            If the encoder is none of them.
        """
        found = self.carried.get(encoder)
        return codec_predictor_of(bundled_cells(), encoder) if found is None else found


def carried_predictors(files: Mapping[str, bytes], origin: str) -> Predictors:
    """The predictors among a candidate's files, judged again from their own curves.

    Whether the files may be trusted is asked by whoever verifies the candidate.

    Raises
    ------
    UnusableInput
        If one of them can't be read.
    """
    if REPORT_FILE not in files:
        return Predictors()
    carried = {}
    for told in parse_report(files[REPORT_FILE], REPORT_FILE).codecs:
        name = scored_probe_file(told.codec)
        if told.status == PASS:
            ladders, _ = parse_scored_probe(files[name], name)
            verdict = decide(judged_again(ladders, told))
            carried[told.codec] = CodecPredictor(told.codec, ScoredProbe(ladders), verdict)
    return Predictors(carried, origin if carried else "")
