"""Properties: the sha256 sees content alone, and no bytes make the reader crash untidily."""

from __future__ import annotations

import gzip
import io
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from upath import UPath

from fr_ensemble_assets.corpus.reader import Reading, read_corpus
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.schema import CANONICAL_6

finite = st.floats(allow_nan=False, allow_infinity=False, width=64)
names = st.text(min_size=1, max_size=8).filter(lambda s: s.isprintable())


@st.composite
def corpora(draw: st.DrawFn) -> list[dict[str, object]]:
    """100 rows over two sources, with values from all over float64."""
    sources = draw(st.lists(names, min_size=2, max_size=2, unique=True))
    encoder = draw(names)
    features = draw(st.lists(finite, min_size=6, max_size=6))
    vmaf = draw(st.lists(st.floats(0, 100), min_size=100, max_size=100))
    return [
        {
            "src": sources[n % 2],
            "encoder": encoder,
            "cq": 19,
            "frame_index": n,
            "vmaf": vmaf[n],
            **dict(zip(CANONICAL_6, features, strict=True)),
        }
        for n in range(100)
    ]


@contextmanager
def file_of(content: bytes) -> Iterator[UPath]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "corpus"
        path.write_bytes(content)
        yield UPath(path)


def reading_of(content: bytes) -> Reading | str:
    """What was read, or the sentence with which it was refused."""
    with file_of(content) as path:
        try:
            return read_corpus(path)
        except UnusableInput as refusal:
            return str(refusal).replace(str(path), "FILE")


def sha_of(content: bytes) -> str:
    with file_of(content) as path:
        return read_corpus(path).corpus.sha256


@settings(max_examples=25, deadline=None)
@given(corpora(), st.randoms())
def test_sha_ignores_order_and_format(rows: list[dict[str, object]], random: object) -> None:
    lines = [json.dumps(row) for row in rows]
    plain = "\n".join(lines).encode()
    random.shuffle(lines)  # type: ignore[attr-defined]
    parquet = io.BytesIO()
    pd.DataFrame(rows).to_parquet(parquet)
    shas = {
        sha_of(plain),
        sha_of("\r\n".join(lines).encode()),
        sha_of(gzip.compress(plain)),
        sha_of(parquet.getvalue()),
    }
    assert len(shas) == 1


odd_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)
known_keys = st.sampled_from(["src", "encoder", "cq", "frame_index", "vmaf", *CANONICAL_6, "x"])
odd_lines = st.dictionaries(known_keys, odd_values).map(lambda row: json.dumps(row).encode())


@settings(max_examples=150, deadline=None)
@given(st.lists(odd_lines | st.binary(max_size=40), max_size=6).map(b"\n".join))
def test_odd_bytes_are_refused_in_one_sentence(content: bytes) -> None:
    told = reading_of(content)
    assert isinstance(told, str)
    assert told.startswith("FILE")


@settings(max_examples=60, deadline=None)
@given(corpora(), st.integers(0, 99), known_keys, odd_values)
def test_one_odd_value_is_read_or_refused(
    rows: list[dict[str, object]], number: int, key: str, value: object
) -> None:
    rows[number][key] = value
    content = "\n".join(json.dumps(row) for row in rows).encode()
    told = reading_of(content)
    if isinstance(told, str):
        assert told.startswith("FILE")
    else:
        assert told.corpus.frame["vmaf"].between(0, 100).all()
