"""``gate`` and ``propose``: judge results, hand a candidate over."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from fr_ensemble_assets.cli.app import (
    EXIT_HOLD,
    EXIT_PROMOTE,
    CandidateOption,
    HomeOption,
    JsonOption,
    app,
    errors_in_one_sentence,
)
from fr_ensemble_assets.foundation.errors import UnusableInput


@app.command()
def gate(
    results_dir: Annotated[
        str, typer.Argument(help="A folder of loso_seed{N}.json: ours or the fork's.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Judge a folder of results of sources left out, alone or in groups. Writes nothing."""
    from fr_ensemble_assets.cli.printing.verdicts import print_verdict
    from fr_ensemble_assets.contract.agreed import ENSEMBLE
    from fr_ensemble_assets.evidence.plans import variant_of
    from fr_ensemble_assets.evidence.results import load_scores
    from fr_ensemble_assets.foundation.files import parse_path
    from fr_ensemble_assets.gate.rule import decide

    with errors_in_one_sentence():
        scores = load_scores(parse_path(results_dir))
    decision = decide(scores, variant_of(scores, ENSEMBLE))
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
        str | None,
        typer.Option(
            help="Their registry.json: print the diff of this one file. It is never written."
        ),
    ] = None,
    tree: Annotated[
        str | None,
        typer.Option(help="Their checkout: make one patch with everything. It is never written."),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(help="The patch to write, and OUT.md with the pull request [default: stdout]"),
    ] = None,
    candidate: CandidateOption = None,
    home: HomeOption = None,
) -> None:
    """Make the patch that puts a candidate into their tree, for `git apply --binary`.

    --tree: the patch holds members, sidecars, manifest, verdict, calibration, registry rows, the
    model's page and a changelog fragment. It is tried on a copy of the tree and must pass their
    checks. An older --candidate makes a rollback. --registry: only the diff of that file.

    The candidate is verified first. Existing rows get a new digest, smoke flag and notes. Missing
    rows are added. Every other byte stays. Applying the patch is left to a person.
    """
    from fr_ensemble_assets.candidate.propose import propose_candidate
    from fr_ensemble_assets.cli.handover import propose_tree
    from fr_ensemble_assets.cli.printing.terminal import err
    from fr_ensemble_assets.foundation.files import parse_path
    from fr_ensemble_assets.operations.candidates import chosen_candidate

    with errors_in_one_sentence():
        if (registry is None) == (tree is None):
            raise UnusableInput("propose: expected either --tree or --registry; give one of them.")
        folder = chosen_candidate(candidate, home)
        if registry is None:
            propose_tree(folder, tree or "", out)
            return
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
