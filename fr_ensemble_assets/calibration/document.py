"""``calibration.json``: the calibration as a file beside the members, written and read back.

It holds every rule, with what it promises and on what assumption, so that whoever finds the file
alone can compute an interval and knows what that is worth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from upath import UPath

from fr_ensemble_assets.calibration.calibrate import Calibration, Range, TrainedOn
from fr_ensemble_assets.calibration.coverage import AllSources, Coverage, GroupCoverage
from fr_ensemble_assets.calibration.interpolation import SMALLEST_DROP
from fr_ensemble_assets.calibration.mean_curve import MeanCurve
from fr_ensemble_assets.calibration.rules import (
    RULES,
    SIGMA_FLOOR,
    QuantileTable,
    Rule,
)
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.files import json_bytes
from fr_ensemble_assets.training.recentre import (
    HIGHEST,
    LOWEST,
    RECENTRE_VERSION,
    TERMS,
    Correction,
)

if TYPE_CHECKING:
    from fr_ensemble_assets.calibration.schema import (
        CoverageDocument,
        PlainTablesDocument,
        RangeDocument,
        RecentringDocument,
        TableDocument,
        TablesDocument,
    )

CALIBRATION_FILE = "calibration.json"
SCHEMA_VERSION = 1

_JACKKNIFE = (
    "Residuals are those of members trained without the source, while the shipped members saw all "
    "sources: that is the plain jackknife, for which no distribution-free bound is known (1 - 2 "
    "alpha is jackknife+'s and CV+'s, which are other intervals; Barber et al. 2021). What was "
    "measured on sources left out is under 'coverage', seen through one set of five seeds."
)
_RECENTRED = (
    "a member's prediction p minus the sum of coefficient * term, brought into 0..100. Terms, in "
    "this order, of p clamped to lowest..highest and divided by 100, and of the standardised "
    "features clamped to the member's low..high; 'prediction above k' is max(p - k / 100, 0), "
    "encoder0.. are the encoder columns of the codec block. Fitted by ridge regression on the rows "
    "that the member was trained on, and for the folds' models alike"
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
        "promises": "nothing that is proved; it aims at 1 - alpha of frames like those of the "
        "corpus, for alpha >= 1 / (n + 1)",
        "assumes": "new frames are exchangeable with the corpus' frames, which those of another "
        f"video are not. {_JACKKNIFE}",
        "reference": "Lei et al. 2018; Romano, Patterson and Candès 2019",
    },
    "source": {
        "interval": "mu ± q * max(sigma, sigma_floor), q the 1 - alpha quantile of the same scores "
        "where each of the K sources weighs 1 / (K + 1), spread over its rows, and the unseen "
        "source weighs 1 / (K + 1) at infinity",
        "promises": "nothing that is proved; it aims at 1 - alpha on average over new sources and "
        "their rows, not in each of them, for alpha >= 1 / (K + 1)",
        "assumes": "the new source is exchangeable with the corpus' sources: as if drawn from the "
        f"same pool of videos, encoders and qualities. {_JACKKNIFE}",
        "reference": "Dunn, Wasserman and Ramdas 2022; Lee, Barber and Willett 2023",
    },
}


# --- writing ---------------------------------------------------------------------------------


def calibration_bytes(calibration: Calibration) -> bytes:
    """The file's bytes; the same calibration gives the same ones, and is written out once."""
    data = next((data for known, data in _last if known is calibration), None)
    if data is None:
        data = json_bytes(calibration_document(calibration))
        _last[:] = [(calibration, data)]
    return data


#: The calibration that was written out last: whoever names its digest asks for the bytes too.
_last: list[tuple[Calibration, bytes]] = []


def calibration_document(calibration: Calibration) -> dict[str, Any]:
    """The file as an object."""
    raw = calibration.corrections is None
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
        "mu": "mean of the members, "
        + ("brought into 0..100" if raw else "each recentred as 'recentring' has it"),
        "sigma": "sample deviation of the members (ddof = 1); of an encode: of their pooled means",
        "sigma_floor": calibration.floor,
        "mean_sigma": calibration.mean_sigma,
        "bounds": "brought into 0..100; a level that is not listed takes the next higher one",
        "rules": {rule: dict(_ASSUMES[rule]) for rule in RULES},
        "per_frame": _tables_document(calibration.frame),
        "per_encode": _tables_document(calibration.encode),
        "per_frame_plain": {
            "interval": "mean ± q * sigma of the members as they are, neither recentred nor with a "
            "floor, beyond 0..100 where it goes there: what the manifest's consumers compute; its "
            "conformal_q_residual is q of the first rule of source and frame that carries the "
            "level, times mean_sigma over the mean sigma of the shipped members on the same frames",
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
            **_mean_curves_document(calibration.mean_curves),
        },
        **_recentring_document(calibration.corrections),
    }


def _mean_curves_document(curves: Mapping[str, MeanCurve]) -> dict[str, Any]:
    if not curves:
        return {}
    told = {name: {"cq": [*c.qualities], "vmaf": [*c.vmaf]} for name, c in curves.items()}
    return {
        "along": "the curve runs over the encoder's mean VMAF at a quality (PCHIP, straight on "
        "beyond the ends), where 'mean_curves' has it; else over the quality itself",
        "mean_curves": told,
    }


def _recentring_document(corrections: Sequence[Correction] | None) -> dict[str, Any]:
    if corrections is None:
        return {}
    return {
        "recentring": {
            "version": RECENTRE_VERSION,
            "recentred": _RECENTRED,
            "lowest": LOWEST,
            "highest": HIGHEST,
            "terms": [*TERMS],
            "members": [correction.to_json() for correction in corrections],
        }
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
        **({"n_sources": coverage.n_sources} if coverage.over_all else {}),
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
    from fr_ensemble_assets.calibration.schema import CalibrationDocument
    from fr_ensemble_assets.foundation.documents import parse_document

    document = parse_document(CalibrationDocument, data, where)
    corpus, trained_on = document.corpus, document.trained_on
    shares = document.interpolation.shares
    return Calibration(
        corpus_sha256=corpus.sha256,
        n_frames=corpus.n_frames,
        n_encodes=corpus.n_encodes,
        sources=corpus.sources,
        mean_sigma=document.mean_sigma,
        frame=_tables(document.per_frame),
        encode=_tables(document.per_encode),
        plain=_tables(document.per_frame_plain),
        coverages=tuple(_coverage(one) for one in document.coverage.results),
        trained_on=TrainedOn(_ranges(trained_on.features), _ranges(trained_on.cq)),
        interpolation={encoder: _table("source", share) for encoder, share in shares.items()},
        mean_curves={
            encoder: MeanCurve(curve.cq, curve.vmaf)
            for encoder, curve in document.interpolation.mean_curves.items()
        },
        floor=SIGMA_FLOOR if document.sigma_floor is None else document.sigma_floor,
        corrections=_corrections(document.recentring),
    )


def _corrections(document: RecentringDocument | None) -> tuple[Correction, ...] | None:
    if document is None:
        return None
    return tuple(Correction(one.low, one.high, one.coefficients) for one in document.members)


def _tables(tables: TablesDocument | PlainTablesDocument) -> dict[Rule, QuantileTable]:
    told = {rule: getattr(tables, rule, None) for rule in RULES}
    return {rule: _table(rule, table) for rule, table in told.items() if table is not None}


def _table(rule: Rule, table: TableDocument) -> QuantileTable:
    quantiles = tuple(table.quantiles.values())
    return QuantileTable(rule, table.sigma_floor, table.highest_level, table.levels, quantiles)


def _ranges(ranges: Mapping[str, RangeDocument]) -> dict[str, Range]:
    return {name: Range(ends.min, ends.max) for name, ends in ranges.items()}


def _coverage(document: CoverageDocument) -> Coverage:
    by_source, by_encoder = (
        tuple(GroupCoverage(g.name, g.rows, g.coverage, g.mean_width) for g in groups)
        for groups in (document.by_source, document.by_encoder)
    )
    over_all = _over_all(document)
    return Coverage(document.unit, document.rule, document.level, by_source, by_encoder, over_all)


def _over_all(document: CoverageDocument) -> AllSources | None:
    figures = (document.mean_coverage, document.standard_error, document.mean_width)
    if document.n_sources is None or None in figures:
        return None
    coverage, error, width = (float(figure or 0.0) for figure in figures)
    return AllSources(document.n_sources, coverage, error, width)
