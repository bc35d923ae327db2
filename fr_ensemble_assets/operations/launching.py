"""Backfills asked for as the UI asks: one GraphQL mutation to the web server of the home.

Dagster's public way to launch a backfill of several assets is its page's own mutation,
``launchPartitionBackfill`` with ``partitionsByAssets``. It goes through our front like any other
request, and with its token.
"""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fr_ensemble_assets.corpus.in_use import CORPUS_TAG
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import SHORT_SHA_LENGTH, Home
from fr_ensemble_assets.foundation.wording import shown
from fr_ensemble_assets.operations.front.policy import TOKEN_VARIABLE
from fr_ensemble_assets.operations.in_process import name_seeds
from fr_ensemble_assets.operations.instance import OrchestrationFailure
from fr_ensemble_assets.operations.serving.lock import served_at

if TYPE_CHECKING:
    from fr_ensemble_assets.operations.backfill import BackfillPlan

JUDGING_ASSETS = (
    "ensemble_verdict",
    "interval_calibration",
    "ensemble_members",
    "registry_candidate",
)
LAUNCH = """mutation LaunchBackfill($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on Error { message }
  }
}"""
#: Dagster looks at the whole asset graph before it answers.
_ANSWER_S = 120.0


def backfill_request(plan: BackfillPlan) -> dict[str, Any]:
    """The variables of :data:`LAUNCH` that ask for ``plan``.

    Its runs carry the corpus' sha256 as a tag: whatever arrives meanwhile, they work on this one.
    """
    trained = [("loso_results", plan.ensemble), ("study_results", plan.studied)]
    chosen = [
        {"assetKey": {"path": [asset]}, "partitions": {"ranges": _ranges(seeds)}}
        for asset, seeds in trained
        if seeds
    ]
    if plan.judges:
        chosen += [{"assetKey": {"path": [asset]}} for asset in JUDGING_ASSETS]
    title = f"seeds {name_seeds(plan.seeds)} of {plan.corpus_sha256[:SHORT_SHA_LENGTH]}"
    if plan.groups is not None:
        title += f", {plan.groups} folds"
    tags = [{"key": CORPUS_TAG, "value": plan.corpus_sha256}]
    params: dict[str, Any] = {"title": title, "tags": tags, "partitionsByAssets": chosen}
    if plan.groups is not None:
        recipe = {"recipe": {"config": {"folds": plan.groups}}}
        params["runConfigData"] = json.dumps({"resources": recipe})
    return {"params": params}


def web_server_of(home: Home) -> str:
    """The address at which ``home`` is served.

    Raises
    ------
    OrchestrationFailure
        If it is served nowhere.
    """
    address = served_at(home)
    if address is None:
        raise OrchestrationFailure(
            f"a daemon serves {home.root}, but no web server answers; start `fr-ensemble ui`, "
            "or add --in-process"
        )
    return address


def request_backfill(plan: BackfillPlan, address: str) -> str:
    """Ask the web server at ``address`` for ``plan``; returns the backfill's id.

    Raises
    ------
    UnusableInput
        If the server wants another token than the environment has.
    OrchestrationFailure
        If it doesn't answer, or won't.
    """
    answer = _post(address, {"query": LAUNCH, "variables": backfill_request(plan)})
    try:
        launched = answer["data"]["launchPartitionBackfill"]
        if launched["__typename"] == "LaunchBackfillSuccess":
            return str(launched["backfillId"])
        refusal = launched["message"]
    except (KeyError, TypeError):
        refusal = json.dumps(answer)
    raise OrchestrationFailure(f"{address} refused the backfill: {shown(str(refusal), 400)}")


def _ranges(seeds: Sequence[int]) -> list[dict[str, str]]:
    return [{"start": str(seed), "end": str(seed)} for seed in seeds]


def _post(address: str, sent: dict[str, Any]) -> Any:
    # Neither a proxy of the environment nor a redirect gets to see the token.
    server = urlsplit(address)
    connection = http.client.HTTPConnection(server.hostname or "", server.port, timeout=_ANSWER_S)
    headers = {"Content-Type": "application/json"}
    token = os.environ.get(TOKEN_VARIABLE, "")
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        connection.request("POST", "/graphql", json.dumps(sent).encode(), headers)
        answer = connection.getresponse()
        status, body = answer.status, answer.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException, ValueError) as error:
        told = getattr(error, "strerror", None) or error
        raise OrchestrationFailure(
            f"{address}: expected the web server of the home, found '{shown(str(told))}'; wait "
            "until `fr-ensemble ui` shows its address, or start it again"
        ) from error
    finally:
        connection.close()
    if status == 401:
        raise UnusableInput(
            f"{TOKEN_VARIABLE}: expected the token of the server at {address}, found "
            f"{'another' if token else 'none'}; set it as for `fr-ensemble ui`."
        )
    try:
        return json.loads(body)  # also where Dagster says with 500 what was wrong
    except ValueError:
        told = f"{address} answered {status}: {shown(body.strip(), 400)}"
        raise OrchestrationFailure(told) from None
