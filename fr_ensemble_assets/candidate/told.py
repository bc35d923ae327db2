"""Card and thresholds in a candidate: are they what the evidence beside them gives?

What needs the corpus (figures by encoder, baselines, pictures) hangs from the root's digest alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fr_ensemble_assets import __version__
from fr_ensemble_assets.calibration.calibrate import Calibration
from fr_ensemble_assets.card.facts import FACTS_FILE, facts_bytes, parse_facts
from fr_ensemble_assets.card.inside import contradiction, known_inside
from fr_ensemble_assets.card.render import CARD_FILE, CARD_FILES, card_text
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.foundation.documents import read_object
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.gate.verdict import Judgement
from fr_ensemble_assets.members.consumers import THRESHOLDS_FILE


def told_problems(
    files: Mapping[str, bytes],
    judgement: Judgement,
    calibration: Calibration,
    members: Mapping[int, str],
) -> list[str]:
    """One sentence for each of the files that contradicts the evidence; none if they don't."""
    try:
        return [
            *_card_problems(files, judgement, calibration, members),
            *_threshold_problems(files, calibration.corpus_sha256),
        ]
    except UnusableInput as error:
        return [str(error)]


def _card_problems(
    files: Mapping[str, bytes],
    judgement: Judgement,
    calibration: Calibration,
    members: Mapping[int, str],
) -> Iterator[str]:
    there = [name for name in CARD_FILES if name in files]
    if not there:
        return
    if len(there) < len(CARD_FILES):
        yield f"{', '.join(sorted({*CARD_FILES} - {*there}))} is missing, {there[0]} isn't"
        return
    facts = parse_facts(files[FACTS_FILE], FACTS_FILE)
    if facts_bytes(facts) != files[FACTS_FILE]:
        yield f"{FACTS_FILE}: expected the facts of a card and nothing else, found other bytes"
    given = known_inside(ENSEMBLE, judgement, calibration, members)
    if found := contradiction(facts, given, judgement):
        yield f"{FACTS_FILE} tells another {found} than the evidence in the folder gives"
    # Another version may word it otherwise.
    elif facts.version == __version__ and card_text(facts).encode() != files[CARD_FILE]:
        yield f"{CARD_FILE} is not what {FACTS_FILE} gives"


def _threshold_problems(files: Mapping[str, bytes], corpus_sha256: str) -> Iterator[str]:
    if THRESHOLDS_FILE not in files:
        return
    told = read_object(files[THRESHOLDS_FILE], THRESHOLDS_FILE)
    tight, wide = (
        _width(told, f"{name}_width") for name in ("tight_interval_max", "wide_interval_min")
    )
    if not 0 < tight <= wide:
        yield f"{THRESHOLDS_FILE}: expected 0 < tight <= wide, found {tight:g} and {wide:g}"
    if told.get("corpus_sha256") != corpus_sha256:
        yield f"{THRESHOLDS_FILE} belongs to another corpus than the verdict"


def _width(coverage: Mapping[str, Any], name: str) -> float:
    value = coverage.get(name)
    if not isinstance(value, float):
        raise UnusableInput(
            f"{THRESHOLDS_FILE}: expected a number in '{name}', found {value!r:.40}"
        )
    return value
