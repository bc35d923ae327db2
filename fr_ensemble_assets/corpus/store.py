"""The corpus as it is kept: ``store/<sha256>/corpus.parquet`` and a note of where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from upath import UPath

from fr_ensemble_assets.corpus.identity import Corpus, canonical_order, content_sha256
from fr_ensemble_assets.corpus.provenance import keep_note
from fr_ensemble_assets.corpus.reader import Reading
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import SHORT_SHA_LENGTH, Home
from fr_ensemble_assets.foundation.schema import COLUMNS, REQUIRED
from fr_ensemble_assets.foundation.tables import read_parquet, write_parquet
from fr_ensemble_assets.foundation.wording import listed, one_line, shown

if TYPE_CHECKING:
    from fr_ensemble_assets.corpus.schema import OriginDocument

CORPUS_FILE = "corpus.parquet"
ORIGIN_FILE = "corpus.json"
_NAME_LIMIT = 60


def save_corpus(
    home: Home, reading: Reading, origin: str, note: Mapping[str, Any] | None = None
) -> None:
    """Keep a corpus under its sha256, with a note of its clips if there is one.

    What was read from where (``origin``) is noted last.
    """
    folder = home.corpus_dir(reading.corpus.sha256)
    if not is_stored(home, reading.corpus):
        table = pa.Table.from_pandas(reading.corpus.frame, preserve_index=False)
        write_parquet(folder / CORPUS_FILE, table)
    keep_note(folder, note)
    store.put_json(folder / ORIGIN_FILE, _origin(reading, origin))


def is_stored(home: Home, corpus: Corpus) -> bool:
    """Whether the store holds exactly this content."""
    if not store.exists(home.corpus_dir(corpus.sha256) / CORPUS_FILE):
        return False
    try:
        return load_corpus(home, corpus.sha256).n_rows == corpus.n_rows
    except UnusableInput:
        return False


def load_corpus(home: Home, sha256: str) -> Corpus:
    """Read a stored corpus and prove that its content is still what its name says.

    What was proved stays in this process' memory while the file looks the same from outside; what
    is worked on is then what was proved, whatever lies there by now.

    Raises
    ------
    UnusableInput
        If it isn't there, is damaged, or hashes to another sha256.
    """
    path = home.corpus_dir(sha256) / CORPUS_FILE
    looks = store.stamp(path)
    if looks is None:
        return _load(path, sha256)
    return _load_once(path, sha256, looks)


@lru_cache(maxsize=2)
def _load_once(path: UPath, sha256: str, looks: store.Looks) -> Corpus:  # noqa: ARG001 (a key)
    return _load(path, sha256)


def _load(path: UPath, sha256: str) -> Corpus:
    table = read_parquet(path, "a stored corpus")
    if not set(REQUIRED) <= set(table.column_names) <= set(COLUMNS):
        raise UnusableInput(
            f"{path}: expected the columns of a corpus, found {listed(table.column_names)}; "
            "the file was altered, materialise 'corpus' again from its source."
        )
    try:
        frame = canonical_order(table.to_pandas())
        found = content_sha256(frame)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise UnusableInput(
            f"{path}: expected a corpus' types, found '{shown(error)}'; "
            "the file was altered, materialise 'corpus' again from its source."
        ) from error
    if found != sha256:
        raise UnusableInput(
            f"{path}: expected content with the sha256 {sha256}, found {found}; "
            "the file was altered, materialise 'corpus' again from its source."
        )
    return Corpus(sha256, frame)


def read_origin(home: Home, sha256: str) -> OriginDocument:
    """Where a stored corpus came from.

    Raises
    ------
    UnusableInput
        If the note is missing or damaged.
    """
    from fr_ensemble_assets.corpus.schema import OriginDocument
    from fr_ensemble_assets.foundation.documents import parse_document

    path = home.corpus_dir(sha256) / ORIGIN_FILE
    return parse_document(OriginDocument, store.read(path, "a corpus' origin"), str(path))


def corpus_name(home: Home, sha256: str) -> str:
    """What a person calls this corpus; the beginning of its sha256 where nobody noted it."""
    try:
        return name_of(read_origin(home, sha256).read_from)
    except UnusableInput:
        return sha256[:SHORT_SHA_LENGTH]


def name_of(read_from: str) -> str:
    """What a person calls a corpus: its file's name, or the words for one without a file."""
    if "/" not in read_from:  # "the bundled corpus": a list of runs has room for a short name
        return shown(read_from.removeprefix("the "), _NAME_LIMIT)
    return shown(read_from.rstrip("/").rpartition("/")[2] or read_from, _NAME_LIMIT)


def _origin(reading: Reading, origin: str) -> dict[str, Any]:
    # Names of others may hold what no JSON can: halves of characters, bytes that are not UTF-8.
    return {
        "sha256": reading.corpus.sha256,
        "n_rows": reading.corpus.n_rows,
        "read_from": one_line(origin),
        "files": [one_line(name) for name in reading.files],
        "rows_read": reading.rows_read,
        "repeats_dropped": reading.repeats_dropped,
        "extra_keys": [one_line(key) for key in reading.extra_keys],
        "ignored": [one_line(name) for name in reading.ignored],
    }
