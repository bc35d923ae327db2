"""Failure notices: a line in a log, and a webhook where one is set."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from fr_ensemble_assets.foundation.errors import UnusableInput

_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Notice:
    """What went wrong, for a person who looks elsewhere.

    Attributes
    ----------
    text
        One line that says it all; chat services show it as it is.
    reasons
        A sentence each.
    """

    text: str
    job: str
    run_id: str
    reasons: tuple[str, ...]


def write_notice(log: Path, notice: Notice) -> None:
    """Append a line; whole, since it is written at once."""
    log.parent.mkdir(parents=True, exist_ok=True)
    when = time.strftime("%Y-%m-%d %H:%M:%S")
    with log.open("a", encoding="utf-8") as handle:
        handle.write(f"{when} {' '.join(notice.text.split())}\n")


def post_notice(webhook: str, notice: Notice) -> None:
    """POST the notice as JSON.

    Raises
    ------
    UnusableInput
        If the address is none, or what is there doesn't accept it, or sends us elsewhere: only
        the address in the setting was chosen by somebody who may choose one.
    """
    if not webhook.startswith(("http://", "https://")):
        raise UnusableInput(
            f"notices webhook: expected an http(s) address, found '{webhook}'; mend the setting."
        )
    body = json.dumps(asdict(notice)).encode()
    request = Request(webhook, body, {"Content-Type": "application/json"})
    try:
        with build_opener(_NoRedirect).open(request, timeout=_TIMEOUT_S):
            return
    except (URLError, OSError, ValueError) as error:
        raise UnusableInput(
            f"notices webhook {webhook}: expected it to accept a POST, found '{error}'; "
            "the notice is in the log."
        ) from error


class _NoRedirect(HTTPRedirectHandler):
    """Makes an error of an answer that names another address."""

    def redirect_request(self, *_answer: object) -> None:
        return None
