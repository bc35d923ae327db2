"""The consuming tree as it is in git: what a patch starts from, and why it can't."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import parse_json
from fr_ensemble_assets.foundation.schema import ENCODER_VOCAB_VERSION, ENCODER_VOCABULARY
from fr_ensemble_assets.handover.git import EXECUTABLE, REGULAR, git, listed_blobs
from fr_ensemble_assets.handover.names import MODELS, REGISTRY, REGISTRY_SCHEMA_FILE
from fr_ensemble_assets.members.names import MANIFEST_FILE, onnx_file, sidecar_file

_MANIFEST = f"{MODELS}/{MANIFEST_FILE}"
_NAMED_AT_MOST = 3


@dataclass(frozen=True)
class Checkout:
    """What of somebody's checkout matters to a patch.

    Attributes
    ----------
    top
        The top of their work tree.
    commit
        The commit that it stands at.
    files
        The bytes that git keeps for each path that is there.
    modes
        And their modes.
    filtered
        The filter through which their git sends members (git-lfs), empty if none.
    """

    top: Path
    commit: str
    files: Mapping[str, bytes]
    modes: Mapping[str, str]
    filtered: str


def read_checkout(folder: Path, paths: Sequence[str]) -> Checkout:
    """Read what is committed at ``paths`` in the checkout ``folder``; nothing is written there.

    Raises
    ------
    UnusableInput
        If it is no checkout, has changes in these paths that aren't committed, has no registry,
        or is of another vocabulary.
    """
    top, commit = _top_of(folder), _commit_of(folder)
    listed = listed_blobs(top, commit, [*paths, REGISTRY_SCHEMA_FILE])
    _require_clean(top, paths, listed)
    if REGISTRY not in listed:
        raise UnusableInput(
            f"{top}: expected the registry '{REGISTRY}', found none at {commit[:12]}; "
            "is this the tree that the models go to?"
        )
    strange = [path for path, (mode, _) in listed.items() if mode not in (REGULAR, EXECUTABLE)]
    if strange:
        raise UnusableInput(
            f"{top}: expected files, found '{strange[0]}' to be a link or a folder; "
            "a patch would write through it."
        )
    files = {path: git(top, "cat-file", "blob", oid) for path, (_, oid) in listed.items()}
    member = f"{MODELS}/{onnx_file(ENSEMBLE.units[0])}"
    attribute = git(top, "check-attr", "-z", "filter", "--", member).decode().split("\0")[2]
    checkout = Checkout(
        top=top,
        commit=commit,
        files=files,
        modes={path: mode for path, (mode, _) in listed.items()},
        filtered="" if attribute in ("unspecified", "unset") else attribute,
    )
    _require_vocabulary(checkout)
    return checkout


def _top_of(folder: Path) -> Path:
    kind = store.found_at(folder, "folder")
    if kind != "a folder":
        raise UnusableInput(f"{folder}: expected a checkout, found {kind}.")
    wanted = "expected the top of a git checkout"
    try:
        inside = git(folder, "rev-parse", "--is-inside-work-tree").decode().strip()
        top = git(folder, "rev-parse", "--show-toplevel").decode(errors="surrogateescape")
    except UnusableInput as error:
        raise UnusableInput(f"{folder}: {wanted}, found none ({error})") from error
    found = Path(top.removesuffix("\n"))
    if inside != "true" or found.resolve() != folder.resolve():
        raise UnusableInput(f"{folder}: {wanted}, found a folder within one; name '{found}'.")
    return found


def _commit_of(folder: Path) -> str:
    try:
        return git(folder, "rev-parse", "--verify", "--quiet", "HEAD^{commit}").decode().strip()
    except UnusableInput as error:
        raise UnusableInput(
            f"{folder}: expected a commit to make a patch against, found none; commit first."
        ) from error


def _require_clean(top: Path, paths: Sequence[str], listed: Mapping[str, Any]) -> None:
    options = ("--porcelain", "-z", "--untracked-files=all", "--ignored=matching", "--no-renames")
    said = git(top, "status", *options, "--", *paths).decode(errors="surrogateescape")
    dirty = [line[3:] for line in said.split("\0") if line]
    # A sparse checkout doesn't call what it left out missing; git apply does.
    dirty += [path for path in paths if path in listed and not (top / path).is_file()]
    if dirty:
        named = sorted(set(dirty))
        more = f" and {len(named) - _NAMED_AT_MOST} more" if len(named) > _NAMED_AT_MOST else ""
        raise UnusableInput(
            f"{top}: expected no uncommitted changes where the patch goes, found "
            f"{', '.join(named[:_NAMED_AT_MOST])}{more}; commit or stash them first."
        )


def _require_vocabulary(checkout: Checkout) -> None:
    """Members of another vocabulary can't be replaced by ours: consumers feed other columns.

    A manifest that is older than the sidecars beside it was forgotten, and is healed.
    """
    told = [(f"{MODELS}/{sidecar_file(s)}", "encoder_vocab", False) for s in ENSEMBLE.units]
    for path, name, may_be_older in (*told, (_MANIFEST, "codec_vocab", True)):
        document = json_object(checkout.files, path)
        if document is None or f"{name}_version" not in document:
            continue
        version = document[f"{name}_version"]
        older = isinstance(version, int) and version < ENCODER_VOCAB_VERSION
        same = version == ENCODER_VOCAB_VERSION and document.get(name) == [*ENCODER_VOCABULARY]
        if not same and not (older and may_be_older):
            found = f"version {version}"
            if version == ENCODER_VOCAB_VERSION:
                found = "other names under that number"
            raise UnusableInput(
                f"{checkout.top}: expected '{path}' to have encoder vocabulary version "
                f"{ENCODER_VOCAB_VERSION}, found {found}; members of this candidate would be fed "
                "the wrong columns there."
            )


def json_object(files: Mapping[str, bytes], path: str) -> dict[str, Any] | None:
    """The JSON object at ``path``, or ``None`` if there is no such file, or it is something else.

    What is broken in their tree is replaced, and needn't be read first.
    """
    if path not in files:
        return None
    try:
        document = parse_json(files[path], path)
    except UnusableInput:
        return None
    return document if isinstance(document, dict) else None
