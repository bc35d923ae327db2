"""How ``generate`` and ``backfill`` end."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from fr_ensemble_assets.cli.printing.terminal import fail, print_places, stdout
from fr_ensemble_assets.cli.printing.verdicts import figure, print_decision, seed_table
from fr_ensemble_assets.foundation.schema import MIN_ROWS, MIN_SOURCES
from fr_ensemble_assets.foundation.wording import listed

if TYPE_CHECKING:
    from fr_ensemble_assets.operations.backfill import BackfillPlan, Ending
    from fr_ensemble_assets.operations.generate import Delivery


def print_generated(delivery: Delivery) -> None:
    """What ends ``generate``: what failed and why, what was written, what to type next."""
    out = stdout()
    for sentence in delivery.problems:
        fail(sentence)
    if delivery.ignored:
        out.print(f"ignored:   {listed(delivery.ignored)}", markup=False)
    out.print(
        f"encodes:   {delivery.cells} of {delivery.cells_wanted} ({delivery.reused} done before)"
    )
    if delivery.written is None and delivery.cells_written is None:
        out.print(
            "written:   nothing; mend what failed and type the same command, or add --keep-going"
        )
    if delivery.written is not None:
        _print_corpus(delivery, delivery.written)
    if delivery.cells_written is not None:
        out.print(
            f"cells:     {delivery.cells_written} ({delivery.cell_rows} encodes)", markup=False
        )
        out.print("next:      copy the cells into the inbox of a home that fr-ensemble ui serves")


def _print_corpus(delivery: Delivery, written: str) -> None:
    out = stdout()
    out.print(f"written:   {written} ({delivery.rows} rows)", markup=False)
    out.print(f"made from: {delivery.provenance}", markup=False)
    if delivery.trainable:
        told = f"next:      fr-ensemble run --corpus {shlex.quote(written)}"
    else:
        told = f"next:      add clips: training needs {MIN_ROWS} rows of {MIN_SOURCES} sources"
    out.print(told, markup=False)
    if not delivery.trainable:
        asked = f"fr-ensemble recommend --frames {shlex.quote(written)} --target 92"
        out.print(f"ask:       {asked}", markup=False)


def print_backfilled(plan: BackfillPlan, ending: Ending) -> None:
    """The table that ends a backfill: the seeds asked for, and the verdict where there is one."""
    out, decision = stdout(), ending.judgement.decision
    scores = (*ending.judgement.scores, *ending.judgement.studied)
    out.print(seed_table([s for s in scores if s.seed in plan.seeds], decision))
    study = ending.judgement.study_fields
    if study:
        out.print(
            f"study:     {len(study['seeds'])} seeds, mean PLCC {figure(study['mean_plcc'])}, "
            f"spread {figure(study['plcc_spread'])}"
        )
    if ending.judged:
        print_decision(out, decision)
    else:
        missing = ", ".join(map(str, decision.missing_seeds))
        out.print(f"verdict:   not yet: seeds {missing} have no results")
    print_places(out, [("results", str(plan.results))])
    if ending.candidate_dir is not None:
        print_places(out, [("candidate", str(ending.candidate_dir))])
