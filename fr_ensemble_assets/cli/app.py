"""The command itself, and what its parts share. Start-up is fast: each imports what it needs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from fr_ensemble_assets import __version__
from fr_ensemble_assets.foundation.errors import GateRefusal, UnusableInput
from fr_ensemble_assets.foundation.home import DEFAULT_HOME, HOME_VARIABLE
from fr_ensemble_assets.foundation.trouble import trouble_behind

if TYPE_CHECKING:
    from upath import UPath

EXIT_PROMOTE, EXIT_HOLD, EXIT_UNUSABLE, EXIT_FAILED, EXIT_INTERRUPTED = 0, 1, 2, 3, 130

app = typer.Typer(
    name="fr-ensemble",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="""From a VMAF corpus to a candidate for a model registry.

Trains five seeds of `fr_regressor_v2` leave-one-source-out. Publishes them as a candidate only if
they predict videos that they were not trained on: mean PLCC >= 0.95, spread <= 0.005, every
seed >= 0.95.

**Exit codes**: 0 PROMOTE, 1 HOLD, 2 unusable input, 3 something else failed, 130 interrupted.

Everything is kept in one folder, the home: `.fr-ensemble/` under the working directory.
**FR_ENSEMBLE_HOME** names another one, and `--home` overrides both.""",
)

HomeOption = Annotated[
    str | None,
    typer.Option(
        "--home",
        help=f"Home: a folder, or s3://bucket/prefix [env: {HOME_VARIABLE}] "
        f"[default: {DEFAULT_HOME}/]",
    ),
]
CandidateOption = Annotated[
    str | None,
    typer.Option(
        help="A candidate's folder, or the first digits of its corpus' sha256 "
        "[default: the only candidate in the home, else that of the current corpus]",
        show_default=False,
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout; all else goes to stderr.")
]


@contextmanager
def errors_in_one_sentence() -> Iterator[None]:
    """Turn our errors into one sentence and an exit code."""
    from fr_ensemble_assets.cli.printing.terminal import fail

    try:
        yield
    except UnusableInput as error:
        fail(str(error))
        raise typer.Exit(EXIT_UNUSABLE) from None
    except GateRefusal as error:
        fail(str(error))
        raise typer.Exit(EXIT_HOLD) from None
    except KeyboardInterrupt:
        fail("interrupted; finished work is kept, type the same command to go on.")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except Exception as error:
        trouble = trouble_behind(error)
        if trouble is None:
            raise
        fail(str(trouble))
        raise typer.Exit(EXIT_FAILED) from None


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        sys.stdout.write(f"fr-ensemble {__version__}\n")
        raise typer.Exit


def file_to_write(option: str, text: str) -> UPath:
    """As :func:`named_path`; also raises where no file can be written there."""
    from fr_ensemble_assets.foundation.destination import require_writable

    path = named_path(option, text)
    require_writable(path, option)
    return path


def named_path(option: str, text: str) -> UPath:
    from fr_ensemble_assets.foundation.files import parse_path

    if not text:
        raise UnusableInput(f"{option}: expected a path, found nothing; leave the option out.")
    return parse_path(text)
