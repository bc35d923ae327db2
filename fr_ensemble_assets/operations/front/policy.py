"""Whom the front is there for: names, token, reports."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from dataclasses import dataclass

from fr_ensemble_assets.foundation.errors import UnusableInput

LOOPBACK = "127.0.0.1"
TOKEN_VARIABLE = "FR_ENSEMBLE_TOKEN"
TOKEN_LENGTH_MIN = 16
_TOKEN = re.compile(r"[!-~]+")
_HOST_NAME = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[1-9][0-9]{0,4})?")
#: Where a Host header leaves the port out.
_PORTS_UNSAID = frozenset({80, 443})


@dataclass(frozen=True)
class Policy:
    """What a request is held against.

    Attributes
    ----------
    hosts
        Every Host under which it serves, lowercase, with its port as a Host header has it.
    port
        Part of the cookie's name: cookies of all ports of a host are one jar.
    token
        What a caller has to show; empty where nothing is asked for.
    allow_reports
        Whether events may be reported to Dagster that no run made.
    """

    hosts: frozenset[str]
    port: int
    token: str = ""
    allow_reports: bool = False

    @property
    def cookie(self) -> str:
        return f"fr_ensemble_{self.port}"

    @property
    def session(self) -> str:
        """The cookie's value: it follows from the token, which can't be had from it."""
        return hmac.new(self.token.encode(), b"session", hashlib.sha256).hexdigest()

    def knows(self, token: str) -> bool:
        return hmac.compare_digest(self.token.encode(), token.encode())

    def knows_session(self, session: str) -> bool:
        return hmac.compare_digest(self.session.encode(), session.encode())


@dataclass(frozen=True)
class Serving:
    """Where and how ``fr-ensemble ui`` was asked to serve."""

    port: int
    host: str = LOOPBACK
    host_names: tuple[str, ...] = ()
    allow_reports: bool = False

    @property
    def address(self) -> str:
        """Where a browser on this machine finds it."""
        reached = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(self.host, self.host)
        return f"http://{_bracketed(reached)}:{self.port}"


def policy_of(serving: Serving, token: str) -> Policy:
    """Check what was asked for, and say whom the front is there for.

    Raises
    ------
    UnusableInput
        If the host is no address of this machine's kind, a name none, the token weak, or none is
        set for a host beyond loopback.
    """
    _require_token(serving.host, token)
    names = [LOOPBACK, "localhost", "[::1]"]
    if serving.host not in ("0.0.0.0", "::"):
        names.append(_bracketed(serving.host))
    hosts = {f"{name}:{serving.port}" for name in names}
    if serving.port in _PORTS_UNSAID:
        hosts |= set(names)
    for name in serving.host_names:
        hosts |= _served_as(name.lower(), serving.port)
    return Policy(frozenset(hosts), serving.port, token, serving.allow_reports)


def _served_as(name: str, port: int) -> set[str]:
    known = _HOST_NAME.fullmatch(name)
    if known is None:
        raise UnusableInput(
            f"--host-name '{name[:64]}': expected a name or an address, with a port or without, "
            "such as trainer.example or trainer.example:8443."
        )
    # Without a port it is as well what a proxy before us serves on its own, customary one.
    return {name} if known[2] else {name, f"{name}:{port}"}


def _require_token(host: str, token: str) -> None:
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        raise UnusableInput(
            f"--host '{host[:64]}': expected an address of this machine such as 127.0.0.1 or "
            "0.0.0.0; names go with --host-name."
        ) from None
    if not token and loopback:
        return
    if len(token) < TOKEN_LENGTH_MIN or not _TOKEN.fullmatch(token):
        found = f"{len(token)} characters" if token else "none"
        raise UnusableInput(
            f"{TOKEN_VARIABLE}: expected a token of at least {TOKEN_LENGTH_MIN} printable "
            f"characters without spaces (asked for by every --host beyond loopback), found "
            f"{found}; set it in the environment, for example to the output of "
            "`openssl rand -hex 16`."
        )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
