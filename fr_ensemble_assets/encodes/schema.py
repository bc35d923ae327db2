"""Scored cells, and the note beside a made corpus, as types."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field

from fr_ensemble_assets.foundation.documents import Count, Document, Finite, Sha256

Column = tuple[Finite, ...]


class ClipContentDocument(Document):
    """What a clip's frames depend on; ``raw`` is how a headerless file is read."""

    sha256: Sha256
    rate: str
    raw: dict[str, Any] | None


class CellIdentityDocument(Document):
    """Everything that a cell's rows depend on; the file's name has its digest.

    Attributes
    ----------
    arguments
        With which ffmpeg encoded.
    conversion
        How frames were converted before.
    teacher
        libvmaf's model.
    """

    cell_version: int
    clip: ClipContentDocument
    encoder: str
    quality: Finite
    preset: str
    arguments: tuple[str, ...]
    conversion: tuple[str, ...]
    frames: Count
    teacher: str
    ffmpeg: str


class CellDocument(Document):
    """One encode of one clip, every frame scored (docs/generating.md).

    Attributes
    ----------
    sha256
        Over all that follows, so that an alteration is noticed and the cell made again.
    command
        The whole call of ffmpeg.
    enc_bytes, enc_time_ms
        Size and time of the encode.
    vmaf, adm2, vif_scale0, vif_scale1, vif_scale2, vif_scale3, motion2
        One number a frame.
    """

    model_config = ConfigDict(title="cells/<clip sha256>/<encoder>-<quality>-<digest>.json")
    advice: ClassVar[str] = "delete the file, the cell is made again"

    sha256: Sha256
    made_from: CellIdentityDocument
    command: tuple[str, ...]
    enc_bytes: Annotated[int, Field(ge=0, lt=1 << 63)]
    enc_time_ms: Finite
    vmaf: Column
    adm2: Column
    vif_scale0: Column
    vif_scale1: Column
    vif_scale2: Column
    vif_scale3: Column
    motion2: Column


class GridDocument(Document):
    """What every clip was encoded at.

    Attributes
    ----------
    qualities
        By encoder.
    frames, every
        How many frames of each clip (0 for all), of which one in so many became a row.
    """

    qualities: dict[str, tuple[Finite, ...]]
    frames: Count
    every: Count
    teacher: str


class ClipDocument(Document):
    """A reference clip, wherever it lay."""

    file: str
    src: str
    sha256: Sha256
    size_bytes: Count
    width: Count
    height: Count
    frames: Count
    rate: str
    pixel_format: str
    full_range: bool
    reference_format: str
    raw: dict[str, Any] | None


class WayDocument(Document):
    """With which arguments ffmpeg encoded."""

    encoder: str
    quality: Finite
    preset: str
    arguments: tuple[str, ...]
    conversion: tuple[str, ...]


class ProvenanceDocument(Document):
    """Where the rows of a made corpus came from (docs/generating.md).

    Attributes
    ----------
    file, file_sha256, rows
        The corpus beside this note.
    encodes
        Each way of encoding once, whatever the number of clips.
    failed, refused_clips, ignored_files
        What is not in the corpus, and why.
    """

    model_config = ConfigDict(title="<corpus file>.provenance.json")

    file: str
    file_sha256: Sha256
    rows: Count
    ffmpeg: str
    grid: GridDocument
    clips: tuple[ClipDocument, ...]
    encodes: tuple[WayDocument, ...]
    failed: tuple[str, ...]
    refused_clips: tuple[str, ...]
    ignored_files: tuple[str, ...]
