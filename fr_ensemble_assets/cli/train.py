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
from fr_ensemble_assets.cli.folds import (
    ExecutorOption,
    FoldsOption,
    YesOption,
    settled_folds,
)
from fr_ensemble_assets.foundation.errors import UnusableInput


@app.command()
def generate(
    clips: Annotated[
        list[str], typer.Option(help="A reference clip, or a folder of them; may be repeated.")
    ],
    out: Annotated[
        str, typer.Option(help="The corpus to write: *.jsonl, *.jsonl.gz or *.parquet.")
    ] = "",
    cells: Annotated[
        str,
        typer.Option(
            help="Planning cells to write, one row an encode, for the codecs' predictors: *.csv or "
            "*.csv.gz. Beside --out, or instead."
        ),
    ] = "",
    more_clips: Annotated[
        list[str] | None, typer.Argument(help="More clips, as the shell expands a pattern.")
    ] = None,
    encoders: Annotated[
        str, typer.Option(help="libx264,libx265,… [default: every software encoder found]")
    ] = "",
    qualities: Annotated[
        str,
        typer.Option(
            help="19,25,31,37 or 19-37:6 for all, or libx264=19,25;libsvtav1=43,55 "
            "[default: four across each encoder's scale]"
        ),
    ] = "",
    ffmpeg: Annotated[str, typer.Option(help="An ffmpeg with libvmaf, by path or from PATH.")] = "",
    workers: Annotated[
        int, typer.Option(min=0, help="Processes at a time; 0 for one per core.")
    ] = 0,
    frames: Annotated[
        int, typer.Option(min=0, help="Use only the first N frames of each clip; 0 for all.")
    ] = 0,
    every: Annotated[
        int,
        typer.Option(min=1, help="Keep every Nth frame; neighbouring frames are nearly identical."),
    ] = 1,
    size: Annotated[str, typer.Option(help="Size of raw *.yuv clips, WIDTHxHEIGHT.")] = "",
    rate: Annotated[
        str,
        typer.Option(
            help="Frames per second of raw clips, such as 25 or 30000/1001; overrides others'."
        ),
    ] = "",
    pixel_format: Annotated[
        str, typer.Option(help="Pixel format of raw clips, as ffmpeg names it.")
    ] = "",
    qsv_device: Annotated[
        str, typer.Option(help="Device for the QSV encoders, such as /dev/dri/renderD129.")
    ] = "",
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Write what there is even if some encodes failed.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Make a corpus, or planning cells, from reference clips.

    Encodes each clip with every encoder at every quality, and scores every frame with VMAF. The
    home keeps each finished encode: type the command again and it goes on.

    **Exit codes**: 0 all done, 1 some encodes failed, 2 unusable input.
    """
    from fr_ensemble_assets.cli.printing.progress import watched
    from fr_ensemble_assets.cli.printing.training import print_generated
    from fr_ensemble_assets.foundation.home import Home
    from fr_ensemble_assets.operations.generate import Order, generate_corpus

    with errors_in_one_sentence():
        order = Order(
            clips=tuple(str(path) for path in (*clips, *(more_clips or ()))),
            out=named_path("--out", out) if out else None,
            cells_out=named_path("--cells", cells) if cells else None,
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
            help="JSON Lines, gzipped or not, Parquet, or a folder of such shards "
            "[default: the bundled corpus]",
            show_default=False,
        ),
    ] = None,
    home: HomeOption = None,
    seeds: Annotated[
        str, typer.Option(help="Seeds to train, such as 0,3 or 0-4. The verdict needs all five.")
    ] = "0,1,2,3,4",
    epochs: Annotated[
        int, typer.Option(min=1, help="Any number but 200 makes a dry run: always HOLD.")
    ] = 200,
    folds: FoldsOption = 0,
    executor: ExecutorOption = "threads",
    yes: YesOption = False,
    force: Annotated[
        bool, typer.Option("--force", help="Train again even what is already trained.")
    ] = False,
    evidence: Annotated[
        bool, typer.Option(help="Say what the verdict is worth; it takes a second or two.")
    ] = True,
    controls: Annotated[
        bool,
        typer.Option(
            "--controls",
            help="Train one seed twice more, without the codec block and on swapped scores, and "
            "say what came of it.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train and judge an ensemble; on PROMOTE, publish a candidate.

    Runs every asset and every check once, in this process. Seeds already trained on this corpus are
    not trained again. `fr-ensemble ui` shows the run.
    """
    from fr_ensemble_assets.cli.printing.progress import watched
    from fr_ensemble_assets.cli.printing.terminal import err, fail, note
    from fr_ensemble_assets.cli.printing.verdicts import print_codecs, print_verdict
    from fr_ensemble_assets.foundation.home import Home
    from fr_ensemble_assets.operations.instance import OrchestrationFailure
    from fr_ensemble_assets.operations.run import Plan, rows_to_read, run_ensemble
    from fr_ensemble_assets.operations.serving.lock import where_to_look
    from fr_ensemble_assets.training.executors import ExecutorChoice

    with errors_in_one_sentence():
        # Absolute, since Dagster keeps it: a run started again from the UI has another folder.
        source = "" if corpus is None else str(named_path("--corpus", corpus).absolute())
        chosen, where = parse_seeds(seeds), ExecutorChoice.parse(executor)
        rows = rows_to_read(Home.at(home), source)
        groups = settled_folds(folds, rows, len(chosen), epochs, yes)
        plan = Plan(Home.at(home), source, chosen, epochs, force, evidence, groups, where, controls)
        err.print(f"home {plan.home.root}", markup=False)
        try:
            with watched() as progress:
                outcome = run_ensemble(plan, progress)
        except OrchestrationFailure as failure:
            fail(f"the run failed, and its input is not the cause. Dagster says:\n{failure}")
            raise typer.Exit(EXIT_FAILED) from None
    for sentence in outcome.trained_again:
        note(sentence)
    places = [("corpus", outcome.corpus_sha256), ("results", str(outcome.results_dir))]
    if outcome.candidate_dir is not None:
        places.append(("candidate", str(outcome.candidate_dir)))
    places.append(("look at", where_to_look(plan.home)))
    judgement = outcome.judgement
    print_verdict(judgement.decision, judgement.scores, places, as_json, outcome.worth)
    print_codecs(outcome.codecs, to_stderr=as_json)
    if as_json:
        sys.stdout.write(json.dumps(outcome.to_json(), indent=2, allow_nan=False) + "\n")
    raise typer.Exit(EXIT_PROMOTE if judgement.decision.promote else EXIT_HOLD)


@app.command()
def backfill(
    seeds: Annotated[
        str,
        typer.Option(
            help="0-4, or 0,3, or all. Seeds 5 to 99 are trained for study and never judged."
        ),
    ] = "all",
    corpus: Annotated[
        str | None,
        typer.Option(
            help="A corpus in the store: its sha256 or the first digits [default: the newest]",
            show_default=False,
        ),
    ] = None,
    wait: Annotated[
        bool,
        typer.Option("--wait/--no-wait", help="Show progress until the end, or return at once."),
    ] = True,
    in_process: Annotated[
        bool, typer.Option("--in-process", help="Train in this process; needs no daemon.")
    ] = False,
    folds: FoldsOption = 0,
    yes: YesOption = False,
    home: HomeOption = None,
) -> None:
    """Train chosen seeds of a corpus that is already in the store.

    `fr-ensemble ui` runs the backfill, which survives crashes and the end of this command. Once all
    five seeds are trained, the verdict follows and, on PROMOTE, the candidate.

    **Exit codes**: 0 the seeds are trained and no verdict is HOLD; 1 HOLD; 2 unusable input;
    3 the orchestration failed; 130 interrupted, the backfill goes on.
    """
    from fr_ensemble_assets.cli.backfill import How, ask_for_backfill
    from fr_ensemble_assets.cli.printing.terminal import fail
    from fr_ensemble_assets.foundation.home import Home
    from fr_ensemble_assets.operations.instance import OrchestrationFailure

    try:
        with errors_in_one_sentence():
            chosen = parse_seeds(seeds, studies=True)
            how = How(wait, in_process, folds, yes)
            code = ask_for_backfill(Home.at(home), chosen, corpus, how)
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
        within = "" if part == text else f" in '{text[:40]}'"
        found = f"found '{part.strip()[:20]}'{within}"
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UnusableInput(f"--seeds: expected seeds such as 0,3 or 0-4 or all, {found}.")
        wanted = range(int(first[:9]), int((last or first)[:9]) + 1)
        if not wanted:
            raise UnusableInput(f"--seeds: expected the smaller seed of a range first, {found}.")
        if wanted[-1] > last_allowed:
            more = "" if studies else "; fr-ensemble backfill trains others, for study"
            raise UnusableInput(f"--seeds: expected seeds from 0 to {last_allowed}, {found}{more}.")
        seeds.update(wanted)
    return tuple(sorted(seeds))
