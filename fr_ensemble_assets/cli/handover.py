"""``propose --tree``, ``card``, ``export``, ``compare``, ``sign``, ``verify``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fr_ensemble_assets.cli.app import (
    HomeOption,
    JsonOption,
    app,
    errors_in_one_sentence,
    file_to_write,
    named_path,
)
from fr_ensemble_assets.foundation.errors import UnusableInput

if TYPE_CHECKING:
    from upath import UPath

CandidateOption = Annotated[
    str | None, typer.Option(help="A candidate's folder [default: the only one in the home]")
]


def propose_tree(folder: UPath, tree: str, out: str | None) -> None:
    """Print the patch or write it; the pull request's text goes beside it, or to stderr."""
    from fr_ensemble_assets.cli.printing.terminal import err
    from fr_ensemble_assets.foundation import store
    from fr_ensemble_assets.handover.patch import hand_over

    if not tree:
        raise UnusableInput("--tree: expected a checkout, found nothing; leave the option out.")
    destination = file_to_write("--out", out) if out is not None else None
    made = hand_over(folder, Path(tree))
    if destination is None:
        sys.stdout.buffer.write(made.patch)
        sys.stdout.buffer.flush()
        err.print(made.pull_request, markup=False)
    else:
        text = destination.parent / f"{destination.name}.md"
        store.put(text, made.pull_request.encode())
        store.put(destination, made.patch)
        for told in made.left:
            err.print(f"left to a person: {told}", markup=False)
        err.print(f"pull request: {text}", markup=False)
    if made.rollback:
        err.print("this is a rollback: the ensemble in their tree is newer", markup=False)
    rows = f"{len(made.proposal.replaced)} rows replaced, {len(made.proposal.added)} added"
    err.print(
        f"{len(made.changed)} files changed, {len(made.removed)} of them removed; {rows}; "
        f"tried on a copy, which keeps the rules of their checks; from {folder}"
        if made.patch
        else f"nothing to change: {tree} already holds {folder}",
        markup=False,
    )


@app.command()
def card(
    html: Annotated[str, typer.Option(help="The page to write: one file that needs no other.")],
    candidate: CandidateOption = None,
    home: HomeOption = None,
) -> None:
    """Write a candidate's model card as one HTML page.

    The card shows accuracy by encoder and by source, intervals, and where the model fails. Every
    figure is computed from the candidate's evidence. The page needs no network and follows the
    reader's light or dark theme.
    """
    from fr_ensemble_assets.card.render import card_page
    from fr_ensemble_assets.cli.printing.terminal import err
    from fr_ensemble_assets.foundation import store
    from fr_ensemble_assets.handover.cards import facts_for
    from fr_ensemble_assets.operations.candidates import chosen_candidate

    with errors_in_one_sentence():
        destination = file_to_write("--html", html)
        folder = chosen_candidate(candidate, home)
        store.put(destination, card_page(facts_for(folder)))
    err.print(f"model card of {folder}: {destination}", markup=False)


@app.command()
def export(
    out: Annotated[str, typer.Option(help="The folder to make; it must be new or empty.")],
    candidate: CandidateOption = None,
    home: HomeOption = None,
) -> None:
    """Write a kit for programs that use the ensemble: members, an example, golden vectors.

    The example needs only numpy and onnxruntime. An implementation in C or Rust tests itself
    against the golden rows, which hold features, inputs, member scores, mu, sigma and intervals.
    """
    from fr_ensemble_assets.cli.printing.terminal import err
    from fr_ensemble_assets.foundation.destination import require_folder_of
    from fr_ensemble_assets.handover.export import export_kit
    from fr_ensemble_assets.operations.candidates import chosen_candidate

    with errors_in_one_sentence():
        destination = named_path("--out", out)
        require_folder_of(destination, "--out")
        folder = chosen_candidate(candidate, home)
        export_kit(folder, destination)
    err.print(f"kit of {folder}: run 'python {destination}/example.py'", markup=False)


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="A candidate, or a folder of loso_seed{N}.json.")],
    b: Annotated[str, typer.Argument(help="Another one.")],
    corpus: Annotated[
        str | None,
        typer.Option(help="Score these rows with both candidates and list those that move."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two candidates, or two folders of results.

    Lists what differs in digests, PLCC and RMSE by source, coverage and interval width. With
    --corpus, also counts the rows whose score moves by more than 1 VMAF.
    """
    from fr_ensemble_assets.cli.comparison import comparison_document, comparison_lines
    from fr_ensemble_assets.corpus.reader import read_corpus
    from fr_ensemble_assets.handover.compare import compare as compared
    from fr_ensemble_assets.handover.compare import read_side

    with errors_in_one_sentence():
        left, right = read_side(named_path("A", a)), read_side(named_path("B", b))
        if corpus is not None and (left.evidence is None or right.evidence is None):
            raise UnusableInput(
                "--corpus: expected two candidates that can score its rows, found a folder of "
                "results; leave the option out."
            )
        rows = read_corpus(named_path("--corpus", corpus)).corpus if corpus is not None else None
        found = compared(left, right, rows)
    if as_json:
        sys.stdout.write(json.dumps(comparison_document(found), indent=2, allow_nan=False) + "\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for line in comparison_lines(found)))


@app.command()
def sign(
    key: Annotated[str, typer.Option(help="Your private key: PEM, P-256, P-384 or P-521.")],
    candidate: CandidateOption = None,
    home: HomeOption = None,
) -> None:
    """Sign every file of a candidate (OpenSSF model signing).

    The signature is written into the candidate's folder. Needs `pip install fr-ensemble[signing]`.
    FR_ENSEMBLE_KEY_PASSWORD holds the password of an encrypted key.
    """
    from fr_ensemble_assets.candidate.signing import sign_candidate
    from fr_ensemble_assets.candidate.verify import require_verified
    from fr_ensemble_assets.cli.printing.terminal import err
    from fr_ensemble_assets.operations.candidates import chosen_candidate

    with errors_in_one_sentence():
        folder = chosen_candidate(candidate, home)
        # Whoever signs vouches for it: another's signature may be gone, or never was.
        require_verified(folder)
        signature = sign_candidate(folder, _key(key))
    err.print(f"signed: {signature}", markup=False)


@app.command()
def verify(
    key: Annotated[
        str | None,
        typer.Option(help="The publisher's public key [env: FR_ENSEMBLE_PUBLIC_KEY]"),
    ] = None,
    candidate: CandidateOption = None,
    home: HomeOption = None,
) -> None:
    """Verify a candidate: digests, schema, gate and, with a key, its signature.

    While FR_ENSEMBLE_PUBLIC_KEY is set, every command that reads a candidate demands the signature.
    """
    from fr_ensemble_assets.candidate.signing import PUBLIC_KEY_VARIABLE, verify_signature
    from fr_ensemble_assets.candidate.verify import verified
    from fr_ensemble_assets.cli.printing.terminal import err
    from fr_ensemble_assets.operations.candidates import chosen_candidate

    with errors_in_one_sentence():
        folder = chosen_candidate(candidate, home)
        verified(folder)
        if key is not None:
            verify_signature(folder, _key(key))
    by_key = key is not None or os.environ.get(PUBLIC_KEY_VARIABLE)
    how = "digests, schema, gate and signature" if by_key else "digests, schema and gate; no key"
    err.print(f"verified: {folder} ({how})", markup=False)


def _key(text: str) -> Path:
    if not text:
        raise UnusableInput("--key: expected the path of a key, found nothing.")
    return Path(text)
