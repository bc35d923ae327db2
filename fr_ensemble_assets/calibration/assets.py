"""Door: ``interval_calibration``."""

import dagster as dg
from upath import UPath

from fr_ensemble_assets.calibration.calibrate import Calibration, calibrate
from fr_ensemble_assets.calibration.coverage import SHARP_LEVEL, Coverage
from fr_ensemble_assets.calibration.document import CALIBRATION_FILE, calibration_bytes
from fr_ensemble_assets.calibration.plots import calibration_figure, coverage_figure, width_figure
from fr_ensemble_assets.calibration.pooling import OutOfFold
from fr_ensemble_assets.calibration.recentring import Predicted, judged_predictions
from fr_ensemble_assets.contract.agreed import Contract
from fr_ensemble_assets.contract.folds import MOST_SOURCES_ALONE
from fr_ensemble_assets.contract.places import Places
from fr_ensemble_assets.corpus.assets import corpus
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.corpus.in_use import corpus_in_use
from fr_ensemble_assets.doors.groups import CANDIDATE_GROUP
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.doors.metadata import OWNERS, Cell, four_digits, in_home, plot, table
from fr_ensemble_assets.doors.refusals import refusals_as_failures
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import SHORT_SHA_LENGTH
from fr_ensemble_assets.gate.assets import ensemble_verdict
from fr_ensemble_assets.gate.verdict import judge
from fr_ensemble_assets.loso.assets import loso_results
from fr_ensemble_assets.training.resources import RecipeResource


@dg.asset(
    group_name=CANDIDATE_GROUP,
    owners=OWNERS,
    kinds={"json"},
    tags={"domain": "video-quality"},
    code_version="1",
    deps=[
        corpus,
        dg.AssetDep(loso_results, partition_mapping=dg.AllPartitionMapping()),
        ensemble_verdict,
    ],
)
def interval_calibration(
    context: dg.AssetExecutionContext, home: HomeResource, recipe: RecipeResource
) -> dg.MaterializeResult[None]:
    """What the ensemble's intervals are worth on a source that it has never seen.

    From the out-of-fold predictions of all seeds, recentred: each row is predicted by members that
    never saw its source, less what they are off by on the rows that they were trained on. Three
    rules (Gaussian, split conformal over frames, hierarchical conformal over sources), per frame
    and per encode, each tried on every source left out.
    """
    with refusals_as_failures():
        kept = home.open()
        used, contract = corpus_in_use(context, kept), recipe.contract()
        results = Places(kept, contract, used.sha256).results
        predicted = predictions_for_intervals(results, used, contract)
        frames = predicted.recentred
        made = calibrate(used, predicted.raw, frames)
        store.put(results / CALIBRATION_FILE, calibration_bytes(made))
    return dg.MaterializeResult(
        metadata=_figures(made)
        | _plots(made, frames)
        | {
            "coverage": table([_row(c) for c in made.coverages if c.measured]),
            "coverage_by_encoder": table(_by_encoder(made)),
            "corpus_sha256": used.sha256[:SHORT_SHA_LENGTH],
            "stored_at": in_home(kept, results / CALIBRATION_FILE),
        }
    )


def predictions_for_intervals(results: UPath, used: Corpus, contract: Contract) -> Predicted:
    """The out-of-fold predictions of the whole ensemble, each proved to be of these results.

    Raises
    ------
    UnusableInput
        If a seed has no results or no corrections, or they can't be read.
    """
    judgement = judge(results, used, contract)
    missing = judgement.decision.missing_seeds
    if missing:
        raise UnusableInput(
            "interval_calibration: expected the results of every seed of the ensemble, found none "
            f"of {', '.join(map(str, missing))}; materialise these partitions of 'loso_results'."
        )
    if len(judgement.results) < len(judgement.scores):
        raise UnusableInput(
            "interval_calibration: expected results that follow from their predictions, found "
            f"{'; '.join(judgement.decision.reasons)}; train these seeds again."
        )
    return judged_predictions(results, used, contract, judgement)


def _plots(made: Calibration, frames: OutOfFold) -> dict[str, dg.MetadataValue]:
    coarse = len(made.sources) > MOST_SOURCES_ALONE
    return {
        "plot_of_levels": plot(calibration_figure(frames), "level against coverage", coarse),
        "plot_of_sources": plot(coverage_figure(made.coverages), "coverage by source", coarse),
        "plot_of_widths": plot(width_figure(made, frames), "width by predicted VMAF", coarse),
    }


def _figures(made: Calibration) -> dict[str, float]:
    """Numbers with stable names, for Dagster's plots over time."""
    source = made.encode.get("source")
    highest = {"highest_level": source.highest_level} if source else {}
    widths = {
        f"{c.unit}_width_{SHARP_LEVEL:.0%}".replace("%", ""): c.width
        for c in made.coverages
        if c.rule == "source" and c.level == SHARP_LEVEL and c.measured
    }
    told = {"mean_sigma": made.mean_sigma, **highest, **widths}
    figures = {name: four_digits(value) for name, value in told.items()}
    return {"sources": float(len(made.sources)), **figures}


def _by_encoder(made: Calibration) -> list[dict[str, Cell]]:
    """At the highest level that was measured by every rule."""
    measured = [c for c in made.coverages if c.rule == "source" and c.measured]
    highest = max((c.level for c in measured), default=0.0)
    return [
        {
            "encoder": group.name,
            "rule": c.rule,
            "per": c.unit,
            "level": c.level,
            "covered": round(group.coverage, 4),
            "width": round(group.width, 3),
        }
        for c in made.coverages
        if c.level == highest and c.measured
        for group in c.by_encoder
    ]


def _row(coverage: Coverage) -> dict[str, Cell]:
    return {
        "rule": coverage.rule,
        "per": coverage.unit,
        "level": coverage.level,
        "covered": round(coverage.coverage, 4),
        "lowest_source": coverage.lowest.name,
        "lowest": round(coverage.lowest.coverage, 4),
        "width": round(coverage.width, 3),
    }
