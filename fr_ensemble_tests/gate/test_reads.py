"""One read, one audit: how often a whole run opens and computes what it must not believe."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fr_ensemble_assets.calibration import calibrate as calibration
from fr_ensemble_assets.candidate import verify
from fr_ensemble_assets.corpus import store as corpora
from fr_ensemble_assets.corpus import summary
from fr_ensemble_assets.evidence import audit
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.gate import verdict
from fr_ensemble_tests.conftest import Row, run_chain, write_rows

#: Steps that look at the evidence and believe none before them: verdict, calibration, members and
#: candidate, the checks of loso_results and of these four, and the command at its end.
STEPS = 10


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Calls of functions in every module that has them, and reads of the store by file name."""
    counts: Counter[str] = Counter()

    def count(module: ModuleType, name: str, key: Callable[..., str]) -> None:
        real = getattr(module, name)

        def counting(*given: Any, **named: Any) -> Any:
            counts[key(*given)] += 1
            return real(*given, **named)

        for one in [m for n, m in sys.modules.items() if n.startswith("fr_ensemble_assets")]:
            if vars(one).get(name) is real:
                monkeypatch.setattr(one, name, counting)

    count(store, "read_regular", lambda path, *_: path.name)
    count(corpora, "_load", lambda *_: "corpus proved")
    count(summary, "summarise", lambda *_: "corpus examined")
    count(verdict, "judge", lambda *_: "results judged")
    count(audit, "_same_rows", lambda *_: "seed recomputed")
    count(calibration, "_calibrate", lambda *_: "intervals calibrated")
    count(verify, "verify_contents", lambda *_: "candidate verified")
    return counts


def test_run_reads_each_file_once_a_step_and_computes_once(
    counted: Counter[str], tmp_path: Path, rows: list[Row]
) -> None:
    outcome = run_chain(tmp_path / "home", write_rows(tmp_path / "corpus.jsonl", rows))
    assert outcome.candidate_dir is not None
    assert {name: n for name, n in counted.items() if " " in name} == {
        "corpus proved": 1,
        "corpus examined": 3,  # before the codecs train, as it was read, as it lies in the store
        "results judged": STEPS,
        "seed recomputed": 5,
        "intervals calibrated": 1,
        "candidate verified": 2,
    }
    assert counted["corpus.parquet"] == 1
    # Each step reads them anew, in the order of the graph; what they give is computed once.
    assert counted["loso_seed0_predictions.parquet"] == STEPS
