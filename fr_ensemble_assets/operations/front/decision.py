"""Whether a request goes through: decided from its facts alone, without a server.

Dagster's web server takes mutations by GET, looks at neither Host nor Origin, and knows no login.
So every page that a browser shows could command it, under its own name (DNS rebinding) or another.
What is listed here is what passes; all else is refused with one sentence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fr_ensemble_assets.operations.front.documents import read_document
from fr_ensemble_assets.operations.front.policy import Policy

GRAPHQL = "/graphql"
_REPORTS = "/report_asset_"
#: Dagster renders any notebook under these, as a page of its own; we have none.
_NOTEBOOKS = frozenset({"/notebook", "/dagit/notebook"})
#: What a GraphQL request may weigh. Dagster's page sends some kilobytes.
BODY_BYTES_MAX = 1 << 20
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_OURS = frozenset({"same-origin", "none"})

_REPORTING = frozenset({"reportRunlessAssetEvents", "reportAssetCheckEvaluations"})
#: What Dagster's page needs to work with our jobs, sensors, assets, partitions and pools.
_MUTATIONS = frozenset(
    {
        *("__typename", "logTelemetry", "setNuxSeen"),
        *("launchRun", "launchPipelineExecution", "launchMultipleRuns"),
        *("launchRunReexecution", "launchPipelineReexecution"),
        *("terminateRun", "terminateRuns", "terminatePipelineExecution"),
        *("deleteRun", "deletePipelineRun", "wipeAssets"),
        *("launchPartitionBackfill", "resumePartitionBackfill"),
        *("reexecutePartitionBackfill", "cancelPartitionBackfill"),
        *("startSchedule", "stopRunningSchedule", "resetSchedule", "scheduleDryRun"),
        *("startSensor", "stopSensor", "resetSensor", "setSensorCursor", "sensorDryRun"),
        *("reloadRepositoryLocation", "reloadWorkspace", "setAutoMaterializePaused"),
        *("addDynamicPartition", "deleteDynamicPartitions"),
        *("setConcurrencyLimit", "deleteConcurrencyLimit"),
        *("freeConcurrencySlots", "freeConcurrencySlotsForRun"),
    }
)


@dataclass(frozen=True)
class Facts:
    """What a request says of itself; of each header every value that was sent.

    Attributes
    ----------
    path
        Decoded, as the application's routes see it.
    tokens, documents
        The values of ``token`` and ``query`` in the address.
    session
        The value of our cookie; empty without one.
    """

    kind: Literal["http", "websocket"] = "http"
    method: str = "GET"
    path: str = "/"
    hosts: Sequence[str] = ()
    origins: Sequence[str] = ()
    fetch_sites: Sequence[str] = ()
    fetch_modes: Sequence[str] = ()
    fetch_dests: Sequence[str] = ()
    content_types: Sequence[str] = ()
    authorizations: Sequence[str] = ()
    tokens: Sequence[str] = ()
    documents: Sequence[str] = ()
    session: str = ""


@dataclass(frozen=True)
class Allowed:
    """It goes through. ``judge_body``: after :func:`decide_body` has seen what it carries."""

    judge_body: bool = False


@dataclass(frozen=True)
class LogIn:
    """It showed the token in the address: it gets the cookie, and the address without it."""


@dataclass(frozen=True)
class Refused:
    """It is answered with this status and sentence."""

    status: int
    sentence: str


Decision = Allowed | LogIn | Refused


def decide(facts: Facts, policy: Policy) -> Decision:
    """Hold a request against the policy; the first rule that it breaks answers it."""
    refused = _malformed(facts) or _unknown_host(facts, policy) or _foreign(facts)
    if refused:
        return refused
    if policy.token:
        if facts.kind == "http" and facts.method == "GET" and facts.tokens:
            if all(map(policy.knows, facts.tokens)):
                return LogIn()
            return Refused(401, "?token=: expected the token of this server, found another.")
        if not _is_known(facts, policy):
            return Refused(
                401,
                "expected the token of this server, found none or another: send it as "
                "'Authorization: Bearer TOKEN', or open /?token=TOKEN once in the browser.",
            )
    return _decide_place(facts, policy)


def decide_body(body: bytes, policy: Policy) -> Allowed | Refused:
    """Hold the body of a POST to ``/graphql`` against the policy."""
    try:
        sent = json.loads(body)
    except (ValueError, RecursionError):
        return Refused(400, "expected a JSON object with a GraphQL query, found no JSON.")
    if not isinstance(sent, dict) or not isinstance(sent.get("query"), str):
        return Refused(
            400,
            "expected one JSON object with a GraphQL 'query' that is a text, found "
            f"{'a list; send its requests one by one' if isinstance(sent, list) else 'none'}.",
        )
    return _decide_document(sent["query"], policy)


# --- the rules ----------------------------------------------------------------------------------


def _malformed(facts: Facts) -> Refused | None:
    """Two readers of one request must not see two requests."""
    if _CONTROL.search(facts.path):
        return Refused(400, "expected a path without control characters, found one with some.")
    for name, values in (
        ("Host", facts.hosts),
        ("Origin", facts.origins),
        ("Sec-Fetch-Site", facts.fetch_sites),
        ("Sec-Fetch-Mode", facts.fetch_modes),
        ("Sec-Fetch-Dest", facts.fetch_dests),
        ("Content-Type", facts.content_types),
        ("Authorization", facts.authorizations),
    ):
        if len(values) > 1:
            return Refused(400, f"{name}: expected it once, found it {len(values)} times.")
    return None


def _unknown_host(facts: Facts, policy: Policy) -> Refused | None:
    host = _one(facts.hosts).lower()
    if host in policy.hosts:
        return None
    return Refused(
        421,
        f"Host {host[:64]!r}: expected a name that this server serves, found another; "
        "start it with --host-name to add one.",
    )


def _foreign(facts: Facts) -> Refused | None:
    """Pages of another origin may link here; they may neither command nor embed nor read."""
    scheme, separator, host = _one(facts.origins).lower().partition("://")
    if facts.origins and not (
        separator and scheme in ("http", "https") and host == _one(facts.hosts).lower()
    ):
        return Refused(
            403, f"Origin {_one(facts.origins)[:64]!r}: expected our own, found another."
        )
    site = _one(facts.fetch_sites).lower()
    if not site or site in _OURS:
        return None
    follows_a_link = (
        facts.kind == "http"
        and facts.method in ("GET", "HEAD")
        and _one(facts.fetch_modes) == "navigate"
        and _one(facts.fetch_dests) == "document"
        and not _is_graphql(facts.path)
    )
    if follows_a_link:
        return None
    return Refused(403, f"Sec-Fetch-Site '{site[:64]}': expected a request of our own page.")


def _is_known(facts: Facts, policy: Policy) -> bool:
    scheme, _, shown = _one(facts.authorizations).partition(" ")
    if scheme.lower() == "bearer":
        return policy.knows(shown.strip())
    return policy.knows_session(facts.session)


def _decide_place(facts: Facts, policy: Policy) -> Allowed | Refused:
    if facts.kind == "websocket":
        if facts.path == GRAPHQL:
            return Allowed()
        return Refused(404, f"expected a websocket to {GRAPHQL}, found one to another path.")
    if facts.method in ("GET", "HEAD"):
        return _decide_reading(facts)
    if facts.method != "POST":
        return Refused(405, "expected GET, HEAD or POST, found another method.")
    if facts.path.startswith(_REPORTS):
        if policy.allow_reports:
            return Allowed()
        return Refused(403, "reports are off; start `fr-ensemble ui` with --allow-reports.")
    if facts.path != GRAPHQL:
        return Refused(405, f"expected a POST to {GRAPHQL}, found one to another path.")
    if _one(facts.content_types).partition(";")[0].strip().lower() != "application/json":
        return Refused(415, "Content-Type: expected application/json, found another.")
    return Allowed(judge_body=True)


def _decide_reading(facts: Facts) -> Allowed | Refused:
    if facts.path.rstrip("/").lower() in _NOTEBOOKS:
        return Refused(404, "expected a page of ours, found one for notebooks.")
    for text in facts.documents if _is_graphql(facts.path) else ():
        document = read_document(text)
        if document is None or document.kinds != {"query"}:
            return Refused(405, "expected nothing but queries by GET; POST a mutation as JSON.")
    return Allowed()


def _decide_document(text: str, policy: Policy) -> Allowed | Refused:
    document = read_document(text)
    if document is None:
        return Refused(400, "query: expected a GraphQL document, found none that can be read.")
    if "subscription" in document.kinds:
        return Refused(405, "expected a subscription over a websocket, found one by POST.")
    reports = document.mutations & _REPORTING
    if reports and not policy.allow_reports:
        return Refused(403, "reports are off; start `fr-ensemble ui` with --allow-reports.")
    unknown = sorted(document.mutations - reports - _MUTATIONS)
    if unknown:
        return Refused(403, f"mutation {unknown[0][:64]!r}: expected one that the UI needs.")
    return Allowed()


def _is_graphql(path: str) -> bool:
    """Generously: a path that a route might take for ``/graphql``."""
    return "graphql" in path.lower()


def _one(values: Sequence[str]) -> str:
    return values[0] if values else ""
