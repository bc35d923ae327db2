"""Addresses at which no cluster answers: told within seconds. No Ray is started here."""

from __future__ import annotations

import socket

import pytest

from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.training.cluster import reach

pytest.importorskip("ray", reason="the extra fr-ensemble[cluster] isn't installed")
pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("listens", [False, True])
@pytest.mark.parametrize("named", [False, True])
def test_an_address_without_a_cluster_is_told_within_seconds(
    monkeypatch: pytest.MonkeyPatch, listens: bool, named: bool
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        if listens:
            other.listen()
        place = f"127.0.0.1:{other.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", place)
        with pytest.raises(UnusableInput, match=r"expected a Ray cluster that answers, found"):
            reach(f"ray://{place}" if named else "")
