"""Between measured qualities: a monotone curve, and how far the truth strays from such curves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fr_ensemble_assets.calibration.mean_curve import MeanCurve, mean_curves
from fr_ensemble_assets.calibration.pooling import OutOfFold
from fr_ensemble_assets.calibration.rules import QuantileTable, WeightedScores, source_table

#: Stands for every encoder that the corpus can't speak for by itself.
ANY_ENCODER = "any"
#: In VMAF. Two qualities that score nearly alike span no less than this, so that noise between
#: them is not taken for a large share of nothing.
SMALLEST_DROP = 1.0
#: A curve through fewer has no quality to leave out.
MIN_QUALITIES = 3


def curve(
    quality: npt.NDArray[np.float64],
    value: npt.NDArray[np.float64],
    at: npt.NDArray[np.float64],
    along: MeanCurve | None = None,
) -> npt.NDArray[np.float64]:
    """PCHIP (Fritsch and Butland 1984) through ``value`` over ascending ``quality``.

    Monotone wherever the values are, and never beyond its two neighbours. ``along`` the encoder's
    mean curve, distances between qualities are those of its mean VMAF.
    """
    from scipy.interpolate import PchipInterpolator

    if along is not None:
        quality, at = along.at(quality), along.at(at)
        if quality[0] > quality[-1]:
            quality, at = -quality, -at
    return np.asarray(PchipInterpolator(quality, value)(at), dtype=np.float64)


def span(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How far apart two neighbours' VMAF lie, and no less than :data:`SMALLEST_DROP`."""
    return np.maximum(np.abs(one - other), SMALLEST_DROP)


@dataclass(frozen=True)
class LeftOut:
    """Measured qualities, each held against the curve through the others.

    Attributes
    ----------
    encoder
        Per quality that was left out; shape (n,).
    source_index
        The number of its source; shape (n,).
    share
        ``|curve - vmaf|`` as a share of the :func:`span` of its two neighbours; shape (n,). A
        share, because VMAF between two qualities mostly lies between theirs: where they are close
        it can't stray far, whatever the encoder's scale.
    error
        ``|curve - vmaf|`` itself, in VMAF; shape (n,).
    """

    encoder: npt.NDArray[np.object_]
    source_index: npt.NDArray[np.intp]
    share: npt.NDArray[np.float64]
    error: npt.NDArray[np.float64]


def leave_one_quality_out(encodes: OutOfFold, along_mean: bool = False) -> LeftOut:
    """Leave each quality but the outermost out of its (source, encoder[, preset]) in turn.

    Over the measured VMAF of whole encodes, not the predicted one: this is the error of the curve
    alone. Leaving one out doubles the gap: tried on six of its clips encoded at other qualities as
    well, the share that 95 % take held for 113 of 114 qualities between probes as dense as the
    corpus' own. It did not shrink near the probes, so that it is not made to.

    With ``along_mean`` the curves run along the encoder's mean curve, over the other sources: what
    a new source meets.
    """
    curves = [
        mean_curves(encodes, without=source) if along_mean else {}
        for source in range(len(encodes.sources))
    ]
    encoders: list[str] = []
    sources: list[int] = []
    shares: list[float] = []
    errors: list[float] = []
    quality_of = encodes.keys["cq"].to_numpy(dtype=np.float64)
    encoder_of = encodes.keys["encoder"].to_numpy(dtype=object)
    for rows in _ladders(encodes):
        quality, vmaf = quality_of[rows], encodes.target[rows]
        source = int(encodes.source_index[rows[0]])
        along = curves[source].get(str(encoder_of[rows[0]]))
        for place in range(1, len(rows) - 1):
            others = np.arange(len(rows)) != place
            asked = quality[place : place + 1]
            found = curve(quality[others], vmaf[others], asked, along)[0]
            apart = span(vmaf[place - 1 : place], vmaf[place + 1 : place + 2])[0]
            encoders.append(encoder_of[rows[0]])
            sources.append(source)
            errors.append(float(abs(found - vmaf[place])))
            shares.append(errors[-1] / float(apart))
    return LeftOut(
        np.array(encoders, dtype=object),
        np.array(sources, dtype=np.intp),
        np.array(shares),
        np.array(errors),
    )


def _ladders(encodes: OutOfFold) -> Iterator[npt.NDArray[np.intp]]:
    """The rows of each ladder that has an inner quality, by ascending quality."""
    columns = [column for column in encodes.keys.columns if column != "cq"]
    ladders = encodes.keys.groupby(columns, sort=True, dropna=False, observed=True)
    quality = encodes.keys["cq"].to_numpy(dtype=np.float64)
    for rows in ladders.indices.values():
        if len(rows) >= MIN_QUALITIES:
            yield np.asarray(rows)[np.argsort(quality[rows], kind="stable")]


def interpolation_by_encoder(encodes: OutOfFold) -> Mapping[str, QuantileTable]:
    """Source-level quantiles of the shares: of each encoder along its mean curve, and of any.

    What stands for any encoder has no mean curve to run along.
    """
    tables = interpolation_tables(leave_one_quality_out(encodes))
    along = interpolation_tables(leave_one_quality_out(encodes, along_mean=True))
    return {**tables, **{name: t for name, t in along.items() if name != ANY_ENCODER}}


def interpolation_tables(left_out: LeftOut) -> Mapping[str, QuantileTable]:
    """Source-level quantiles of the shares: of each encoder, and of any.

    Empty where the corpus has no ladder of three qualities: then nothing can be said in between.
    """
    if not len(left_out.share):
        return {}
    everywhere = np.full(len(left_out.share), True)
    of_encoder = {name: left_out.encoder == name for name in sorted(set(left_out.encoder))}
    tables = {}
    for name, rows in ({ANY_ENCODER: everywhere} | of_encoder).items():
        scores = WeightedScores.of(left_out.share[rows], left_out.source_index[rows])
        table = source_table(scores, floor=0.0)
        if table is not None:
            tables[name] = table
    return tables
