"""The platform's web server shows a candidate's card, and nothing else under that address."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.responses import PlainTextResponse

from fr_ensemble_assets.card.render import card_address, card_page
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.handover.cards import facts_for
from fr_ensemble_assets.operations.front.cards import Cards
from fr_ensemble_tests.conftest import Chain


def asked(home: Home, path: str, method: str = "GET") -> tuple[int, bytes]:
    """Status and body of an answer."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": path, "method": method, "headers": []}
    application = Cards(PlainTextResponse("Dagster's"), home)
    asyncio.run(application(scope, receive, send))
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


def test_card_of_a_candidate_is_a_page(promoted_once: Chain) -> None:
    folder = promoted_once[1].candidate_dir
    assert folder is not None
    status, page = asked(Home.at(promoted_once[0]), card_address(folder.name))
    assert (status, page) == (200, card_page(facts_for(folder)))


def test_candidate_that_is_not_there_or_altered_is_told(promoted: Home) -> None:
    assert asked(promoted, card_address("0" * 12))[0] == 404
    (folder,) = promoted.candidates.iterdir()
    (folder / "MODEL_CARD.md").write_text("Five perfect networks.")
    status, told = asked(promoted, card_address(folder.name))
    assert (status, b"expected a candidate that verifies" in told) == (404, True)


@pytest.mark.parametrize("path", ["/card/..", "/card/../../etc", "/card/", "/card/ABCDEF012345"])
def test_any_other_address_is_dagsters(promoted_once: Chain, path: str) -> None:
    assert asked(Home.at(promoted_once[0]), path) == (200, b"Dagster's")
