"""Addresses at which no cluster answers: told within seconds. No Ray is started here."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import pytest

from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.training.cluster import _require_nodes, reach

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


GONE, HERE = "a1" * 28, "b2" * 28  # ids of nodes, as Ray writes them


class StartedAnew:
    """What Ray tells of a host whose worker died and was started again: both, for a while."""

    def __init__(self, gone_first: bool) -> None:
        self._order = [GONE, HERE] if gone_first else [HERE, GONE]

    def nodes(self) -> list[dict[str, Any]]:
        one = {"Alive": True, "Resources": {"CPU": 1.0}, "NodeManagerAddress": "10.0.0.3"}
        return [one | {"NodeID": name} for name in self._order]

    def remote(self, **_: Any) -> Any:
        def options(scheduling_strategy: Any) -> Any:
            return SimpleNamespace(remote=lambda: scheduling_strategy.node_id)

        return lambda _: SimpleNamespace(options=options)

    def wait(self, asked: list[str], **_: Any) -> tuple[list[str], list[str]]:
        return asked, []

    def get(self, asked: str) -> Any:
        if asked == GONE:
            raise type("NodeDiedError", (Exception,), {})
        return "another version", {}


@pytest.mark.parametrize("gone_first", [True, False])
def test_a_node_started_anew_is_asked_as_what_it_is_now(gone_first: bool) -> None:
    with pytest.raises(UnusableInput, match=r"found another version on 10\.0\.0\.3"):
        _require_nodes(StartedAnew(gone_first), "ray://10.0.0.1:10001")
