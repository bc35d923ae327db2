"""``calibration.json``: the calibration as a file beside the members, written and read back.

It holds every rule, with what it promises and on what assumption, so that whoever finds the file
alone can compute an interval and knows what that is worth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from upath import UPath

from fr_ensemble_assets.calibration.calibrate import Calibration, Range, TrainedOn
from fr_ensemble_assets.calibration.coverage import UNITS, Coverage, GroupCoverage
from fr_ensemble_assets.calibration.interpolation import SMALLEST_DROP
from fr_ensemble_assets.calibration.rules import (
    LEVEL_TOLERANCE,
    RULES,
    SIGMA_FLOOR,
    QuantileTable,
    Rule,
)
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import json_bytes, parse_json
from fr_ensemble_assets.foundation.schema import CANONICAL_6

CALIBRATION_FILE = "calibration.json"
SCHEMA_VERSION = 1

_CROSS_CONFORMAL = (
    "Residuals are those of members trained without the source, while the shipped members saw all "
    "sources (cross-conformal practice): the promise that is formal for such schemes is "
    "1 - 2 alpha (Barber et al. 2021), what they usually reach is 1 - alpha, and what was measured "
    "on sources left out is under 'coverage'. All of it is seen through one set of five seeds; "
    "another one disagrees more or less, and is off by something else."
)
_ASSUMES: Mapping[Rule, Mapping[str, str]] = {
    "gaussian": {
        "interval": "mu ± z * sigma",
        "promises": "nothing",
        "assumes": "errors are normal with the members' deviation; members agree more than they "
        "are right",
        "reference": "Lakshminarayanan, Pritzel and Blundell 2017",
    },
    "frame": {
        "interval": "mu ± q * max(sigma, sigma_floor), q the ceil((n + 1)(1 - alpha))-th smallest "
        "of the n scores |vmaf - mu| / max(sigma, sigma_floor)",
        "promises": "1 - alpha of frames like those of the corpus, for alpha >= 1 / (n + 1)",
        "assumes": "new frames are exchangeable with the corpus' frames, which those of another "
        f"video are not. {_CROSS_CONFORMAL}",
        "reference": "Lei et al. 2018; Romano, Patterson and Candès 2019",
    },
    "source": {
        "interval": "mu ± q * max(sigma, sigma_floor), q the 1 - alpha quantile of the same scores "
        "where each of the K sources weighs 1 / (K + 1), spread over its rows, and the unseen "
        "source weighs 1 / (K + 1) at infinity",
        "promises": "1 - alpha on average over new sources and their rows, not in each of them, "
        "for alpha >= 1 / (K + 1)",
        "assumes": "the new source is exchangeable with the corpus' sources: as if drawn from the "
        f"same pool of videos, encoders and qualities. {_CROSS_CONFORMAL}",
        "reference": "Dunn, Wasserman and Ramdas 2022; Lee, Barber and Willett 2023",
    },
}


# --- writing ---------------------------------------------------------------------------------


def calibration_bytes(calibration: Calibration) -> bytes:
    """The file's bytes; the same calibration gives the same ones."""
    return json_bytes(calibration_document(calibration))


def calibration_document(calibration: Calibration) -> dict[str, Any]:
    """The file as an object."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "interval_calibration",
        "corpus": {
            "sha256": calibration.corpus_sha256,
            "n_frames": calibration.n_frames,
            "n_encodes": calibration.n_encodes,
            "n_sources": len(calibration.sources),
            "sources": list(calibration.sources),
        },
        "mu": "mean of the members, brought into 0..100",
        "sigma": "sample deviation of the members (ddof = 1); of an encode: of their pooled means",
        "sigma_floor": SIGMA_FLOOR,
        "mean_sigma": calibration.mean_sigma,
        "bounds": "brought into 0..100; a level that is not listed takes the next higher one",
        "rules": {rule: dict(_ASSUMES[rule]) for rule in RULES},
        "per_frame": _tables_document(calibration.frame),
        "per_encode": _tables_document(calibration.encode),
        "per_frame_plain": {
            "interval": "mean ± q * sigma, no floor, beyond 0..100 where it goes there: what the "
            "manifest's consumers compute; its conformal_q_residual is rule frame's q times "
            "mean_sigma over the mean sigma of the shipped members on the same frames",
            **_tables_document(calibration.plain),
        },
        "coverage": {
            "protocol": "calibrated on all sources but one, measured on that one; null where the "
            "sources that remain don't carry the level",
            "results": [_coverage_document(coverage) for coverage in calibration.coverages],
        },
        "trained_on": {
            "features": _ranges_document(calibration.trained_on.features),
            "cq": _ranges_document(calibration.trained_on.qualities),
        },
        "interpolation": {
            "error": "|curve - vmaf| of a quality left out, as a share of how far apart its two "
            f"neighbours' VMAF lie, but of no less than {SMALLEST_DROP:g}; source-level quantiles, "
            "by encoder",
            "smallest_drop": SMALLEST_DROP,
            "shares": {
                encoder: _table_document(table)
                for encoder, table in calibration.interpolation.items()
            },
        },
    }


def _tables_document(tables: Mapping[Rule, QuantileTable]) -> dict[str, Any]:
    return {rule: _table_document(table) for rule, table in tables.items()}


def _table_document(table: QuantileTable) -> dict[str, Any]:
    pairs = zip(table.levels, table.quantiles, strict=True)
    return {
        "sigma_floor": table.floor,
        "highest_level": table.highest_level,
        "quantiles": {repr(level): quantile for level, quantile in pairs},
    }


def _ranges_document(ranges: Mapping[str, Range]) -> dict[str, Any]:
    return {name: {"min": r.low, "max": r.high} for name, r in ranges.items()}


def _coverage_document(coverage: Coverage) -> dict[str, Any]:
    measured = coverage.measured
    return {
        "unit": coverage.unit,
        "rule": coverage.rule,
        "level": coverage.level,
        "mean_coverage": coverage.coverage if measured else None,
        "standard_error": coverage.standard_error if measured else None,
        "mean_width": coverage.width if measured else None,
        "by_source": [_group_document(group) for group in coverage.by_source],
        "by_encoder": [_group_document(group) for group in coverage.by_encoder],
    }


def _group_document(group: GroupCoverage) -> dict[str, Any]:
    return {
        "name": group.name,
        "rows": group.rows,
        "coverage": group.coverage,
        "mean_width": group.width,
    }


# --- reading ---------------------------------------------------------------------------------


def read_calibration(path: UPath) -> Calibration:
    """Read the file back.

    Raises
    ------
    UnusableInput
        If it is missing, is no calibration of this version, or holds a quantile that can't be one.
    """
    return parse_calibration(store.read(path, "a calibration"), str(path))


def parse_calibration(data: bytes, where: str) -> Calibration:
    """The calibration in ``data``, which was read from ``where``."""
    top = _Part(parse_json(data, where), where, "")
    version = top.number("schema_version")
    if version != SCHEMA_VERSION:
        raise UnusableInput(
            f"{where}: expected 'schema_version' to be {SCHEMA_VERSION}, found {version:g}; "
            "use the fr-ensemble that wrote it, or make the candidate again."
        )
    corpus, trained_on = top.part("corpus"), top.part("trained_on")
    features = _ranges(trained_on.part("features"))
    if tuple(features) != CANONICAL_6:
        raise UnusableInput(
            f"{where}: expected 'trained_on.features' to be {', '.join(CANONICAL_6)}, found "
            f"{', '.join(features)}; make the candidate again."
        )
    return Calibration(
        corpus_sha256=corpus.text("sha256"),
        n_frames=int(corpus.number("n_frames")),
        n_encodes=int(corpus.number("n_encodes")),
        sources=tuple(corpus.texts("sources")),
        mean_sigma=top.number("mean_sigma"),
        frame=_tables(top.part("per_frame"), RULES),
        encode=_tables(top.part("per_encode"), RULES),
        plain=_tables(top.part("per_frame_plain"), ()),
        coverages=tuple(_coverage(part) for part in top.part("coverage").parts("results")),
        trained_on=TrainedOn(features, _ranges(trained_on.part("cq"))),
        interpolation={
            encoder: _table(part, "source")
            for encoder, part in top.part("interpolation").part("shares").named_parts()
        },
    )


class _Part:
    """An object inside the file, which knows where it lies and asks for what must be there."""

    def __init__(self, value: Any, where: str, name: str) -> None:
        self._where, self._name = where, name
        if not isinstance(value, dict):
            raise self.unlike("an object", value)
        self._value: dict[str, Any] = value

    def unlike(self, wanted: str, found: Any, key: str = "") -> UnusableInput:
        name = ".".join(part for part in (self._name, key) if part)
        told = f"'{name}'" if name else "the file"
        return UnusableInput(
            f"{self._where}: expected {told} to be {wanted}, found {str(found)[:40]!r}; the file "
            "was altered, make the candidate again."
        )

    def part(self, key: str) -> _Part:
        return _Part(self._value.get(key), self._where, f"{self._name}.{key}".lstrip("."))

    def has(self, key: str) -> bool:
        return key in self._value

    def named_parts(self) -> list[tuple[str, _Part]]:
        return [(key, self.part(key)) for key in self._value]

    def parts(self, key: str) -> list[_Part]:
        value = self._value.get(key)
        if not isinstance(value, list):
            raise self.unlike("a list", value, key)
        return [_Part(v, self._where, f"{self._name}.{key}[{n}]") for n, v in enumerate(value)]

    def number(self, key: str) -> float:
        value = self._value.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
        raise self.unlike("a finite number", value, key)

    def text(self, key: str) -> str:
        value = self._value.get(key)
        if not isinstance(value, str):
            raise self.unlike("text", value, key)
        return value

    def texts(self, key: str) -> list[str]:
        value = self._value.get(key)
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise self.unlike("a list of texts", value, key)
        return value

    def names(self) -> list[str]:
        return list(self._value)


def _tables(part: _Part, required: tuple[Rule, ...]) -> dict[Rule, QuantileTable]:
    return {
        rule: _table(part.part(rule), rule) for rule in RULES if rule in required or part.has(rule)
    }


def _table(part: _Part, rule: Rule) -> QuantileTable:
    listed = part.part("quantiles")
    quantiles = tuple(listed.number(key) for key in listed.names())
    try:
        levels = tuple(float(key) for key in listed.names())
    except ValueError as error:
        raise part.unlike("quantiles by level", error) from error
    highest, floor = part.number("highest_level"), part.number("sigma_floor")
    rising = all(a < b for a, b in pairwise(levels))
    widening = all(a <= b for a, b in pairwise(quantiles))
    if not levels or not rising or levels[0] <= 0 or levels[-1] >= 1:
        raise part.unlike("quantiles by rising level between 0 and 1", levels)
    if not widening or quantiles[0] < 0 or floor < 0:
        raise part.unlike("quantiles that never fall, and none below 0", quantiles)
    if abs(highest - levels[-1]) > LEVEL_TOLERANCE:
        raise part.unlike("listed up to its highest level", highest, "highest_level")
    return QuantileTable(rule, floor, highest, levels, quantiles)


def _ranges(part: _Part) -> dict[str, Range]:
    found = {}
    for name, ends in part.named_parts():
        found[name] = Range(ends.number("min"), ends.number("max"))
        if found[name].low > found[name].high:
            raise ends.unlike("a range", found[name])
    return found


def _coverage(part: _Part) -> Coverage:
    unit = next((unit for unit in UNITS if unit == part.text("unit")), None)
    rule = next((rule for rule in RULES if rule == part.text("rule")), None)
    if unit is None or rule is None:
        raise part.unlike(f"of {', '.join(UNITS)} and of {', '.join(RULES)}", part.text("unit"))
    by_source, by_encoder = (
        tuple(_group(group) for group in part.parts(key)) for key in ("by_source", "by_encoder")
    )
    return Coverage(unit, rule, part.number("level"), by_source, by_encoder)


def _group(part: _Part) -> GroupCoverage:
    return GroupCoverage(
        part.text("name"),
        int(part.number("rows")),
        part.number("coverage"),
        part.number("mean_width"),
    )
