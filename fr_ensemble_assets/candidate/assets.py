"""Door: ``registry_candidate``."""

from collections.abc import Mapping, Sequence

import dagster as dg

from fr_ensemble_assets.calibration.assets import interval_calibration
from fr_ensemble_assets.candidate.build import build_candidate
from fr_ensemble_assets.candidate.signing import SIGNATURE_FILE
from fr_ensemble_assets.card.challenge import MOVED, Challenge
from fr_ensemble_assets.card.render import card_address
from fr_ensemble_assets.contract.places import Places
from fr_ensemble_assets.corpus.assets import corpus
from fr_ensemble_assets.corpus.in_use import CELLS, corpus_in_use, sha256_in_use
from fr_ensemble_assets.doors.groups import CANDIDATE_GROUP
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.doors.metadata import OWNERS, Cell, in_home, table
from fr_ensemble_assets.doors.progress import Watch
from fr_ensemble_assets.doors.refusals import refusals_as_failures
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import sha256_of
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.foundation.versions import standing
from fr_ensemble_assets.foundation.wording import listed
from fr_ensemble_assets.gate.assets import ensemble_verdict
from fr_ensemble_assets.gate.verdict import authorise
from fr_ensemble_assets.members.assets import ensemble_members
from fr_ensemble_assets.predictors.assets import predictors
from fr_ensemble_assets.predictors.published import predictors_at_hand
from fr_ensemble_assets.training.resources import (
    TRAINING_POOL,
    RecipeResource,
    TrainerResource,
)

_HALF = 32


@dg.asset(
    group_name=CANDIDATE_GROUP,
    owners=OWNERS,
    kinds={"onnx", "json"},
    tags={"domain": "video-quality"},
    code_version="2",
    pool=TRAINING_POOL,
    deps=[corpus, ensemble_verdict, interval_calibration, ensemble_members, predictors],
)
def registry_candidate(
    context: dg.AssetExecutionContext,
    home: HomeResource,
    recipe: RecipeResource,
    trainer: TrainerResource,
    watch: dg.ResourceParam[Watch],
) -> dg.MaterializeResult[None]:
    """A folder that verifies by itself, for a person to propose to somebody else's registry.

    Only on PROMOTE, evaluated again from the results files. The members are fitted again, unless
    this very process did: stored ones must be the same to the byte. What was verified in memory is
    published in ``candidates/`` as the last step, whole or not at all. Predictors of codecs that
    pass on the newest planning cells go with it, where there are some.
    """
    with refusals_as_failures():
        kept = home.open()
        used, contract = corpus_in_use(context, kept), recipe.contract()
        places = Places(kept, contract, used.sha256)
        judgement = authorise(places.results, used, contract)
        folder = places.candidate
        published = build_candidate(
            places,
            used,
            judgement,
            trainer.build(),
            watch(context.log).report("final fits again"),
            _predictors(context, kept),
        )
    if published.unsigned:
        context.log.warning(
            f"{folder}: its {SIGNATURE_FILE} was over other bytes, and is gone; sign it again."
        )
    challenged = published.card.challenge
    return dg.MaterializeResult(
        metadata={
            "model_card": dg.MetadataValue.url(card_address(folder.name)),
            "next_step": f"fr-ensemble propose --candidate {folder.name} --tree CHECKOUT "
            "--out flip.patch makes the patch for their tree. Read it, and apply it there with "
            "git apply --binary; the flip is yours.",
            "signature": "gone: it was over other bytes; sign it again"
            if published.unsigned
            else "unchanged",
            "champion": _champion(challenged, published.passed_over),
            **_compared(challenged),
            "contents": table(
                [
                    {"file": name, "bytes": len(data), "sha256": sha256_of(data)}
                    for name, data in sorted(store.files_in(standing(folder)).items())
                ]
            ),
            # Whole, for the checks to find it by; in halves, since one word is wider than the page.
            "corpus_sha256": f"{used.sha256[:_HALF]} {used.sha256[_HALF:]}",
            "stored_at": in_home(kept, folder),
        },
    )


def _predictors(context: dg.AssetExecutionContext, home: Home) -> Mapping[str, bytes]:
    """What was published on the planning cells that this run knows; nothing where there are none.

    A candidate needs none: what keeps them from being judged is no reason to hold it back.
    """
    try:
        sha256 = sha256_in_use(context, CELLS)
    except UnusableInput:
        return {}
    return predictors_at_hand(home, sha256)


def _champion(challenge: Challenge | None, passed_over: Sequence[str]) -> str:
    note = f"; passed over, since they don't verify: {listed(passed_over)}" if passed_over else ""
    if challenge is None:
        return f"none: no candidate before this one{note}"
    moved = challenge.moved
    return (
        f"corpus {challenge.champion}; {moved.moved} of {moved.rows} rows move by more than "
        f"{MOVED:g} VMAF, the furthest by {moved.furthest:.2f}; "
        f"{len(challenge.unfair)} sources that it was trained on are not compared{note}"
    )


def _compared(challenge: Challenge | None) -> Mapping[str, dg.MetadataValue]:
    """Champion and challenger on sources that neither saw; nothing where there is none."""
    if challenge is None or not challenge.plcc:
        return {}
    rows: list[dict[str, Cell]] = [
        {
            "source": plcc.name,
            "plcc_champion": plcc.a if plcc.a is not None else "undefined",
            "plcc_challenger": plcc.b if plcc.b is not None else "undefined",
            "rmse_champion": rmse.a if rmse.a is not None else "undefined",
            "rmse_challenger": rmse.b if rmse.b is not None else "undefined",
        }
        for plcc, rmse in zip(challenge.plcc, challenge.rmse, strict=True)
    ]
    return {"champion_and_challenger": table(rows)}
