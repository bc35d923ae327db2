"""Which candidate a command takes, where nobody, a folder or the beginning of a digest is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.operations.candidates import chosen_candidate
from fr_ensemble_tests.conftest import Chain, Row, run_chain, write_rows

OTHER = "0" * 12


@pytest.fixture
def two_candidates(promoted: Home) -> Home:
    """A home with the current corpus' candidate, and one of a corpus of before."""
    (current,) = promoted.candidates.iterdir()
    shutil.copytree(str(current), str(promoted.candidates / OTHER))
    return promoted


def chosen(home: Home, named: str | None = None) -> str:
    return chosen_candidate(named, str(home.root)).name


def test_current_corpus_candidate_is_taken_among_several(
    two_candidates: Home, promoted_once: Chain
) -> None:
    assert chosen(two_candidates) == promoted_once[1].corpus_sha256[:12]


def test_only_candidate_is_taken_whosever_it_is(promoted: Home) -> None:
    (current,) = promoted.candidates.iterdir()
    shutil.move(str(current), str(promoted.candidates / OTHER))
    assert chosen(promoted) == OTHER


def test_none_is_taken_where_the_current_corpus_has_none(
    two_candidates: Home, shuffled_rows: list[Row], tmp_path: Path
) -> None:
    newer = write_rows(tmp_path / "newer.jsonl", shuffled_rows)
    run_chain(Path(str(two_candidates.root)), newer, epochs=1)
    with pytest.raises(UnusableInput, match=f"found {OTHER}, .*none of which is its; name one"):
        chosen(two_candidates)


def test_beginning_of_a_digest_names_a_candidate(
    two_candidates: Home, promoted_once: Chain
) -> None:
    sha256 = promoted_once[1].corpus_sha256
    for beginning in (sha256[:4], sha256[:12].upper(), sha256[:20], sha256):
        assert chosen(two_candidates, beginning) == sha256[:12]
    assert chosen(two_candidates, "000") == OTHER


def test_beginning_that_fits_none_or_several_is_refused(
    two_candidates: Home, promoted_once: Chain
) -> None:
    sha256 = promoted_once[1].corpus_sha256
    # Its folder's name has these digits; the corpus that its manifest names has not.
    for named in ("f" * 64, sha256[:12] + "0" * 52):
        with pytest.raises(UnusableInput, match="found none that begins so; there: "):
            chosen(two_candidates, named)
    shutil.copytree(
        str(two_candidates.candidates / OTHER), str(two_candidates.candidates / f"{OTHER[:-1]}1")
    )
    with pytest.raises(UnusableInput, match="found 2 that begin so"):
        chosen(two_candidates, "000")


def test_folder_wins_over_the_beginning_of_a_digest(
    two_candidates: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "000").mkdir()
    monkeypatch.chdir(tmp_path)
    assert chosen_candidate("000", str(two_candidates.root)).absolute() == tmp_path / "000"
