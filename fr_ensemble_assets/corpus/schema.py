"""``corpus.json`` as a type: the note beside a stored corpus."""

from __future__ import annotations

from typing import ClassVar

from pydantic import ConfigDict

from fr_ensemble_assets.foundation.documents import Count, Document, Sha256


class OriginDocument(Document):
    """Where a stored corpus came from, and what was left out of it.

    Attributes
    ----------
    sha256, n_rows
        What was kept.
    read_from
        The path, or the shards of the clips folder, in words.
    files
        Those that were read, in order.
    rows_read, repeats_dropped
        Before and without rows that repeat another one exactly.
    extra_keys
        Keys that are no columns of a corpus.
    ignored
        Files in a folder that are no shards.
    """

    model_config = ConfigDict(title="store/<corpus sha256>/corpus.json")
    advice: ClassVar[str] = "materialise 'corpus' again from its source"

    sha256: Sha256
    n_rows: Count
    read_from: str
    files: tuple[str, ...] = ()
    rows_read: Count | None = None
    repeats_dropped: Count | None = None
    extra_keys: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
