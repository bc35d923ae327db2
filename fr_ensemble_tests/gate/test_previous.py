"""The PROMOTE before this verdict: the newest of all others, and none that can't be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.gate.previous import Previous, previous_verdict

NOW = "f" * 64


ABSENT = object()
GATE: dict[str, Any] = {
    "passed": False,
    "mean_plcc": 0.97,
    "mean_plcc_threshold": 0.95,
    "mean_plcc_pass": True,
    "plcc_spread": None,
    "plcc_spread_max": 0.005,
    "plcc_spread_pass": False,
    "per_seed_plccs": {"0": 0.96, "3": None},
    "per_seed_min": 0.95,
    "per_seed_pass": False,
    "failing_seeds": [3],
}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home.at(tmp_path / "home")
    home.prepare()
    return home


def put(home: Home, sha256: str, verdict: str, at: str, **changes: Any) -> None:
    folder = home.store / sha256 / ENSEMBLE.folder
    folder.mkdir(parents=True)
    gate = GATE | changes.pop("gate", {})
    document = {
        "schema_version": 1,
        "verdict": verdict,
        "generated_at_utc": at,
        "loso_dir": "store/here",
        "seeds": [0, 3],
        "gate": {name: value for name, value in gate.items() if value is not ABSENT},
        "corpus": {"present": True, "sha256": sha256, "n_rows": 120, "n_sources": 3},
        "recommendation": "",
        "adr": "ADR-0309",
        "parent_adr": "ADR-0303",
        "dry_run": False,
        "reasons": [],
        "results": {},
    }
    (folder / f"{verdict}.json").write_text(json.dumps(document | changes))


def test_of_several_other_corpora_the_newest_promote_is_told_and_no_hold(home: Home) -> None:
    put(home, "a" * 64, "PROMOTE", "2026-03-01T00:00:00+00:00")
    put(home, "b" * 64, "HOLD", "2026-03-03T00:00:00+00:00")
    put(home, "c" * 64, "PROMOTE", "2026-03-02T00:00:00+00:00")
    put(home, NOW, "PROMOTE", "2026-03-04T00:00:00+00:00")
    told = previous_verdict(home, NOW, ENSEMBLE)
    per_seed = {0: 0.96, 3: None}
    at = "2026-03-02T00:00:00+00:00"
    assert told == Previous("c" * 64, "PROMOTE", at, 0.97, per_seed, name="c" * 12)
    older = previous_verdict(home, "b" * 64, ENSEMBLE)
    assert older is not None
    assert older.corpus_sha256 == NOW


def test_a_corpus_is_not_its_own_predecessor(home: Home) -> None:
    put(home, NOW, "PROMOTE", "2026-03-04T00:00:00+00:00")
    assert previous_verdict(home, NOW, ENSEMBLE) is None


def test_undefined_mean_stays_undefined(home: Home) -> None:
    gate = {"mean_plcc": None, "per_seed_plccs": {}}
    put(home, "a" * 64, "PROMOTE", "2026-03-01T00:00:00+00:00", gate=gate)
    told = previous_verdict(home, NOW, ENSEMBLE)
    assert told is not None
    assert (told.mean_plcc, told.per_seed_plcc) == (None, {})


UNREADABLE: dict[str, dict[str, Any]] = {
    "a dry run": {"dry_run": True},
    "a word for a figure": {"gate": {"mean_plcc": "high", "per_seed_plccs": {}}},
    "a word for a seed": {"gate": {"mean_plcc": 1, "per_seed_plccs": {"first": 1}}},
    "no figures": {"gate": {"per_seed_plccs": ABSENT}},
    "figures in a list": {"gate": {"mean_plcc": 1, "per_seed_plccs": []}},
    "a list for a figure": {"gate": {"mean_plcc": [], "per_seed_plccs": {}}},
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_dry_runs_and_damaged_verdicts_are_passed_over(home: Home, name: str) -> None:
    put(home, "a" * 64, "PROMOTE", "2026-03-01T00:00:00+00:00")
    put(home, "b" * 64, "PROMOTE", "2026-03-02T00:00:00+00:00", **UNREADABLE[name])
    told = previous_verdict(home, NOW, ENSEMBLE)
    assert told is not None
    assert told.corpus_sha256 == "a" * 64


def test_its_corpus_is_called_by_its_files_name(home: Home) -> None:
    put(home, "a" * 64, "PROMOTE", "2026-03-01T00:00:00+00:00")
    origin = {"sha256": "a" * 64, "n_rows": 1, "read_from": "/in/monday.jsonl", "rows_read": 1}
    lists: dict[str, Any] = {"files": [], "extra_keys": [], "ignored": [], "repeats_dropped": 0}
    (home.store / ("a" * 64) / "corpus.json").write_text(json.dumps(origin | lists))
    told = previous_verdict(home, NOW, ENSEMBLE)
    assert told is not None
    assert told.name == "monday.jsonl"


def test_what_else_lies_in_the_store_is_passed_over(home: Home) -> None:
    (home.store / ("a" * 64) / "loso-3epochs-other").mkdir(parents=True)
    (home.store / "notes.txt").write_text("mine")
    cut = home.store / ("b" * 64) / ENSEMBLE.folder
    cut.mkdir(parents=True)
    (cut / "HOLD.json").write_text('{"verdict"')
    assert previous_verdict(home, NOW, ENSEMBLE) is None
