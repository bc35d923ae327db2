"""The front as ASGI middleware: facts from a request, its decision, and headers on the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from fr_ensemble_assets.operations.front.decision import (
    BODY_BYTES_MAX,
    Allowed,
    Facts,
    LogIn,
    Refused,
    decide,
    decide_body,
)

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from fr_ensemble_assets.operations.front.policy import Policy

_HEADERS = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_POLICY = "frame-ancestors 'none'"


class Front:
    """``application``, for those whom ``policy`` lets through."""

    def __init__(self, application: ASGIApp, policy: Policy) -> None:
        self._application, self._policy = application, policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._application(scope, receive, send)
            return
        guarded = _with_headers(send)
        decision = decide(facts_of(scope, self._policy), self._policy)
        if isinstance(decision, Allowed) and decision.judge_body:
            body = await _body(receive)
            if body is None:
                decision = Refused(413, f"expected at most {BODY_BYTES_MAX} bytes, found more.")
            else:
                decision, receive = decide_body(body, self._policy), _again(body, receive)
        if isinstance(decision, Allowed):
            await self._application(scope, receive, guarded)
        else:
            await _answer(decision, scope, self._policy)(scope, receive, guarded)


def facts_of(scope: Scope, policy: Policy) -> Facts:
    """What a request says of itself."""
    connection = HTTPConnection(scope)
    sent, asked = connection.headers, connection.query_params
    return Facts(
        kind=scope["type"],
        method=scope.get("method", "GET"),
        path=scope["path"],
        hosts=sent.getlist("host"),
        origins=sent.getlist("origin"),
        fetch_sites=sent.getlist("sec-fetch-site"),
        fetch_modes=sent.getlist("sec-fetch-mode"),
        fetch_dests=sent.getlist("sec-fetch-dest"),
        content_types=sent.getlist("content-type"),
        authorizations=sent.getlist("authorization"),
        tokens=asked.getlist("token"),
        documents=asked.getlist("query"),
        session=connection.cookies.get(policy.cookie, ""),
    )


def _answer(decision: LogIn | Refused, scope: Scope, policy: Policy) -> Response:
    if isinstance(decision, Refused):
        shown = {"WWW-Authenticate": "Bearer"} if decision.status == 401 else {}
        return PlainTextResponse(decision.sentence + "\n", decision.status, shown)
    connection = HTTPConnection(scope)
    kept = [(k, v) for k, v in connection.query_params.multi_items() if k != "token"]
    # One slash: with two it would be the address of another server.
    place = "/" + quote(scope["path"].lstrip("/")) + (f"?{urlencode(kept)}" if kept else "")
    response = RedirectResponse(place, 303, {"Cache-Control": "no-store"})
    response.set_cookie(policy.cookie, policy.session, httponly=True, samesite="strict")
    return response


async def _body(receive: Receive) -> bytes | None:
    """All of a request's body; ``None`` where it is too large."""
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b""  # the caller has gone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > BODY_BYTES_MAX:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """The body once more, for the application; then whatever comes."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            headers.append("Content-Security-Policy", _POLICY)  # both hold, theirs and ours
        await send(message)

    return sending
