"""Unattended, for real: `fr-ensemble ui` runs, and corpora are copied into the inbox."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from fr_ensemble_assets.candidate.verify import verify_candidate
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_tests.conftest import Row, write_rows
from fr_ensemble_tests.platform import platform

pytestmark = pytest.mark.live


def test_corpora_become_a_candidate_or_a_hold_and_seeds_are_backfilled(
    tmp_path: Path, rows: list[Row], shuffled_rows: list[Row]
) -> None:
    """One story, since its services take longer to start than anything in it."""
    home = Home.at(tmp_path / "home")
    home.prepare()
    good = write_rows(tmp_path / "good.jsonl", rows)
    shuffled = write_rows(tmp_path / "shuffled.jsonl", shuffled_rows)
    invalid = write_rows(tmp_path / "invalid.jsonl", [{**rows[0], "vmaf": 101.0}])
    with platform(tmp_path / "home") as served:
        # A good corpus: a candidate and green checks, with no further touch.
        shutil.copy(str(good), str(home.inbox))
        (candidate,) = served.wait_for(
            lambda: list(home.candidates.glob("[0-9a-f]*")), "a candidate is published"
        )
        served.wait_for(lambda: served.runs()[0]["status"] == "SUCCESS", "its run ends")
        assert verify_candidate(candidate).problems == ()
        assert all(passed for passed, _ in served.checks("ensemble_verdict").values())
        assert all(passed for passed, _ in served.checks("registry_candidate").values())

        # A shuffled one and an invalid one at once: HOLD with its reason, and the reader's words.
        shutil.copy(str(shuffled), str(home.inbox))
        shutil.copy(str(invalid), str(home.inbox))
        failures = Path(str(home.failures_log))
        served.wait_for(
            lambda: failures.exists() and len(failures.read_text().splitlines()) == 2,
            "both failures are noticed",
        )
        (hold,) = home.store.glob("*/loso-*/HOLD.json")
        assert json.loads(hold.read_text())["verdict"] == "HOLD"
        assert [entry.name for entry in home.candidates.iterdir()] == [candidate.name]
        passed, reason = served.checks("ensemble_verdict")["mean_plcc"]
        assert not passed
        assert "against 0.95" in reason
        assert "expected column 'vmaf' to be a number from 0 to 100" in failures.read_text()
        served.wait_for(lambda: "expected column 'vmaf'" in served.told(), "the terminal says so")
        # A gate that said HOLD, and a corpus that was refused, are never tried again.
        assert len(served.runs()) == 3

        # Seeds of the first corpus, though another is newer: waits, reports, exits 0.
        sha256 = candidate.name
        for made in home.store.glob(f"{sha256}*/loso-*/*_seed[13]*"):
            made.unlink()
        done = served.command("backfill", "--seeds", "1,3", "--corpus", sha256)
        assert done.returncode == 0, done.stderr
        assert "verdict: PROMOTE" in done.stdout
        newest = served.runs()[0]["tags"]
        assert newest["fr_ensemble/corpus_sha256"].startswith(sha256)
        found = served.graphql(
            "{partitionBackfillsOrError{... on PartitionBackfills{results{status title}}}}"
        )["partitionBackfillsOrError"]["results"]
        assert found == [{"status": "COMPLETED_SUCCESS", "title": f"seeds 1,3 of {sha256}"}]

        told = served.command("status").stdout
        assert f"served at: {served.address}" in told
        assert "HOLD" in told
        assert f"{candidate} (verified, of an earlier corpus)" in told

        second = served.command("ui", "--port", "1")
        assert second.returncode == 2
        assert "found one that is served" in second.stderr
        assert served.stop() == 0
        assert served.processes() == []
