"""Which requests the front lets through, without a server."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.operations.front.decision import (
    BODY_BYTES_MAX,
    Allowed,
    Facts,
    LogIn,
    Refused,
    decide,
    decide_body,
)
from fr_ensemble_assets.operations.front.documents import read_document
from fr_ensemble_assets.operations.front.middleware import Front
from fr_ensemble_assets.operations.front.policy import Policy, Serving, policy_of

TOKEN = "0123456789abcdef"
LOCAL = policy_of(Serving(3000), "")
GUARDED = policy_of(Serving(3000, "0.0.0.0", ("trainer.example",)), TOKEN)
PAGE = Facts(hosts=["127.0.0.1:3000"])
OURS = "http://127.0.0.1:3000"
POST = replace(
    PAGE, method="POST", path="/graphql", content_types=["application/json"], origins=[OURS]
)
SOCKET = replace(PAGE, kind="websocket", path="/graphql", origins=[OURS])
LAUNCH = "mutation { launchRun(executionParams: {}) { __typename } }"


def status(facts: Facts, policy: Policy = LOCAL) -> int:
    """The status of a refusal; 200 for what goes through."""
    decision = decide(facts, policy)
    return decision.status if isinstance(decision, Refused) else 200


def body_status(sent: Any, policy: Policy = LOCAL) -> int:
    body = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
    decision = decide_body(body, policy)
    return decision.status if isinstance(decision, Refused) else 200


# --- what a browser of ours sends ----------------------------------------------------------------


def test_our_own_page_works() -> None:
    assert status(PAGE) == 200
    assert status(replace(PAGE, method="HEAD", path="/assets/corpus")) == 200
    assert decide(POST, LOCAL) == Allowed(judge_body=True)
    assert body_status({"operationName": None, "variables": {}, "query": LAUNCH}) == 200
    assert status(replace(POST, fetch_sites=["same-origin"], fetch_modes=["cors"])) == 200
    assert status(SOCKET) == 200


def test_command_line_without_origin_works() -> None:
    assert status(replace(POST, origins=[])) == 200
    assert status(replace(SOCKET, origins=[])) == 200


def test_link_from_elsewhere_opens_the_page() -> None:
    linked = replace(
        PAGE, fetch_sites=["cross-site"], fetch_modes=["navigate"], fetch_dests=["document"]
    )
    assert status(linked) == 200
    assert status(replace(linked, fetch_dests=["iframe"])) == 403
    assert status(replace(linked, path="/graphql")) == 403


# --- hosts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["127.0.0.1:3000", "localhost:3000", "LOCALHOST:3000", "[::1]:3000"]
)
def test_loopback_is_served(host: str) -> None:
    assert status(Facts(hosts=[host])) == 200


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        [""],
        ["evil.example"],
        ["evil.example:3000"],
        ["127.0.0.1"],
        ["127.0.0.1:3001"],
        ["localhost.evil.example:3000"],
        ["localhost:3000.evil.example"],
        ["127.0.0.1:3000@evil.example"],
        ["127.0.0.1:3000 "],
        ["0.0.0.0:3000"],
        ["trainer.example"],
    ],
)
def test_other_hosts_are_refused(hosts: list[str]) -> None:
    assert status(Facts(hosts=hosts)) == 421


def test_two_of_a_header_are_refused() -> None:
    names = ("hosts", "origins", "fetch_sites", "fetch_modes", "fetch_dests", "content_types")
    for name in names:
        values = [*getattr(POST, name), "127.0.0.1:3000", "evil.example"]
        assert status(replace(POST, **{name: values})) == 400


def test_port_may_be_unsaid_where_browsers_leave_it_out() -> None:
    assert status(Facts(hosts=["localhost"]), policy_of(Serving(80), "")) == 200


def test_names_are_added_by_option() -> None:
    for host in ("trainer.example", "Trainer.Example:3000"):
        shown = Facts(hosts=[host], authorizations=[f"Bearer {TOKEN}"])
        assert status(shown, GUARDED) == 200
    for name in ("http://trainer.example", "a b", "", "*", "a:0", "a,b"):
        with pytest.raises(UnusableInput, match="--host-name"):
            policy_of(Serving(3000, host_names=(name,)), "")


# --- origins -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://127.0.0.1:8080",
        "http://127.0.0.1",
        "http://localhost:3000",  # a name of ours, and yet another origin than the one asked
        "http://127.0.0.1:3000.evil.example",
        "http://evil.example#http://127.0.0.1:3000",
        "file://127.0.0.1:3000",
        "127.0.0.1:3000",
        "",
    ],
)
def test_other_origins_are_refused(origin: str) -> None:
    for facts in (POST, SOCKET, replace(PAGE, path="/graphql")):
        assert status(replace(facts, origins=[origin])) == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "CROSS-SITE", "odd"])
def test_requests_that_other_sites_cause_are_refused(site: str) -> None:
    for facts in (POST, SOCKET, replace(PAGE, path="/server_info")):
        assert status(replace(facts, origins=[], fetch_sites=[site])) == 403
    navigating = replace(POST, origins=[], fetch_sites=[site], fetch_modes=["navigate"])
    assert status(navigating) == 403


# --- no mutation by GET, none by a form ----------------------------------------------------------


@pytest.mark.parametrize(
    "documents",
    [
        [LAUNCH],
        ["\ufeff# c\nmutation M { wipeAssets { __typename } }"],
        ["query Q { version } mutation M { wipeAssets { __typename } }"],
        ["{ version }", LAUNCH],
        [LAUNCH, "{ version }"],
        ["subscription { capturedLogs(logKey: []) { __typename } }"],
        ["fragment F on Mutation { wipeAssets { __typename } }"],
        ["not GraphQL"],
        [""],
        ["{a" * 5000],
        ["{ " + "a " * 50_000 + "}"],
    ],
    ids=range(11),
)
@pytest.mark.parametrize("path", ["/graphql", "/graphql/", "/GraphQL", "//graphql"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_nothing_but_queries_by_get(documents: list[str], path: str, method: str) -> None:
    assert status(replace(PAGE, method=method, path=path, documents=documents)) == 405


def test_query_by_get_works() -> None:
    assert status(replace(PAGE, path="/graphql", documents=["query Q { version }"])) == 200
    assert status(replace(PAGE, path="/assets", documents=["any text"])) == 200


def test_paths_with_control_characters_are_refused() -> None:
    """A route ends with ``$``, which matches before a last newline too."""
    for path in ("/graphql\n", "/graphql\r\n", "/\x00", "/report_asset_check/a\n"):
        assert status(replace(PAGE, path=path, documents=[LAUNCH])) == 400


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "text/plain; application/json",  # Dagster would take it for JSON, and a form can send it
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=application/json",
        "application/graphql",
        "application/jsonp",
        "",
    ],
)
def test_a_form_cannot_post(content_type: str) -> None:
    assert status(replace(POST, content_types=[content_type])) == 415
    assert status(replace(POST, content_types=[])) == 415


def test_json_may_name_its_charset() -> None:
    assert status(replace(POST, content_types=["Application/JSON; charset=utf-8"])) == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "X"])
def test_other_methods_are_refused(method: str) -> None:
    assert status(replace(POST, method=method)) == 405


@pytest.mark.parametrize("path", ["/", "/graphql/", "/server_info", "/GRAPHQL", "/graphql/x"])
def test_nothing_else_is_posted_to(path: str) -> None:
    assert status(replace(POST, path=path)) == 405
    assert status(replace(SOCKET, path=path)) == 404


def test_no_notebook_is_rendered() -> None:
    for path in ("/notebook", "/dagit/notebook"):
        assert status(replace(PAGE, path=path)) == 404


# --- bodies --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        [{"query": "{ version }"}],  # a batch
        [],
        {},
        {"query": None},
        {"query": ["{ version }"]},
        {"query": "{"},
        {"operations": "{}", "map": "{}"},
        "{ version }",
        b"",
        b"query=mutation",
        b"\xff\xfe",
        b"[" * 100_000,
    ],
    ids=range(12),
)
def test_one_query_a_post(sent: Any) -> None:
    assert body_status(sent) == 400


def test_last_of_two_queries_is_the_one_that_is_judged() -> None:
    """As Dagster's reader takes it."""
    body = b'{"query": "{ version }", "query": "mutation { reportRunlessAssetEvents }"}'
    assert body_status(body) == 403


def test_subscription_by_post_is_refused() -> None:
    assert body_status({"query": "subscription { a }"}) == 405


@pytest.mark.parametrize(
    "query",
    [
        "mutation { reportRunlessAssetEvents(eventParams: {}) { __typename } }",
        "mutation { harmless: reportAssetCheckEvaluations(eventParams: {}) { __typename } }",
        "mutation { ... on Mutation { reportRunlessAssetEvents { __typename } } }",
        "mutation { ...F } fragment F on Mutation { ...G ...F } "
        "fragment G on Mutation { reportRunlessAssetEvents { __typename } }",
        "query A { version } mutation B { reportRunlessAssetEvents { __typename } }",
    ],
)
def test_reports_are_off_unless_asked_for(query: str) -> None:
    assert body_status({"query": query, "operationName": "A"}) == 403
    assert body_status({"query": query}, replace(LOCAL, allow_reports=True)) == 200


@pytest.mark.parametrize("kind", ["materialization", "check", "observation", "of_tomorrow"])
def test_report_endpoints_are_off_unless_asked_for(kind: str) -> None:
    facts = replace(POST, path=f"/report_asset_{kind}/corpus", content_types=[])
    assert status(facts) == 403
    assert status(facts, replace(LOCAL, allow_reports=True)) == 200
    foreign = replace(facts, origins=["http://evil.example"])
    assert status(foreign, replace(LOCAL, allow_reports=True)) == 403


def test_mutations_that_the_ui_does_not_need_are_refused() -> None:
    for name in ("setAppManagedComponent", "shutdownRepositoryLocation", "ofTomorrow"):
        assert body_status({"query": f"mutation {{ {name} {{ __typename }} }}"}) == 403


def test_every_mutation_of_dagster_was_thought_about() -> None:
    from dagster_graphql.schema import create_schema

    from fr_ensemble_assets.operations.front import decision

    known = create_schema().graphql_schema.mutation_type
    assert known is not None
    allowed = decision._MUTATIONS | decision._REPORTING
    assert allowed - {"__typename"} <= set(known.fields)
    assert set(known.fields) - allowed == {
        "deleteAppManagedComponent",
        "refreshComponentState",
        "setAppManagedComponent",
        "shutdownRepositoryLocation",
    }


def test_mutations_are_found_by_their_own_names() -> None:
    read = read_document("mutation { version: wipeAssets { __typename } } query { launchRun }")
    assert read is not None
    assert read.mutations == {"wipeAssets"}
    assert read.kinds == {"mutation", "query"}


# --- tokens --------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["", "short", "with a space in it all", "ümlaut" * 4])
@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::"])
def test_beyond_loopback_a_strong_token_is_needed(host: str, token: str) -> None:
    with pytest.raises(UnusableInput, match="at least 16"):
        policy_of(Serving(3000, host), token)


def test_host_is_an_address() -> None:
    assert policy_of(Serving(3000, "::1"), "").token == ""
    with pytest.raises(UnusableInput, match="--host 'trainer'"):
        policy_of(Serving(3000, "trainer"), TOKEN)


@pytest.mark.parametrize("facts", [PAGE, POST, SOCKET], ids=["GET", "POST", "websocket"])
def test_token_or_its_cookie_is_asked_of_everybody(facts: Facts) -> None:
    for shown in ("", "Bearer ", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer ü"):
        assert status(replace(facts, authorizations=[shown]), GUARDED) == 401
    for session in ("", TOKEN, "0" * 64, "ü"):
        assert status(replace(facts, session=session), GUARDED) == 401
    assert status(replace(facts, authorizations=[f"Bearer {TOKEN}"]), GUARDED) == 200
    assert status(replace(facts, session=GUARDED.session), GUARDED) == 200


def test_without_a_token_no_cookie_opens_anything_more() -> None:
    assert status(replace(PAGE, hosts=["evil.example"], session=LOCAL.session)) == 421


def test_address_with_the_token_logs_in() -> None:
    assert decide(replace(PAGE, tokens=[TOKEN]), GUARDED) == LogIn()
    assert status(replace(PAGE, tokens=["wrong"]), GUARDED) == 401
    assert status(replace(PAGE, tokens=["wrong", TOKEN]), GUARDED) == 401
    assert status(replace(POST, tokens=[TOKEN]), GUARDED) == 401


# --- the middleware, before an application that echoes -------------------------------------------


def call(policy: Policy, body: bytes = b"", **changed: Any) -> tuple[dict[str, Any], bytes]:
    """The answer's start and body; what reaches the application comes back."""
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1:3000")],
    } | changed
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    async def echo(_scope: Any, receive: Any, send: Any) -> None:
        told = (await receive())["body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": told})

    asyncio.run(Front(echo, policy)(scope, receive, send))
    start = sent[0]
    return start | {"headers": {k.decode(): v.decode() for k, v in start["headers"]}}, sent[1][
        "body"
    ]


def test_every_answer_has_the_headers() -> None:
    for changed in ({}, {"headers": [(b"host", b"evil.example")]}):
        headers = call(LOCAL, **changed)[0]["headers"]
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["content-security-policy"] == "frame-ancestors 'none'"


def test_body_reaches_the_application_once_judged() -> None:
    headers = [(b"host", b"127.0.0.1:3000"), (b"content-type", b"application/json")]
    asked = {"method": "POST", "path": "/graphql", "headers": headers}
    good = b'{"query": "{ version }"}'
    assert call(LOCAL, good, **asked)[1] == good
    assert call(LOCAL, b"{}", **asked)[0]["status"] == 400
    assert call(LOCAL, b" " * (BODY_BYTES_MAX + 1), **asked)[0]["status"] == 413


@pytest.mark.parametrize(
    ("path", "query", "place"),
    [
        ("/", "token={}", "/"),
        ("/assets/corpus", "view=checks&token={}&a=%26", "/assets/corpus?view=checks&a=%26"),
        ("//evil.example/a", "token={}", "/evil.example/a"),
        ("/\\evil.example", "token={}", "/%5Cevil.example"),
    ],
)
def test_login_sets_a_cookie_and_takes_the_token_out_of_the_address(
    path: str, query: str, place: str
) -> None:
    start, _ = call(GUARDED, path=path, query_string=query.format(TOKEN).encode())
    assert start["status"] == 303
    assert start["headers"]["location"] == place
    cookie = start["headers"]["set-cookie"]
    assert cookie.startswith(f"fr_ensemble_3000={GUARDED.session}; HttpOnly; Path=/; SameSite=str")
    assert TOKEN not in cookie
    again = [(b"host", b"127.0.0.1:3000"), (b"cookie", cookie.split(";")[0].encode())]
    assert call(GUARDED, headers=again)[0]["status"] == 200
