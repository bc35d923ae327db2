"""The web server of a home behind its front, in this process: neither daemon nor code server."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import uvicorn
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster_webserver.app import create_app_from_workspace_process_context

from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.operations.front.middleware import Front
from fr_ensemble_assets.operations.front.policy import Serving, policy_of
from fr_ensemble_assets.operations.instance import open_instance
from fr_ensemble_assets.operations.serving.lock import Note, alone, remove_note, write_note
from fr_ensemble_assets.operations.serving.services import MODULE


@contextmanager
def web_server(home: Home, token: str = "") -> Iterator[str]:
    """Serve ``home`` while the block runs; gives the address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        serving = Serving(port=listening.getsockname()[1])
        with alone(home), open_instance(home) as instance, _context(instance) as context:
            application = create_app_from_workspace_process_context(context)
            front = Front(application, policy_of(serving, token))
            server = uvicorn.Server(uvicorn.Config(front, log_level="warning", lifespan="off"))
            thread = threading.Thread(target=server.run, args=([listening],))
            thread.start()
            write_note(home, Note(serving.address))
            try:
                while not server.started:
                    time.sleep(0.01)
                yield serving.address
            finally:
                remove_note(home)
                server.should_exit = True
                thread.join()


def _context(instance: dg.DagsterInstance) -> WorkspaceProcessContext:
    target = LoadableTargetOrigin(executable_path=sys.executable, module_name=MODULE)
    origin = InProcessCodeLocationOrigin(target, location_name=MODULE)
    return WorkspaceProcessContext(
        instance,
        version=dg.__version__,
        workspace_load_target=InProcessWorkspaceLoadTarget(origin),
    )
