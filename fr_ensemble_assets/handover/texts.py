"""The changelog fragment that is in a patch, and the pull request's text that goes beside it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import datetime

from fr_ensemble_assets.handover.checkout import Checkout, json_object
from fr_ensemble_assets.handover.names import MODELS, PAGE, changelog_fragment
from fr_ensemble_assets.handover.summary import Summary
from fr_ensemble_assets.members.consumers import VERDICT_IN_TREE
from fr_ensemble_assets.members.names import ENSEMBLE_ID

_LINE = 72


def fragment(summary: Summary, removed: Sequence[str]) -> str:
    """One bullet, in the layout of their other fragments."""
    dead = f"; {len(removed)} dead external-data files removed" if removed else ""
    told = (
        f"**`{ENSEMBLE_ID}` refreshed on corpus `{summary.corpus_sha256[:12]}`.** Members, "
        "sidecars, manifest and verdict regenerated together (ADR-0321): "
        f"{summary.n_rows:,} frames of {len(summary.calibration.sources)} sources, "
        f"{summary.protocol} mean PLCC {summary.mean_plcc:.4f}, spread "
        f"{summary.plcc_spread:.4f} (gate ADR-0303, verdict `{VERDICT_IN_TREE}`). The manifest "
        f"carries the members' own scaler and vocabulary{dead}."
    )
    filled = textwrap.fill(
        told, _LINE, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False
    )
    return filled + "\n"


def left_to_a_person(checkout: Checkout, theirs: Sequence[str]) -> tuple[str, ...]:
    """What a patch of ours can't do, or doesn't decide."""
    told = [
        "Signatures: `*.onnx.sigstore.json` are made by your CI's own identity; rows name them, "
        "and until they exist `--tiny-model-verify` refuses these models.",
        "A number for an ADR, or a `### Status update` in ADR-0321.",
        "`CHANGELOG.md`: render it with `scripts/release/concat-changelog-fragments.sh --write`.",
        f"`{PAGE}`: text outside our markers (status block, manifest example) is yours to bring "
        "up to date.",
    ]
    if checkout.filtered:
        told.append(
            f"`{MODELS}/*.onnx` go through the filter '{checkout.filtered}': have it installed "
            "before `git add`."
        )
    told += [f"Already so in your tree: {problem}." for problem in theirs]
    return tuple(told)


def rolls_back(summary: Summary, checkout: Checkout) -> bool:
    """Whether the verdict in their tree is younger than the candidate's (ADR-0309's rollback)."""
    theirs = json_object(checkout.files, f"{MODELS}/{VERDICT_IN_TREE}") or {}
    younger, ours = (str(told.get("generated_at_utc", "")) for told in (theirs, summary.verdict))
    try:
        return datetime.fromisoformat(younger) > datetime.fromisoformat(ours)
    except (ValueError, TypeError):
        return False


def pull_request(
    summary: Summary,
    changed: Sequence[str],
    removed: Sequence[str],
    left: Sequence[str],
    rollback: bool,
) -> str:
    """The text for a person to paste: figures, files, ADR-0108's six items, what is left."""
    gate = summary.verdict["gate"]
    seeds = ", ".join(f"{seed}: {plcc:.6f}" for seed, plcc in gate["per_seed_plccs"].items())
    sha256 = summary.corpus_sha256
    return "\n".join(
        [
            f"# {ENSEMBLE_ID}: {'rollback to' if rollback else ''} the ensemble of corpus "
            f"{sha256[:12]}".replace(":  ", ": "),
            "",
            *(
                [
                    "**This is a rollback**: the verdict in the tree is younger than the one "
                    f"proposed ({summary.verdict['generated_at_utc']}).",
                    "",
                ]
                if rollback
                else []
            ),
            f"Corpus sha256 `{sha256}` ({summary.n_rows:,} frames, "
            f"{len(summary.calibration.sources)} sources, "
            f"{summary.calibration.n_encodes} encodes).",
            "",
            f"- Verdict (ADR-0303): {summary.verdict['verdict']}, mean PLCC "
            f"{summary.mean_plcc:.6f} (at least {gate['mean_plcc_threshold']:g}), spread "
            f"{summary.plcc_spread:.6f} (at most {gate['plcc_spread_max']:g})",
            f"- By seed: {seeds}",
            *_intervals(summary),
            "",
            "## Files",
            "",
            *(f"- `{path}`{' (removed)' if path in removed else ''}" for path in changed),
            "",
            "## Deep-dive deliverables (ADR-0108)",
            "",
            "- [ ] **Research digest**: no digest needed: the method is unchanged (ADR-0303, "
            "ADR-0319, ADR-0321)",
            "- [ ] **Decision matrix**: no alternatives: the same recipe on a new corpus",
            "- [ ] **`AGENTS.md` invariant note**: no rebase-sensitive invariants change",
            "- [x] **Reproducer / smoke-test command**: below",
            f"- [x] **CHANGELOG fragment**: `{changelog_fragment(sha256)}`",
            "- [ ] **Rebase note**: no rebase impact: model files and their page alone",
            "",
            "No state delta: a checkpoint is replaced, nothing planned is opened or closed.",
            "",
            "## Reproducer",
            "",
            "```sh",
            f"fr-ensemble run --corpus CORPUS   # content sha256 {sha256}",
            "fr-ensemble propose --tree .      # prints this patch again, nothing to change",
            "bash libvmaf/test/dnn/test_registry.sh",
            "python3 ai/scripts/validate_model_registry.py",
            "python3 -m pytest python/test/model_registry_schema_test.py",
            "```",
            "",
            "## Left to a person",
            "",
            *(f"- {told}" for told in left),
            "",
        ]
    )


def _intervals(summary: Summary) -> list[str]:
    found = []
    for unit in ("frame", "encode"):
        coverage = summary.coverage(unit, "source")
        if coverage is not None:
            found.append(
                f"- Intervals at {coverage.level:.0%}, rule `source`, per {unit}, sources left "
                f"out: {coverage.coverage:.1%} covered (least: {coverage.lowest.name} "
                f"{coverage.lowest.coverage:.1%}), mean width {coverage.width:.2f} VMAF"
            )
    return found or ["- Too few sources to measure intervals at 95 % on one that is left out"]
