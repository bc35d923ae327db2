"""One patch that holds a whole flip: computed, applied to a copy, held against their rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upath import UPath

from fr_ensemble_assets.candidate.documents import candidate_files
from fr_ensemble_assets.candidate.propose import Proposal, propose
from fr_ensemble_assets.candidate.verify import verified
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.handover.checkout import Checkout, read_checkout
from fr_ensemble_assets.handover.git import REGULAR, binary_patch, patched_copy
from fr_ensemble_assets.handover.names import (
    COPIED,
    DEAD,
    OPTIONAL,
    PAGE,
    REGISTRY,
    changelog_fragment,
    every_path,
)
from fr_ensemble_assets.handover.page import section, with_section
from fr_ensemble_assets.handover.rules import broken_rules, missing_deliverables
from fr_ensemble_assets.handover.summary import Summary, summarise
from fr_ensemble_assets.handover.texts import (
    fragment,
    left_to_a_person,
    pull_request,
    rolls_back,
)

_TOLD_AT_MOST = 5

Files = Mapping[str, bytes]


@dataclass(frozen=True)
class HandOver:
    """A patch for their tree, and what a person needs to know with it.

    Attributes
    ----------
    patch
        For ``git apply --binary``; empty if their tree holds this candidate already.
    pull_request
        Text for the pull request, in Markdown.
    changed, removed
        Paths of their tree that the patch touches, and those among them that it deletes.
    proposal
        What became of the registry's rows.
    rollback
        Whether their tree holds a younger ensemble.
    left
        What is left to a person.
    """

    patch: bytes
    pull_request: str
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    proposal: Proposal
    rollback: bool
    left: tuple[str, ...]


def hand_over(candidate: UPath, tree: Path) -> HandOver:
    """Verify ``candidate`` and make the patch that puts all of it into the checkout ``tree``.

    Nothing is written there. The patch is applied to a temporary copy, and the rules of their
    checks are asked of it, before it is returned.

    Raises
    ------
    UnusableInput
        If the candidate doesn't verify, ``tree`` can't take it, or a rule of theirs would break.
    """
    evidence = verified(candidate)
    files = candidate_files(evidence)
    summary = summarise(files, evidence.calibration)
    checkout = read_checkout(tree, every_path(summary.corpus_sha256))
    changes, proposal = _changes(files, evidence.rows, summary, checkout)
    removed = tuple(path for path, data in changes.items() if data is None)
    modes = {path: (checkout.modes.get(path, REGULAR), data) for path, data in changes.items()}
    patch = binary_patch(checkout.top, checkout.commit, modes) if changes else b""
    after = _applied(checkout, patch, changes)
    theirs = _require_rules(checkout, after)
    left = left_to_a_person(checkout, theirs)
    rollback = rolls_back(summary, checkout)
    body = pull_request(summary, tuple(changes), removed, left, rollback)
    if missing := missing_deliverables(body, [*changes, changelog_fragment(summary.corpus_sha256)]):
        raise AssertionError(f"the pull request's text lacks {', '.join(missing)}")
    return HandOver(patch, body, tuple(changes), removed, proposal, rollback, left)


def _changes(
    files: Files, rows: Sequence[dict[str, Any]], summary: Summary, checkout: Checkout
) -> tuple[dict[str, bytes | None], Proposal]:
    """Every path whose bytes become others, sorted; no bytes where a file goes."""
    wanted: dict[str, bytes | None] = {
        path: files[name] for name, path in (COPIED | OPTIONAL).items() if name in files
    }
    wanted |= dict.fromkeys(DEAD)
    proposal = _registry(rows, checkout)
    wanted[REGISTRY] = proposal.text.encode()
    wanted[PAGE] = with_section(checkout.files.get(PAGE), section(summary))
    removed = [path for path in DEAD if path in checkout.files]
    told = changelog_fragment(summary.corpus_sha256)
    # Told once: the files that went with it are gone when the same patch is asked for again.
    wanted[told] = checkout.files.get(told, fragment(summary, removed).encode())
    changed = {
        path: data for path, data in wanted.items() if checkout.files.get(path, None) != data
    }
    return dict(sorted(changed.items())), proposal


def _registry(rows: Sequence[dict[str, Any]], checkout: Checkout) -> Proposal:
    where = f"{checkout.top}/{REGISTRY}"
    try:
        text = checkout.files[REGISTRY].decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnusableInput(
            f"{where}: expected UTF-8 text, found a byte that isn't at offset {error.start}."
        ) from error
    # Keys within a row of theirs are in alphabetical order.
    return propose(text, [dict(sorted(row.items())) for row in rows], where)


def _applied(
    checkout: Checkout, patch: bytes, changes: Mapping[str, bytes | None]
) -> dict[str, bytes]:
    """What git makes of the patch: read back, and held against what was meant."""
    paths = {*checkout.files, *changes}
    with patched_copy(checkout.files, patch) as copy:
        after = {path: (copy / path).read_bytes() for path in paths if (copy / path).is_file()}
    meant = {**checkout.files, **changes}
    wrong = sorted(path for path in paths if after.get(path) != meant.get(path))
    if wrong:
        raise UnusableInput(
            f"{checkout.top}: expected git to apply the patch as it was made, found {wrong[0]} to "
            "come out otherwise; look for filters in your git's settings."
        )
    return after


def _require_rules(checkout: Checkout, after: Mapping[str, bytes]) -> tuple[str, ...]:
    """Their rules on the result; returns what was broken before and is not ours to mend."""
    before = {problem.sentence for problem in broken_rules(checkout.files)}
    found = broken_rules(after)
    caused = [p.sentence for p in found if p.ours or p.sentence not in before]
    if caused:
        more = f" and {len(caused) - _TOLD_AT_MOST} more" if len(caused) > _TOLD_AT_MOST else ""
        raise UnusableInput(
            f"{checkout.top}: expected the patched tree to pass its own checks, found "
            f"{'; '.join(caused[:_TOLD_AT_MOST])}{more}; no patch was made."
        )
    return tuple(problem.sentence for problem in found)
