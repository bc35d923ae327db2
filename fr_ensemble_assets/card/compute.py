"""The facts of a card, computed from corpus, verdict and out-of-fold predictions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fr_ensemble_assets import __version__
from fr_ensemble_assets.calibration.calibrate import Calibration
from fr_ensemble_assets.calibration.pooling import OutOfFold, pool_encodes
from fr_ensemble_assets.card.baselines import baselines
from fr_ensemble_assets.card.challenge import Challenge
from fr_ensemble_assets.card.clips import clips_of
from fr_ensemble_assets.card.facts import (
    EncodePoint,
    EncoderData,
    Facts,
    Group,
)
from fr_ensemble_assets.card.inside import known_inside, seed_ends
from fr_ensemble_assets.card.means import mean_of_defined, mean_over
from fr_ensemble_assets.contract.agreed import Contract
from fr_ensemble_assets.corpus.identity import Corpus, places_of
from fr_ensemble_assets.evidence.metrics import Agreement, agreement
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.schema import PRESET
from fr_ensemble_assets.gate.verdict import Judgement

#: A plot of more encodes than this is a blot, and a page of them too large.
_POINTS_AT_MOST = 2000

Floats = npt.NDArray[np.float64]


def facts_of(
    corpus: Corpus,
    contract: Contract,
    judgement: Judgement,
    frames: OutOfFold,
    calibration: Calibration,
    members: Mapping[int, str],
    note: Mapping[str, Any] | None = None,
    challenge: Challenge | None = None,
) -> Facts:
    """Everything that a card says of the ensemble trained on ``corpus``.

    Parameters
    ----------
    frames
        Out-of-fold predictions of the very results that ``judgement`` judged.
    members
        sha256 of each seed's ONNX file.
    note
        What was noted when the corpus was made, if anything.
    challenge
        Against the candidate before this one, if there is one.

    Raises
    ------
    UnusableInput
        If the verdict's figures are undefined.
    """
    if judgement.decision.mean_plcc is None or judgement.decision.plcc_spread is None:
        raise UnusableInput("model card: expected a verdict with figures, found undefined ones.")
    points = encode_points(pool_encodes(frames))
    kept = points[:: math.ceil(len(points) / _POINTS_AT_MOST)]
    per_source = [agreement(frames.mu[rows], frames.target[rows]) for rows in _by_source(frames)]
    plcc = mean_of_defined([a.plcc for a in per_source])
    if plcc is None:
        raise UnusableInput("model card: expected PLCC of a source, found all undefined.")
    return Facts(
        version=__version__,
        **known_inside(contract, judgement, calibration, members),
        plcc=plcc,
        rmse=mean_over([a.rmse for a in per_source if a.rmse is not None]),
        sigma_rank=agreement(frames.sigma, frames.residual).srocc,
        sources=source_groups(frames, judgement),
        encoders=encoder_groups(frames),
        baselines=baselines(corpus, contract.plan),
        data=_encoder_data(corpus),
        clips=clips_of(corpus, note),
        points=kept,
        points_left_out=len(points) - len(kept),
        challenge=challenge,
    )


# --- by source and by encoder ------------------------------------------------------------------


def _by_source(frames: OutOfFold) -> Sequence[npt.NDArray[np.intp]]:
    return places_of(frames.source_index, len(frames.sources))


def source_groups(frames: OutOfFold, judgement: Judgement) -> tuple[Group, ...]:
    """Each source as the ensemble predicts it when it was held out, and as single seeds do."""
    groups = []
    pooled, ends = pool_encodes(frames), seed_ends(judgement)
    encodes = np.bincount(pooled.source_index, minlength=len(frames.sources))
    for place, (name, rows) in enumerate(zip(frames.sources, _by_source(frames), strict=True)):
        target = frames.target[rows]
        whole = agreement(frames.mu[rows], target)
        plcc_seeds, rmse_seeds = ends[name]
        groups.append(
            Group(
                name=name,
                rows=len(rows),
                encodes=int(encodes[place]),
                plcc=whole.plcc,
                srocc=whole.srocc,
                rmse=whole.rmse,
                bias=float((frames.mu[rows] - target).mean()),
                rmse_half=None,
                plcc_seeds=plcc_seeds,
                rmse_seeds=rmse_seeds,
            )
        )
    return tuple(groups)


def encoder_groups(frames: OutOfFold) -> tuple[Group, ...]:
    """Each encoder: the mean over sources of what the ensemble reaches on that source with it."""
    names = frames.keys["encoder"].to_numpy(dtype=object)
    encodes = pool_encodes(frames).keys["encoder"].to_numpy(dtype=object)
    groups, sources = [], _by_source(frames)
    for name in sorted(set(names)):
        of_encoder = names == name
        found: list[Agreement] = []
        biases = []
        for of_source in sources:
            rows = of_source[of_encoder[of_source]]
            if len(rows):
                found.append(agreement(frames.mu[rows], frames.target[rows]))
                biases.append(float((frames.mu[rows] - frames.target[rows]).mean()))
        plcc, srocc, rmse = (
            mean_of_defined([getattr(a, figure) for a in found])
            for figure in ("plcc", "srocc", "rmse")
        )
        groups.append(
            Group(
                name=str(name),
                rows=int(of_encoder.sum()),
                encodes=int((encodes == name).sum()),
                plcc=plcc.value if plcc else None,
                srocc=srocc.value if srocc else None,
                rmse=rmse.value if rmse else None,
                bias=float(np.mean(biases)),
                rmse_half=rmse.half if rmse else None,
                plcc_seeds=(),
                rmse_seeds=(),
            )
        )
    return tuple(groups)


# --- the rest ----------------------------------------------------------------------------------


def encode_points(encodes: OutOfFold) -> tuple[EncodePoint, ...]:
    """Every encode, measured and predicted out of fold."""
    columns = (encodes.keys["src"], encodes.keys["encoder"], encodes.target, encodes.mu)
    return tuple(
        EncodePoint(str(source), str(encoder), round(float(measured), 3), round(float(mu), 3))
        for source, encoder, measured, mu in zip(*columns, strict=True)
    )


def _encoder_data(corpus: Corpus) -> tuple[EncoderData, ...]:
    found = []
    for name, rows in corpus.frame.groupby("encoder", sort=True, observed=True):
        presets: set[str] = set(rows[PRESET].dropna()) if PRESET in rows else set()
        low, high = float(rows["cq"].min()), float(rows["cq"].max())
        told = tuple(sorted(str(preset) for preset in presets))
        found.append(EncoderData(str(name), len(rows), low, high, told))
    return tuple(found)
