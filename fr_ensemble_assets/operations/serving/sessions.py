"""Sessions of processes: all that descends from what was started, whoever its parent is now."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

#: The process id of a session's leader, and when that process began (seconds since 1970).
Session = tuple[int, float]
_PATIENCE_S = 15.0
_CLOCK_SLACK_S = 1.0


def end_sessions(sessions: Sequence[Session]) -> int:
    """Kill every process of these sessions; count them. A number that was given anew is spared."""
    import psutil

    leaders = dict(sessions)
    members = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            session = os.getsid(process.pid)
            if session in leaders and process.create_time() >= leaders[session] - _CLOCK_SLACK_S:
                members.append(process)
    for process in members:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(members, timeout=_PATIENCE_S)
    return len(members)
