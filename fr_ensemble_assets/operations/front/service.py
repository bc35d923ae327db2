"""The front as a process: its command, and whether its port is free."""

from __future__ import annotations

import json
import socket
import sys
from dataclasses import asdict
from pathlib import Path

from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.operations.front.policy import LOOPBACK, Serving

FRONT_MODULE = "fr_ensemble_assets.operations.front"
_SETTINGS_FILE = "front.json"


def front_command(serving: Serving, folder: Path, workspace: Path) -> list[str]:
    """The command that serves ``workspace`` so; its settings are left in ``folder``."""
    settings = folder / _SETTINGS_FILE
    settings.write_text(json.dumps({**asdict(serving), "workspace": str(workspace)}))
    return [sys.executable, "-m", FRONT_MODULE, str(settings)]


def require_free(serving: Serving) -> None:
    """Raise :class:`UnusableInput` where nothing can be served at this host and port."""
    family = socket.AF_INET6 if ":" in serving.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((serving.host, serving.port))
        except OSError as error:
            way_out = (
                "name another with --port, or make ui PORT=3001"
                if serving.host == LOOPBACK
                else "name another with --port, or another --host"
            )
            raise UnusableInput(
                f"--port {serving.port}: expected a free port on {serving.host}, found "
                f"'{error.strerror}'; {way_out}."
            ) from error


def answers(address: str) -> bool:
    """Whether a front is there, be it that it wants a token."""
    from urllib.error import HTTPError, URLError
    from urllib.request import urlopen

    try:
        with urlopen(f"{address}/server_info", timeout=2):
            return True
    except HTTPError:
        return True
    except (URLError, OSError):
        return False
