"""The ``fr-ensemble`` command."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import sys

from fr_ensemble_assets.cli import handover, judge, operate, predict, train  # noqa: F401 (adding commands)
from fr_ensemble_assets.cli.app import EXIT_FAILED, app
from fr_ensemble_assets.cli.narrow import suit_the_window
from fr_ensemble_assets.cli.order import in_order_of_a_day
from fr_ensemble_assets.foundation.wording import shown

in_order_of_a_day(app)
suit_the_window(app)


def main() -> None:
    """Entry point of the installed command: a crash must never look like a verdict."""
    # One thread for each product of matrices, here and in what this starts: the last bits don't
    # hang on how many cores there are, and idle threads don't spin.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Three million objects are imported or read, and stay: a short command looks for no rubbish
    # among them, a long one once in a while. At the end Python would look three times more.
    gc.set_threshold(4_000_000)
    atexit.register(gc.freeze)
    try:
        app()
    except Exception as error:
        if os.environ.get("FR_ENSEMBLE_TRACEBACK"):
            raise
        found = shown((str(error).splitlines() or [""])[0], 400)
        with contextlib.suppress(Exception):
            sys.stderr.write(
                f"error: unexpected failure: {type(error).__name__}: {found} "
                "(set FR_ENSEMBLE_TRACEBACK=1 to see where).\n"
            )
        # Whatever is left to flush (a closed pipe, a full disk) must not change the exit code.
        os._exit(EXIT_FAILED)
