"""Model cards as pages, beside Dagster's: what ``registry_candidate`` links to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response

from fr_ensemble_assets.card.render import CARD_PLACE, card_page
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.handover.cards import facts_for

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

#: A candidate's folder is named by the beginning of a digest; nothing else is looked for.
_ADDRESS = re.compile(rf"{re.escape(CARD_PLACE)}([0-9a-f]{{12}}(?:-[0-9]{{1,6}}folds)?)")
# The page has its style and pictures within, and nothing that runs.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


class Cards:
    """``application``, and the card of each candidate of ``home`` in front of it."""

    def __init__(self, application: ASGIApp, home: Home) -> None:
        self._application, self._home = application, home

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = _ADDRESS.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if asked is None or scope["method"] not in ("GET", "HEAD"):
            await self._application(scope, receive, send)
            return
        answer = await run_in_threadpool(card_answer, self._home, asked[1])
        await answer(scope, receive, send)


def card_answer(home: Home, candidate: str) -> Response:
    """The card of a candidate that verifies, else one sentence that says why not."""
    try:
        page = card_page(facts_for(home.candidates / candidate))
    except UnusableInput as error:
        return PlainTextResponse(f"{error}\n", 404)
    headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"}
    return Response(page, headers=headers, media_type="text/html")
