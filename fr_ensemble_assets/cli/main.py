"""The ``fr-ensemble`` command. Start-up is fast: each command imports what it needs itself."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from fr_ensemble_assets import __version__
from fr_ensemble_assets.foundation.errors import GateRefusal, UnusableInput
from fr_ensemble_assets.foundation.home import DEFAULT_HOME, HOME_VARIABLE

if TYPE_CHECKING:
    from upath import UPath

    from fr_ensemble_assets.foundation.home import Home

EXIT_PROMOTE, EXIT_HOLD, EXIT_UNUSABLE, EXIT_FAILED, EXIT_INTERRUPTED = 0, 1, 2, 3, 130

app = typer.Typer(
    name="fr-ensemble",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="""From a VMAF corpus to a gated registry candidate.

Trains the `fr_regressor_v2` deep ensemble leave-one-source-out under seeds 0..4 and publishes it
as a candidate only if it generalises: mean PLCC >= 0.95, spread <= 0.005, every seed >= 0.95.

**Exit codes**: 0 PROMOTE, 1 HOLD, 2 unusable input, 3 something else failed, 130 interrupted.

**FR_ENSEMBLE_HOME** (default `.fr-ensemble/` under the working directory) holds `inbox/`, `store/`,
`candidates/` and Dagster's home `dagster/`; `--home` overrides it.""",
)

HomeOption = Annotated[
    str | None,
    typer.Option("--home", help=f"Home folder [env: {HOME_VARIABLE}] [default: {DEFAULT_HOME}/]"),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="One JSON object on stdout, everything else on stderr.")
]


@contextmanager
def _told_in_one_sentence() -> Iterator[None]:
    """Turn our errors into one sentence and an exit code."""
    from fr_ensemble_assets.cli.console import fail

    try:
        yield
    except UnusableInput as error:
        fail(str(error))
        raise typer.Exit(EXIT_UNUSABLE) from None
    except GateRefusal as error:
        fail(str(error))
        raise typer.Exit(EXIT_HOLD) from None
    except KeyboardInterrupt:
        fail("interrupted; what was done is kept, type the same command to go on.")
        raise typer.Exit(EXIT_INTERRUPTED) from None


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
    from fr_ensemble_assets.cli.console import print_generated, watched
    from fr_ensemble_assets.cli.generate import Order, generate_corpus
    from fr_ensemble_assets.foundation.home import Home

    with _told_in_one_sentence():
        order = Order(
            clips=tuple(str(path) for path in (*clips, *(more_clips or ()))),
            out=_named_path("--out", out),
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
    from fr_ensemble_assets.cli.console import err, fail, print_verdict, watched
    from fr_ensemble_assets.cli.run import OrchestrationFailure, Plan, run_ensemble
    from fr_ensemble_assets.foundation.home import Home

    with _told_in_one_sentence():
        # Absolute, since Dagster keeps it: a run started again from the UI has another folder.
        source = "" if corpus is None else str(_named_path("--corpus", corpus).absolute())
        plan = Plan(Home.at(home), source, _parse_seeds(seeds), epochs, force)
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
    judgement = outcome.judgement
    print_verdict(judgement.decision, judgement.scores, places, to_stderr=as_json)
    if as_json:
        sys.stdout.write(json.dumps(outcome.to_json(), indent=2, allow_nan=False) + "\n")
    raise typer.Exit(EXIT_PROMOTE if judgement.decision.promote else EXIT_HOLD)


@app.command()
def gate(
    results_dir: Annotated[
        str, typer.Argument(help="A folder of loso_seed{N}.json, ours or the fork's.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Judge a folder of leave-one-source-out results; nothing is written."""
    from fr_ensemble_assets.cli.console import print_verdict
    from fr_ensemble_assets.foundation.files import parse_path
    from fr_ensemble_assets.gate.evidence import load_scores
    from fr_ensemble_assets.gate.rule import decide

    with _told_in_one_sentence():
        scores = load_scores(parse_path(results_dir))
    decision = decide(scores)
    judged = [score for score in scores if score.seed in decision.seeds]
    print_verdict(decision, judged, [("results", results_dir)], to_stderr=as_json)
    if as_json:
        document = {
            "verdict": decision.verdict,
            "seeds": list(decision.seeds),
            "gate": decision.gate_fields(),
            "dry_run": decision.dry_run,
            "reasons": list(decision.reasons),
        }
        sys.stdout.write(json.dumps(document, indent=2, allow_nan=False) + "\n")
    raise typer.Exit(EXIT_PROMOTE if decision.promote else EXIT_HOLD)


@app.command()
def propose(
    registry: Annotated[
        str, typer.Option(help="Their live registry.json; it is read, never written.")
    ],
    candidate: Annotated[
        str | None,
        typer.Option(help="A candidate folder [default: the one candidate in the home]"),
    ] = None,
    home: HomeOption = None,
) -> None:
    """Print the diff that puts our five rows into somebody's registry, for `git apply`.

    The candidate is verified first. In rows that are there, digest, smoke flag and notes are
    replaced; rows that aren't are added; every other byte stays. The flip is a person's change.
    """
    from fr_ensemble_assets.candidate.propose import propose_candidate
    from fr_ensemble_assets.cli.console import err
    from fr_ensemble_assets.foundation.files import parse_path
    from fr_ensemble_assets.foundation.home import Home

    with _told_in_one_sentence():
        folder = parse_path(candidate) if candidate else _only_candidate(Home.at(home))
        diff, proposal = propose_candidate(folder, parse_path(registry))
    sys.stdout.buffer.write(diff.encode())
    sys.stdout.buffer.flush()
    err.print(
        f"{len(proposal.replaced)} rows replaced, {len(proposal.added)} added, from {folder}",
        markup=False,
    )
    for row in proposal.stale_signatures:
        err.print(
            f"note: '{row}' keeps its sigstore_bundle, which signs the old digest; sign it anew",
            markup=False,
        )


@app.command()
def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on loopback.")] = 3000,
    home: HomeOption = None,
) -> None:
    """Start Dagster's UI and daemon on 127.0.0.1, over this home; Ctrl-C ends both."""
    from fr_ensemble_assets.cli.console import err
    from fr_ensemble_assets.cli.run import open_instance
    from fr_ensemble_assets.foundation.home import Home

    with _told_in_one_sentence():
        kept = Home.at(home)
        kept.prepare()
        kept.sweep()
        open_instance(kept).dispose()
    os.environ |= {"DAGSTER_HOME": str(kept.dagster), HOME_VARIABLE: str(kept.root)}
    err.print(f"home {kept.root}\nhttp://127.0.0.1:{port}", markup=False)
    module = "fr_ensemble_assets.definitions"
    command = ["dagster", "dev", "-m", module, "-h", "127.0.0.1", "-p", str(port)]
    # Dagster 1.13 advises `dg dev`, which needs a project of its own layout around it.
    quiet = "ignore:Function `dev_command` is superseded"
    os.execv(sys.executable, [sys.executable, "-W", quiet, "-m", *command])


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        sys.stdout.write(f"fr-ensemble {__version__}\n")
        raise typer.Exit


def _named_path(option: str, text: str) -> UPath:
    from fr_ensemble_assets.foundation.files import parse_path

    if not text:
        raise UnusableInput(f"{option}: expected a path, found nothing; leave the option out.")
    return parse_path(text)


def _parse_seeds(text: str) -> tuple[int, ...]:
    from fr_ensemble_assets.training.recipe import ENSEMBLE_SEEDS

    seeds: set[int] = set()
    foreign = False
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UnusableInput(f"--seeds: expected seeds such as 0,3 or 0-4, found {part!r}.")
        wanted = range(int(first[:9]), int((last or first)[:9]) + 1)
        foreign |= not wanted or wanted[0] < min(ENSEMBLE_SEEDS) or wanted[-1] > max(ENSEMBLE_SEEDS)
        seeds.update(seed for seed in ENSEMBLE_SEEDS if seed in wanted)
    if foreign:
        allowed = ", ".join(map(str, ENSEMBLE_SEEDS))
        raise UnusableInput(f"--seeds: expected some of {allowed}, found {text!r}.")
    return tuple(sorted(seeds))


def _only_candidate(home: Home) -> UPath:
    folders = (
        [path for path in home.candidates.iterdir() if not path.name.startswith(".")]
        if home.candidates.is_dir()
        else []
    )
    if len(folders) != 1:
        listed = ", ".join(sorted(path.name for path in folders)) or "none"
        raise UnusableInput(
            f"{home.candidates}: expected one candidate, found {listed}; name it with --candidate."
        )
    return folders[0]


def main() -> None:
    """Entry point of the installed command: a crash must never look like a verdict."""
    try:
        app()
    except Exception as error:
        if os.environ.get("FR_ENSEMBLE_TRACEBACK"):
            raise
        found = (str(error).splitlines() or [""])[0]
        with contextlib.suppress(Exception):
            sys.stderr.write(
                f"error: something failed that should not: {type(error).__name__}: {found} "
                "(set FR_ENSEMBLE_TRACEBACK=1 to see where).\n"
            )
        # Whatever is left to flush (a closed pipe, a full disk) must not change the exit code.
        os._exit(EXIT_FAILED)
