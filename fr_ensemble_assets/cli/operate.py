"""``ui``, ``status`` and ``clean``: the platform from day to day."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from fr_ensemble_assets.cli.app import (
    HomeOption,
    JsonOption,
    app,
    errors_in_one_sentence,
    file_to_write,
)


@app.command()
def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to serve at.")] = 3000,
    host: Annotated[
        str, typer.Option(help="Address to serve at. Any but loopback needs FR_ENSEMBLE_TOKEN.")
    ] = "127.0.0.1",
    host_name: Annotated[
        list[str] | None,
        typer.Option(help="Another host name that browsers may use; may be repeated."),
    ] = None,
    allow_reports: Annotated[
        bool,
        typer.Option(
            "--allow-reports", help="Accept events from outside, such as Report materialization."
        ),
    ] = False,
    home: HomeOption = None,
) -> None:
    """Serve Dagster's UI, sensors and backfills for this home until Ctrl-C.

    Pages of other sites can't command it. If **FR_ENSEMBLE_TOKEN** is set, everybody must show it:
    browsers open /?token=TOKEN once, programs send it as a Bearer token.

    A service that dies is started again. Ctrl-C stops a run; the next `ui` resumes it.
    """
    from fr_ensemble_assets.cli.printing.terminal import err, note
    from fr_ensemble_assets.foundation.home import Home
    from fr_ensemble_assets.foundation.orchestration import require_cluster
    from fr_ensemble_assets.operations.front.policy import Serving
    from fr_ensemble_assets.operations.serving.supervisor import serve

    try:
        with errors_in_one_sentence():
            kept = Home.at(home)
            kept.require_room()
            require_cluster()
            kept.prepare()
            kept.sweep()
            err.print(f"home {kept.root}", markup=False)
            try:
                serving = Serving(port, host, tuple(host_name or ()), allow_reports)
                serve(kept, serving, say=lambda text: err.print(text, markup=False), warn=note)
            except KeyboardInterrupt:
                err.print("ended", markup=False)
    except KeyboardInterrupt:
        raise typer.Exit from None


@app.command()
def status(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show the current corpus, its seeds and verdict, the candidates, and what runs now."""
    from fr_ensemble_assets.cli.printing.operating import print_status
    from fr_ensemble_assets.foundation.home import Home
    from fr_ensemble_assets.operations.status import status_of

    with errors_in_one_sentence():
        found = status_of(Home.at(home))
    print_status(found, to_stderr=as_json)
    if as_json:
        sys.stdout.write(json.dumps(found.to_json(), indent=2, allow_nan=False) + "\n")


@app.command()
def report(
    out: Annotated[str, typer.Option(help="Where the page goes: one file, nothing beside it.")],
    home: HomeOption = None,
) -> None:
    """Write what stands as one HTML page.

    Verdict, seeds, hardest sources, intervals, predictors, what changed. Light and dark; opens
    without a network.
    """
    from fr_ensemble_assets.cli.printing.terminal import err
    from fr_ensemble_assets.foundation import store
    from fr_ensemble_assets.foundation.home import Home
    from fr_ensemble_assets.operations.report import evidence_of
    from fr_ensemble_assets.report.page import report_page

    with errors_in_one_sentence():
        destination = file_to_write("--out", out)
        store.put(destination, report_page(evidence_of(Home.at(home))))
    err.print(f"report: {destination}", markup=False)


@app.command()
def clean(
    home: HomeOption = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove the stores listed as kept for nothing.")
    ] = False,
) -> None:
    """List what is kept for each corpus and its cells; with --remove, remove what nothing needs.

    What belongs to the current corpus, the current cells, a published candidate or a clip in the
    clips folder stays. What is removed can be made again from the corpus file, the cells file or
    the clip.
    """
    from fr_ensemble_assets.cli.printing.operating import print_stores
    from fr_ensemble_assets.foundation.home import Home
    from fr_ensemble_assets.operations.clean import list_stores, remove_stores

    with errors_in_one_sentence():
        kept = Home.at(home)
        stores = list_stores(kept)
        unneeded = [store for store in stores if not store.kept_for]
        freed = remove_stores(kept, unneeded) if remove and unneeded else 0
    print_stores(stores, removed=remove, freed=freed)
