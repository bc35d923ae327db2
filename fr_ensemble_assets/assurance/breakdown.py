"""Where the ensemble is good and where it isn't: by encoder and source, per frame and encode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from fr_ensemble_assets.assurance.outcome import Floats, Outcome, rmse
from fr_ensemble_assets.corpus.identity import places_of
from fr_ensemble_assets.evidence.metrics import agreement
from fr_ensemble_assets.foundation.schema import ENCODER_VOCABULARY, UNKNOWN_ENCODER

_CODEC_OF = {
    "libx264": "h264",
    "libx265": "hevc",
    "libsvtav1": "av1",
    "libvvenc": "vvc",
    "libvpx-vp9": "vp9",
}
#: A correlation over fewer sources says nothing.
_FEWEST_SOURCES = 3


@dataclass(frozen=True)
class GroupAgreement:
    """How predictions agree with VMAF on some rows, out of fold.

    Attributes
    ----------
    name, rows
        Which rows, and how many.
    plcc
        ``None`` where undefined.
    rmse, mae
        In VMAF.
    slope
        Of VMAF on the prediction, least squares: 1 where differences are told at their size;
        ``None`` where predictions don't differ.
    worst_source, worst_rmse
        The source with the greatest RMSE among these rows, and that.
    """

    name: str
    rows: int
    plcc: float | None
    rmse: float
    mae: float
    slope: float | None
    worst_source: str
    worst_rmse: float


@dataclass(frozen=True)
class Breakdown:
    """All tables.

    Attributes
    ----------
    by_encoder, by_family
        Frames by encoder, and by the format that it writes (contracts ask for neither; ADR-0320).
    frames_by_source, encodes_by_source
        By held-out source.
    within_cells
        Median PLCC across sources within an (encoder, quality) cell: what is left when neither can
        tell; ``None`` where no cell has three sources.
    fisher
        95 % interval of the seeds' mean PLCC by Fisher's z over the sources; ``None`` where one is
        undefined.
    sigma_rank
        Spearman's correlation of sigma and |error|: whether sigma carries information.
    """

    by_encoder: tuple[GroupAgreement, ...]
    by_family: tuple[GroupAgreement, ...]
    frames_by_source: tuple[GroupAgreement, ...]
    encodes_by_source: tuple[GroupAgreement, ...]
    within_cells: float | None
    fisher: tuple[float, float] | None
    sigma_rank: float | None


def breakdown(outcome: Outcome) -> Breakdown:
    """Cut the out-of-fold predictions every way that a person asks for."""
    corpus, encodes = outcome.corpus, outcome.encodes
    frames = _Rows(outcome.mu, corpus.target, corpus.source_index.astype(np.intp), corpus.sources)
    pooled = _Rows(encodes.mu, encodes.target, encodes.source_index, corpus.sources)
    encoder, encoders = pd.factorize(corpus.frame["encoder"], sort=True)
    of_encoder = np.array([family_of(name) for name in encoders], dtype=object)
    family, families = pd.factorize(of_encoder, sort=True)
    return Breakdown(
        by_encoder=_groups(encoder, [*encoders], frames),
        by_family=_groups(family[encoder], [*families], frames),
        frames_by_source=_groups(frames.source_index, corpus.sources, frames),
        encodes_by_source=_groups(pooled.source_index, corpus.sources, pooled),
        within_cells=_within_cells(outcome),
        fisher=fisher_interval(outcome.fold_plcc),
        sigma_rank=agreement(outcome.sigma, np.abs(outcome.mu - corpus.target)).srocc,
    )


def family_of(encoder: str) -> str:
    """The format that an encoder writes, by its name."""
    if encoder in _CODEC_OF:
        return _CODEC_OF[encoder]
    return encoder.split("_")[0] if encoder in ENCODER_VOCABULARY else UNKNOWN_ENCODER


@dataclass(frozen=True)
class _Rows:
    mu: Floats
    target: Floats
    source_index: npt.NDArray[np.intp]
    sources: Sequence[str]


def _groups(
    numbers: npt.NDArray[np.intp], names: Sequence[str], rows: _Rows
) -> tuple[GroupAgreement, ...]:
    places = places_of(numbers, len(names))
    return tuple(_group(str(name), mine, rows) for name, mine in zip(names, places, strict=True))


def _group(name: str, mine: npt.NDArray[np.intp], rows: _Rows) -> GroupAgreement:
    mu, target = rows.mu[mine], rows.target[mine]
    squared, index = (mu - target) ** 2, rows.source_index[mine]
    counts = np.bincount(index, minlength=len(rows.sources))
    means = np.bincount(index, squared, minlength=len(counts)) / np.maximum(counts, 1)
    worst = int(means.argmax())
    varies = float(np.ptp(mu)) > 0
    return GroupAgreement(
        name=name,
        rows=len(mu),
        plcc=agreement(mu, target).plcc,
        rmse=rmse(mu, target),
        mae=float(np.abs(mu - target).mean()),
        slope=float(np.cov(mu, target)[0, 1] / mu.var(ddof=1)) if varies else None,
        worst_source=rows.sources[worst],
        worst_rmse=float(np.sqrt(means[worst])),
    )


def _within_cells(outcome: Outcome) -> float | None:
    encodes = outcome.encodes
    found = []
    for cell in range(int(encodes.cell.max()) + 1):
        mine = encodes.cell == cell
        if mine.sum() >= _FEWEST_SOURCES:
            found.append(agreement(encodes.mu[mine], encodes.target[mine]).plcc)
    defined = [plcc for plcc in found if plcc is not None]
    return float(np.median(defined)) if defined else None


def fisher_interval(fold_plcc: Floats) -> tuple[float, float] | None:
    """Student's interval over the sources of the seeds' mean z = artanh(PLCC), taken back.

    Sources are what was drawn, so that the interval is theirs, not the frames'.
    """
    from scipy.special import stdtrit

    n = fold_plcc.shape[1]
    if n < 2 or not (np.abs(fold_plcc) < 1).all():
        return None
    z = np.arctanh(fold_plcc).mean(axis=0)
    half = float(stdtrit(n - 1, 0.975)) * z.std(ddof=1) / np.sqrt(n)
    low, high = np.tanh([z.mean() - half, z.mean() + half])
    return float(low), float(high)
