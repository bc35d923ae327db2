"""What a run reads and computes, counted: trust needs no more of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fr_ensemble_assets.calibration import calibrate
from fr_ensemble_assets.corpus import reader, store
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_tests.conftest import Row, run_chain, write_rows


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each of these was called."""
    counted: Counter[str] = Counter()

    def count(module: Any, name: str) -> None:
        real: Callable[..., Any] = getattr(module, name)

        def counting(*arguments: Any, **named: Any) -> Any:
            counted[name] += 1
            return real(*arguments, **named)

        monkeypatch.setattr(module, name, counting)

    count(reader, "read_shards")
    count(store, "_load")
    count(calibrate, "_calibrate")
    return counted


def test_a_run_reads_its_corpus_once_and_calibrates_once(
    promoted: Home, rows: list[Row], tmp_path: Path, calls: Counter[str]
) -> None:
    outcome = run_chain(Path(str(promoted.root)), write_rows(tmp_path / "corpus.jsonl", rows))
    assert outcome.candidate_dir is not None
    assert calls["_load"] <= 1
    assert calls["_calibrate"] <= 1
    # Before anything is trained, and by the step that keeps it.
    assert calls["read_shards"] == 2
