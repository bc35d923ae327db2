"""The few things that are asked of git, none of which writes into the tree that is asked about."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from fr_ensemble_assets.foundation.errors import UnusableInput

REGULAR, EXECUTABLE = "100644", "100755"
#: Whatever somebody has set up, it must not write into their tree or run a program of theirs.
_SETTINGS = ("core.fsmonitor=false", "core.splitIndex=false", "core.quotePath=false")


def git(
    folder: Path,
    *arguments: str,
    given: bytes | None = None,
    environment: Mapping[str, str] | None = None,
    settings: Sequence[str] = (),
) -> bytes:
    """What a git command prints.

    Raises
    ------
    UnusableInput
        If there is no git, or the command fails.
    """
    # A hook that called us may have pointed git at another repository.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    clean |= {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    options = [part for setting in (*_SETTINGS, *settings) for part in ("-c", setting)]
    try:
        ended = subprocess.run(
            ["git", "-C", str(folder), *options, *arguments],
            input=given,
            capture_output=True,
            env={**clean, **(environment or {})},
            check=False,
        )
    except FileNotFoundError as error:
        raise UnusableInput(
            "git: expected the command 'git', found none; install it, the patch is made with it."
        ) from error
    if ended.returncode:
        said = ended.stderr.decode(errors="replace").strip().splitlines()
        raise UnusableInput(
            f"{folder}: expected 'git {arguments[0]}' to work, found "
            f"'{said[-1] if said else f'exit code {ended.returncode}'}'."
        )
    return ended.stdout


def listed_blobs(folder: Path, commit: str, paths: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Mode and object id of each of ``paths`` that ``commit`` has."""
    listed = git(folder, "ls-tree", "-z", "--full-tree", commit, "--", *paths)
    found = {}
    for line in listed.decode(errors="surrogateescape").split("\0")[:-1]:
        told, path = line.split("\t", 1)
        mode, _, identity = told.split(" ")
        found[path] = (mode, identity)
    return found


def binary_patch(
    folder: Path, commit: str, changes: Mapping[str, tuple[str, bytes | None]]
) -> bytes:
    """The patch from ``commit`` to the same tree with ``changes``: mode and bytes, or no bytes.

    Index and objects are kept in a folder of our own; what is read of theirs is their objects.
    """
    objects = git(folder, "rev-parse", "--path-format=absolute", "--git-path", "objects")
    with tempfile.TemporaryDirectory() as made:
        own = Path(made) / "objects"
        own.mkdir()
        theirs = objects.decode(errors="surrogateescape").strip("\n")
        environment = {
            "GIT_INDEX_FILE": str(Path(made) / "index"),
            "GIT_OBJECT_DIRECTORY": str(own),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": _quoted(theirs),
        }
        git(folder, "read-tree", commit, environment=environment)
        lines = []
        for path, (mode, data) in sorted(changes.items()):
            identity = "0" * 40
            if data is not None:
                arguments = ("hash-object", "-w", "--stdin")
                identity = git(folder, *arguments, given=data, environment=environment).decode()
            lines.append(f"{mode if data is not None else '0'} {identity.strip()}\t{path}\0")
        given = "".join(lines).encode()
        git(folder, "update-index", "-z", "--index-info", given=given, environment=environment)
        options = ["--cached", "-p", "--binary", "--full-index", "--no-renames", "--no-color"]
        options += ["--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/"]
        return git(folder, "diff-index", *options, commit, environment=environment)


def _quoted(path: str) -> str:
    """A path for git's list of paths, in which a colon parts them."""
    if not {":", '"', "\\"} & set(path):
        return path
    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@contextmanager
def patched_copy(before: Mapping[str, bytes], patch: bytes) -> Iterator[Path]:
    """A temporary folder with ``before``, to which git has applied ``patch``.

    The files are those that git keeps, without line ends or filters of a work tree: ``git apply``
    undoes these before it looks at a file, and does them again when it writes one.
    """
    settings = ("core.autocrlf=false", f"core.attributesFile={os.devnull}", "core.eol=lf")
    with tempfile.TemporaryDirectory() as made:
        copy = Path(made)
        git(copy, "init", "--quiet", "--template=")
        for path, data in before.items():
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            (copy / path).write_bytes(data)
        if patch:
            arguments = ("apply", "--binary", "--whitespace=nowarn", "-")
            git(copy, *arguments, given=patch, settings=settings)
        yield copy
