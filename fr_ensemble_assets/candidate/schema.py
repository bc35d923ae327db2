"""``digests.json`` as a type: what hangs from a candidate's root."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import ConfigDict

from fr_ensemble_assets.foundation.documents import Document, Sha256


class DigestsDocument(Document):
    """The sha256 of every file of a candidate; the manifest names the sha256 of this one.

    Attributes
    ----------
    manifest_without_digests
        Of the manifest as it is without its key ``digests``, which names this file.
    files
        By name, of all files but the manifest and this one.
    """

    model_config = ConfigDict(title="digests.json")
    advice: ClassVar[str] = "the file was altered, make the candidate again"

    schema_version: Literal[1]
    algorithm: Literal["sha256"]
    manifest_without_digests: Sha256
    files: dict[str, Sha256]
