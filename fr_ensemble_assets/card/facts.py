"""What a model card says, as values; and the file that keeps them: ``model_card.json``.

Text, tables, plots and page are all made from these values alone, so that a card can't say
anything else than its evidence, and can be made again from a candidate without the corpus.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from fr_ensemble_assets.calibration.coverage import Coverage
from fr_ensemble_assets.card.challenge import Challenge
from fr_ensemble_assets.foundation.documents import read_object
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import json_bytes

FACTS_FILE = "model_card.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Mean:
    """A mean over sources, and how far chance may move it.

    Attributes
    ----------
    value
        The mean, each source weighing the same.
    half
        Half the width of its 95 % confidence interval by Student's t over the sources; ``None``
        with fewer than two.
    sources
        How many sources it is over: those where the figure is defined.
    """

    value: float
    half: float | None
    sources: int


@dataclass(frozen=True)
class Group:
    """One source's or one encoder's figures, out of fold.

    Attributes
    ----------
    name, rows, encodes
        What it is, and how much of it there is.
    plcc, srocc, rmse, bias
        Of the ensemble's mean against VMAF; bias is predicted less measured. For an encoder each
        is the mean over sources. ``None`` where undefined.
    rmse_half
        Half the width of the 95 % confidence interval of an encoder's ``rmse`` over sources.
    plcc_seeds, rmse_seeds
        The least and the greatest of the single members'. Empty for encoders.
    """

    name: str
    rows: int
    encodes: int
    plcc: float | None
    srocc: float | None
    rmse: float | None
    bias: float | None
    rmse_half: float | None
    plcc_seeds: tuple[float, ...]
    rmse_seeds: tuple[float, ...]


@dataclass(frozen=True)
class Baseline:
    """A simpler predictor on the same folds."""

    name: str
    plcc: Mean | None
    rmse: Mean


@dataclass(frozen=True)
class EncoderData:
    """What the corpus has of one encoder."""

    name: str
    rows: int
    low: float
    high: float
    presets: tuple[str, ...]


@dataclass(frozen=True)
class ClipData:
    """Where one source comes from; empty texts where nobody recorded it."""

    source: str
    seen: str
    origin: str
    licence: str
    size: str
    sha256: str


@dataclass(frozen=True)
class FeatureRange:
    """The values of a feature that training saw."""

    name: str
    low: float
    high: float


@dataclass(frozen=True)
class EncodePoint:
    """An encode, predicted by members that never saw its source; in VMAF."""

    source: str
    encoder: str
    measured: float
    predicted: float


@dataclass(frozen=True)
class MemberData:
    """A member's file, its digest, and its seed's mean PLCC over the sources left out."""

    seed: int
    onnx: str
    sha256: str
    loso_plcc: float


@dataclass(frozen=True)
class Facts:
    """Everything that a card says.

    Attributes
    ----------
    version
        Of the platform that computed it.
    verdict, mean_plcc, plcc_spread, mean_plcc_min, plcc_spread_max
        The gate's figures (ADR-0303) and its thresholds.
    plcc, rmse
        Of the ensemble's mean, over the sources.
    sigma_rank
        Spearman's correlation of the members' deviation with their error: whether disagreement
        says anything. ``None`` if undefined.
    recipe
        Hyperparameters by name.
    points, points_left_out
        Encodes to draw, evenly taken, and how many are not among them.
    challenge
        Against the candidate before this one; ``None`` for the first.
    """

    version: str
    corpus_sha256: str
    n_rows: int
    n_encodes: int
    verdict: str
    mean_plcc: float
    plcc_spread: float
    mean_plcc_min: float
    plcc_spread_max: float
    members: tuple[MemberData, ...]
    plcc: Mean
    rmse: Mean
    sigma_rank: float | None
    sources: tuple[Group, ...]
    encoders: tuple[Group, ...]
    baselines: tuple[Baseline, ...]
    coverages: tuple[Coverage, ...]
    features: tuple[FeatureRange, ...]
    data: tuple[EncoderData, ...]
    never_seen: tuple[str, ...]
    clips: tuple[ClipData, ...]
    recipe: dict[str, float]
    points: tuple[EncodePoint, ...]
    points_left_out: int
    challenge: Challenge | None


def facts_bytes(facts: Facts) -> bytes:
    """The file's bytes; the same facts give the same ones."""
    return json_bytes({"schema_version": SCHEMA_VERSION, **asdict(facts)})


def parse_facts(data: bytes, where: str) -> Facts:
    """The facts in ``data``, which was read from ``where``.

    Raises
    ------
    UnusableInput
        If it isn't what :func:`facts_bytes` writes.
    """
    import pydantic

    try:
        document = read_object(data, where)
        version = document.pop("schema_version")
        if version != SCHEMA_VERSION:
            raise ValueError(f"schema version {version}")
        return pydantic.TypeAdapter(Facts).validate_json(json_bytes(document), strict=True)
    except UnusableInput:
        raise
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise UnusableInput(
            f"{where}: expected the facts of a model card, found "
            f"'{(str(error).splitlines() or [''])[0][:120]}'; make the candidate again."
        ) from error
