"""Door: the checks on ``ensemble_members``."""

from collections.abc import Iterator

import dagster as dg

from fr_ensemble_assets.calibration.draw import compare_draws, find_draw
from fr_ensemble_assets.calibration.recentring import judged_predictions
from fr_ensemble_assets.contract.places import Places
from fr_ensemble_assets.corpus.in_use import corpus_in_use
from fr_ensemble_assets.doors.findings import check_result
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.doors.metadata import table
from fr_ensemble_assets.doors.refusals import refusals_as_failures
from fr_ensemble_assets.foundation.findings import Finding
from fr_ensemble_assets.gate.verdict import judge
from fr_ensemble_assets.members.assets import ensemble_members
from fr_ensemble_assets.members.build import MemberCheck, check_members
from fr_ensemble_assets.members.onnx_export import ONNX_TOLERANCE
from fr_ensemble_assets.members.shipped import shipped_frames
from fr_ensemble_assets.training.resources import RecipeResource

_NOT_OURS = Finding(
    passed=False,
    observed="nothing was looked at: a member is not the graph that we export, and isn't run",
    threshold="members of ours",
    next_step="materialise ensemble_members again",
)


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            "operators",
            asset=ensemble_members,
            description="Each file is, to the byte, the graph that we export, with its weights "
            "inside: only operators that libvmaf's loader allows.",
            blocking=True,
        ),
        dg.AssetCheckSpec(
            "onnx_matches_network",
            asset=ensemble_members,
            description="onnxruntime scores the whole corpus as the trained module does, within "
            f"{ONNX_TOLERANCE:g} VMAF.",
            blocking=True,
        ),
        dg.AssetCheckSpec(
            "coverage",
            asset=ensemble_members,
            description="Intervals calibrated on the folds' members hold as many of the rows that "
            "the shipped ones were trained on, but for what chance allows: they are a draw of "
            "their own.",
        ),
    ]
)
def members_checks(
    context: dg.AssetCheckExecutionContext, home: HomeResource, recipe: RecipeResource
) -> Iterator[dg.AssetCheckResult]:
    """Hold every exported member against the network that was trained."""
    with refusals_as_failures():
        kept = home.open()
        used, contract = corpus_in_use(context, kept), recipe.contract()
        places = Places(kept, contract, used.sha256)
        found = check_members(places.members, used, contract)
        judgement = judge(places.results, used, contract)
        frames = judged_predictions(places.results, used, contract, judgement).recentred
        drawn = (
            _NOT_OURS
            if any(member.problem for member in found)
            else find_draw(
                compare_draws(frames, shipped_frames(places.members, used, contract, frames))
            )
        )
    yield _operators(found)
    yield _distance(found)
    yield check_result(ensemble_members.key, "coverage", drawn, blocks=False)


def _operators(checks: list[MemberCheck]) -> dg.AssetCheckResult:
    forbidden = sorted({operator for member in checks for operator in member.forbidden})
    problems = [member.problem for member in checks if member.problem] + forbidden
    return dg.AssetCheckResult(
        asset_key=ensemble_members.key,
        check_name="operators",
        passed=not problems,
        description="; ".join(problems) or "the graph that we export, all on the allow-list",
        metadata={
            "forbidden": ", ".join(forbidden) or "none",
            "threshold": "our own graph; none outside the allow-list of contracts section 5",
            "next_step": "materialise ensemble_members again" if problems else "nothing to do",
        },
    )


def _distance(checks: list[MemberCheck]) -> dg.AssetCheckResult:
    measured = [m.max_difference for m in checks if m.max_difference is not None]
    worst = max(measured, default=0.0)
    passed = len(measured) == len(checks) and worst <= ONNX_TOLERANCE  # a NaN is not
    return dg.AssetCheckResult(
        asset_key=ensemble_members.key,
        check_name="onnx_matches_network",
        passed=passed,
        description=f"largest difference {worst:.2e} VMAF over {len(measured)} members",
        metadata={
            "max_difference": worst,
            "threshold": ONNX_TOLERANCE,
            "members": table([{"seed": m.seed, "difference": m.max_difference} for m in checks]),
            "next_step": "nothing to do" if passed else "materialise ensemble_members again",
        },
    )
