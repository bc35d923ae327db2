"""A row a seed, and what the gate says of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from fr_ensemble_assets.cli.printing.terminal import Terminal, err, print_places, stdout
from fr_ensemble_assets.contract.thresholds import ADR_0303
from fr_ensemble_assets.evidence.results import SeedScore
from fr_ensemble_assets.foundation.home import SHORT_SHA_LENGTH
from fr_ensemble_assets.foundation.wording import shown
from fr_ensemble_assets.gate.advice import few_sources, next_step
from fr_ensemble_assets.gate.rule import Decision, seed_plcc

if TYPE_CHECKING:
    from fr_ensemble_assets.operations.codecs import Codecs
    from fr_ensemble_assets.predictors.gate import CodecVerdict


#: What eighty columns leave for a source's name; the terminal would cut off its end.
_SOURCE_LIMIT = 21


def print_verdict(
    decision: Decision,
    scores: Sequence[SeedScore],
    places: Sequence[tuple[str, str]],
    to_stderr: bool,
    worth: Sequence[str] = (),
) -> None:
    """The table that ends a run: a row a seed, the verdict, what it is worth, places."""
    out = err if to_stderr else stdout()
    out.print(seed_table(scores, decision))
    print_decision(out, decision)
    for line in worth:
        out.print(line, markup=False)
    # A diagnosis among these lines has said already what is next.
    diagnosed = any("Next: " in line for line in worth)
    told = few_sources(scores) if diagnosed else next_step(decision, scores)
    print_places(out, [*places, *([("next" if not diagnosed else "note", told)] if told else [])])


def print_codecs(codecs: Codecs, to_stderr: bool) -> None:
    """A row a codec: what the same gate says of its predictor, over folds instead of seeds."""
    out = err if to_stderr else stdout()
    if codecs.verdicts:
        cells = (codecs.cells_sha256 or "")[:SHORT_SHA_LENGTH]
        out.print(f"predictors of recommend --clip, on planning cells {cells}, not on this corpus:")
        out.print(codec_table([one.scored for one in codecs.verdicts]))
    for one in codecs.verdicts:
        if not one.scored.passed:
            culprits = f"; passes without {', '.join(one.scored.culprits)}"
            told = "; ".join(one.scored.reasons) + (culprits if one.scored.culprits else "")
            out.print(f"  - {one.encoder}: {shown(told)}", markup=False)
    unscored = [one.encoder for one in codecs.verdicts if one.unscored.passed]
    if codecs.verdicts:
        told = ", ".join(unscored) or "none"
        out.print(f"from a first encode that nobody scores: {told} of them passes")
    if codecs.problem:
        out.print(f"predictors: none, {codecs.problem}", markup=False)


def codec_table(verdicts: Sequence[CodecVerdict]) -> Table:
    """A row a codec, coloured by whether it passes; ``regrouped``: how many other dealings pass."""
    table = Table(title_justify="left", header_style="bold")
    columns = ("predictor", "mean PLCC", "spread", "lowest fold", "RMSE", "verdict", "regrouped")
    for heading in columns:
        table.add_column(heading, justify="left" if heading == "predictor" else "right")
    for verdict in verdicts:
        lowest = [f.agreement.plcc for f in verdict.folds if f.agreement.plcc is not None]
        held = "[green]PASS[/]" if verdict.passed else "[red]HOLD[/]"
        table.add_row(
            escape(verdict.encoder),
            figure(verdict.mean_plcc),
            figure(verdict.plcc_spread),
            figure(min(lowest) if lowest else None),
            "undefined" if verdict.rmse is None else f"{verdict.rmse:.2f}",
            held,
            f"{sum(other.passes for other in verdict.others)} of {len(verdict.others)}"
            if verdict.others
            else "",
        )
    return table


def seed_table(scores: Sequence[SeedScore], decision: Decision) -> Table:
    """A row a seed, coloured by whether it reaches the threshold."""
    table = Table(title_justify="left", header_style="bold")
    for heading in ("seed", "mean PLCC", "lowest fold", "held-out source", "mean RMSE", "train s"):
        table.add_column(heading, justify="left" if "source" in heading else "right")
    for score in scores:
        table.add_row(*_seed_row(score, decision))
    return table


def print_decision(out: Terminal, decision: Decision) -> None:
    """The gate\'s figures, the verdict, and a line for each reason."""
    out.print(
        f"mean PLCC {figure(decision.mean_plcc)} (>= {ADR_0303.mean_plcc_min:g})   "
        f"spread {figure(decision.plcc_spread)} (<= {ADR_0303.plcc_spread_max:g})   "
        f"each seed >= {ADR_0303.each_plcc_min:g}"
    )
    if decision.groups is not None:
        out.print(f"folds:     {decision.protocol}, a variant of its own, compared with no other")
    colour = "green" if decision.promote else "red"
    dry = " (dry run)" if decision.dry_run else ""
    out.print(f"verdict: [bold {colour}]{decision.verdict}[/]{dry}")
    for reason in decision.reasons:
        out.print(f"  - {reason}", markup=False)


def _seed_row(score: SeedScore, decision: Decision) -> tuple[str, ...]:
    plcc = seed_plcc(score)
    judged = score.seed in decision.seeds  # others are studied: shown, not judged
    style = ("red" if score.seed in decision.failing_seeds else "green") if judged else "default"
    worst = min(score.folds, key=lambda f: -2.0 if f.plcc is None else f.plcc)
    rmses = [fold.rmse for fold in score.folds if fold.rmse is not None]
    return (
        str(score.seed),
        f"[{style}]{figure(plcc)}[/]",
        figure(worst.plcc),
        escape(shown(worst.held_out, _SOURCE_LIMIT)),
        f"{sum(rmses) / len(rmses):.3f}" if rmses else "undefined",
        f"{score.wall_time_s:.0f}" if score.wall_time_s else "",
    )


def figure(value: float | None) -> str:
    """A correlation as it is told; ``None`` is undefined."""
    return "undefined" if value is None else f"{value:.5f}"
