"""Dagster's web server behind the front: one of the services of ``fr-ensemble ui``.

``python -m fr_ensemble_assets.operations.front SETTINGS.json``; the token is in the environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvicorn
from dagster import DagsterInstance
from dagster_webserver.app import create_app_from_workspace_process_context

from fr_ensemble_assets.doors.dagster_internals import workspace_context
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.operations.front.cards import Cards
from fr_ensemble_assets.operations.front.middleware import Front
from fr_ensemble_assets.operations.front.policy import TOKEN_VARIABLE, Serving, policy_of

#: As the page asks for what changed; Dagster's own default.
_POLL_MS = 2000
_SECONDS_TO_END = 2


def main(settings: Path) -> None:
    """Serve until told to end."""
    told = json.loads(settings.read_text("utf-8"))
    workspace = str(told.pop("workspace"))
    serving = Serving(**{**told, "host_names": tuple(told["host_names"])})
    policy = policy_of(serving, os.environ.pop(TOKEN_VARIABLE, ""))
    with DagsterInstance.get() as instance:
        # A connection is handed out without a look whether the database is still there. After a
        # restart a request failed so in its midst, and the run that it had made never started.
        instance.optimize_for_webserver(statement_timeout=15_000, pool_recycle=1, max_overflow=20)
        with workspace_context(instance, workspace) as context:
            application = create_app_from_workspace_process_context(
                context, live_data_poll_rate=_POLL_MS, lifespan=_lifespan
            )
            uvicorn.run(
                Front(Cards(application, Home.at(None)), policy),
                host=serving.host,
                port=serving.port,
                log_level="warning",
                access_log=False,  # it would hold tokens
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=_SECONDS_TO_END,
            )


@contextlib.asynccontextmanager
async def _lifespan(_application: Any) -> AsyncIterator[None]:
    with contextlib.suppress(asyncio.CancelledError):  # how uvicorn ends it
        yield


if __name__ == "__main__":
    main(Path(sys.argv[1]))
