"""``generate``, ``run`` and ``backfill``: from video to results, verdict and candidate."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from fr_ensemble_assets.cli.app import (
    EXIT_FAILED,
    EXIT_HOLD,
    EXIT_PROMOTE,
    HomeOption,
    JsonOption,
    app,
    errors_in_one_sentence,
    named_path,
)
from fr_ensemble_assets.foundation.errors import UnusableInput


@app.command()
def generate(
    clips: Annotated[
        list[str], typer.Option(help="A folder of reference clips, or clips; may be repeated.")
    ],
    out: Annotated[
        str, typer.Option(help="The corpus to write: *.jsonl, *.jsonl.gz or *.parquet.")
    ],
    more_clips: Annotated[
        list[str] | None, typer.Argument(help="More clips, as a pattern of the shell gives them.")
    ] = None,
    encoders: Annotated[
        str, typer.Option(help="libx264,libx265,… [default: the software encoders at hand]")
    ] = "",
    qualities: Annotated[
        str,
        typer.Option(
            help="19,25,31,37 for all, or libx264=19,25;libsvtav1=43,55 "
            "[default: what spans each encoder's scale]"
        ),
    ] = "",
    ffmpeg: Annotated[
        str, typer.Option(help="Another ffmpeg with libvmaf, by path or from PATH.")
    ] = "",
    workers: Annotated[int, typer.Option(min=0, help="Processes at a time; 0 for one a core.")] = 0,
    frames: Annotated[
        int, typer.Option(min=0, help="Only so many frames from each clip's start; 0 for all.")
    ] = 0,
    every: Annotated[
        int, typer.Option(min=1, help="Keep every so manyeth frame: neighbours are nearly copies.")
    ] = 1,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of raw *.yuv clips.")] = "",
    rate: Annotated[
        str, typer.Option(help="Frames a second, 25 or 30000/1001, of raw clips; overrides others.")
    ] = "",
    pixel_format: Annotated[
        str, typer.Option(help="Pixel format of raw clips, as ffmpeg names it.")
    ] = "",
    qsv_device: Annotated[
        str, typer.Option(help="Graphics device for QSV encoders, such as /dev/dri/renderD129.")
    ] = "",
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Write what succeeded even where cells failed.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Make a corpus from reference clips: encode each over a grid, score every frame with VMAF.

    Encodes that are done are kept in the home and not done again, whatever stops this command.
    **Exit codes**: 0 all done, 1 some cells failed, 2 unusable input.
    """
    from fr_ensemble_assets.cli.printing.progress import watched
    from fr_ensemble_assets.cli.printing.training import print_generated
    from fr_ensemble_assets.foundation.home import Home
    from fr_ensemble_assets.operations.generate import Order, generate_corpus

    with errors_in_one_sentence():
        order = Order(
            clips=tuple(str(path) for path in (*clips, *(more_clips or ()))),
            out=named_path("--out", out),
            encoders=encoders,
            qualities=qualities,
            ffmpeg=ffmpeg,
            workers=workers,
            frames=frames,
            every=every,
            size=size,
            rate=rate,
            pixel_format=pixel_format,
            qsv_device=qsv_device,
            keep_going=keep_going,
        )
        with watched() as progress:
            delivery = generate_corpus(Home.at(home), order, progress)
    print_generated(delivery)
    raise typer.Exit(EXIT_PROMOTE if delivery.complete else EXIT_HOLD)


@app.command()
def run(
    corpus: Annotated[
        str | None,
        typer.Option(
            help="JSON Lines, gzipped JSON Lines, Parquet, or a folder of such shards "
            "[default: the bundled corpus]",
            show_default=False,
        ),
    ] = None,
    home: HomeOption = None,
    seeds: Annotated[
        str, typer.Option(help="Seeds to train: 0,3 or 0-4. The verdict needs all five.")
    ] = "0,1,2,3,4",
    epochs: Annotated[
        int, typer.Option(min=1, help="Another number than 200 is a dry run: always HOLD.")
    ] = 200,
    force: Annotated[
        bool, typer.Option("--force", help="Train again what is done for this corpus and recipe.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train, judge and, on PROMOTE, publish a candidate: every asset and every check, once.

    Work already done for this corpus and recipe is not done again. Everything runs in this
    process through Dagster: its events are in the UI afterwards (`fr-ensemble ui`).
    """
    from fr_ensemble_assets.cli.printing.progress import watched
    from fr_ensemble_assets.cli.printing.terminal import err, fail
    from fr_ensemble_assets.cli.printing.verdicts import print_codecs, print_verdict
    from fr_ensemble_assets.foundation.home import Home
    from fr_ensemble_assets.operations.instance import OrchestrationFailure
    from fr_ensemble_assets.operations.run import Plan, run_ensemble
    from fr_ensemble_assets.operations.serving.lock import where_to_look
    from fr_ensemble_assets.predictors.shipped import bundled_verdicts

    with errors_in_one_sentence():
        # Absolute, since Dagster keeps it: a run started again from the UI has another folder.
        source = "" if corpus is None else str(named_path("--corpus", corpus).absolute())
        plan = Plan(Home.at(home), source, parse_seeds(seeds), epochs, force)
        err.print(f"home {plan.home.root}", markup=False)
        try:
            with watched() as progress:
                outcome = run_ensemble(plan, progress)
        except OrchestrationFailure as failure:
            fail(f"the run failed, and not for its input. Dagster's account of it:\n{failure}")
            raise typer.Exit(EXIT_FAILED) from None
    places = [("corpus", outcome.corpus_sha256), ("results", str(outcome.results_dir))]
    if outcome.candidate_dir is not None:
        places.append(("candidate", str(outcome.candidate_dir)))
    places.append(("look at", where_to_look(plan.home)))
    judgement = outcome.judgement
    print_verdict(judgement.decision, judgement.scores, places, to_stderr=as_json)
    print_codecs(bundled_verdicts(), to_stderr=as_json)
    if as_json:
        sys.stdout.write(json.dumps(outcome.to_json(), indent=2, allow_nan=False) + "\n")
    raise typer.Exit(EXIT_PROMOTE if judgement.decision.promote else EXIT_HOLD)


@app.command()
def backfill(
    seeds: Annotated[
        str, typer.Option(help="0-4, or 0,3, or all. Beyond 4, up to 99: a study, never members.")
    ] = "all",
    corpus: Annotated[
        str | None,
        typer.Option(
            help="sha256 of a corpus in the store, or its beginning [default: the newest]",
            show_default=False,
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Show progress and report how it ended.")
    ] = True,
    in_process: Annotated[
        bool, typer.Option("--in-process", help="Train in this process, without a daemon.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Train seeds on a corpus that is in the store, as a backfill in Dagster.

    The daemon of `fr-ensemble ui` runs it: it is in the UI, survives crashes and this command.
    Where the ensemble is whole after it, verdict and, on PROMOTE, candidate follow.
    **Exit codes**: 0 seeds done, and the verdict, if reached, is PROMOTE; 1 HOLD; 2 unusable
    input; 3 the orchestration failed; 130 interrupted (the backfill goes on).
    """
    from fr_ensemble_assets.cli.backfill import ask_for_backfill
    from fr_ensemble_assets.cli.printing.terminal import fail
    from fr_ensemble_assets.foundation.home import Home
    from fr_ensemble_assets.operations.instance import OrchestrationFailure

    try:
        with errors_in_one_sentence():
            chosen = parse_seeds(seeds, studies=True)
            code = ask_for_backfill(Home.at(home), chosen, corpus, wait, in_process)
    except OrchestrationFailure as failure:
        fail(f"{failure}.")
        raise typer.Exit(EXIT_FAILED) from None
    raise typer.Exit(code)


def parse_seeds(text: str, studies: bool = False) -> tuple[int, ...]:
    """``all``, or seeds and ranges between commas; with ``studies`` beyond the ensemble's.

    Raises
    ------
    UnusableInput
        If it is something else, or names a seed that isn't allowed.
    """
    from fr_ensemble_assets.contract.agreed import ENSEMBLE, LAST_STUDY_SEED

    if text.strip() == "all":
        return ENSEMBLE.units
    last_allowed = LAST_STUDY_SEED if studies else ENSEMBLE.units[-1]
    seeds: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        found = f"found '{part.strip()[:20]}' in '{text[:40]}'"
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UnusableInput(f"--seeds: expected seeds such as 0,3 or 0-4 or all, {found}.")
        wanted = range(int(first[:9]), int((last or first)[:9]) + 1)
        if not wanted:
            raise UnusableInput(f"--seeds: expected the smaller seed of a range first, {found}.")
        if wanted[-1] > last_allowed:
            raise UnusableInput(f"--seeds: expected seeds from 0 to {last_allowed}, {found}.")
        seeds.update(wanted)
    return tuple(sorted(seeds))
