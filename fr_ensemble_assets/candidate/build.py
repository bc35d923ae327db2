"""Make a candidate in memory, verify it, and publish the very bytes that were verified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from upath import UPath

from fr_ensemble_assets.assurance.assess import caveats_of
from fr_ensemble_assets.calibration.calibrate import calibrate
from fr_ensemble_assets.calibration.recentring import judged_predictions
from fr_ensemble_assets.candidate.carried import carried_files
from fr_ensemble_assets.candidate.champion import champion_before
from fr_ensemble_assets.candidate.contents import (
    VERDICT_FILE,
    Contents,
    read_contents,
    read_file,
)
from fr_ensemble_assets.candidate.documents import Evidence, candidate_files
from fr_ensemble_assets.candidate.places import require_place
from fr_ensemble_assets.candidate.registry import REGISTRY_FILE, schema_problems
from fr_ensemble_assets.candidate.signing import SIGNATURE_FILE
from fr_ensemble_assets.candidate.verify import verify_contents
from fr_ensemble_assets.card.facts import Facts
from fr_ensemble_assets.contract.places import Places
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.corpus.provenance import kept_note
from fr_ensemble_assets.evidence.results import results_file
from fr_ensemble_assets.foundation import store, versions
from fr_ensemble_assets.foundation.errors import GateRefusal, UnusableInput
from fr_ensemble_assets.foundation.files import parse_json
from fr_ensemble_assets.foundation.progress import StepReport, report_nothing
from fr_ensemble_assets.foundation.wording import listed
from fr_ensemble_assets.gate.verdict import Judgement, verdict_document
from fr_ensemble_assets.members.build import MadeMembers, make_members
from fr_ensemble_assets.members.fit import fit_members, fits_of_this_process
from fr_ensemble_assets.members.names import MANIFEST_FILE
from fr_ensemble_assets.training.trainer import Trainer

NO_PREDICTORS: Mapping[str, bytes] = MappingProxyType({})


@dataclass(frozen=True)
class Published:
    """What became of a publication.

    Attributes
    ----------
    card
        The facts of its model card.
    unsigned
        Whether a signature went: it was over other bytes than those that lie there now.
    passed_over
        Candidates judged before it that were to be compared with it, but don't verify.
    """

    card: Facts
    unsigned: bool
    passed_over: tuple[str, ...]


def build_candidate(
    places: Places,
    corpus: Corpus,
    judgement: Judgement,
    trainer: Trainer,
    report: StepReport = report_nothing,
    predictors: Mapping[str, bytes] = NO_PREDICTORS,
) -> Published:
    """Publish the candidate of ``corpus``, whole or not at all.

    The members are fitted again, unless this very process fitted them; the stored ones must be the
    same to the byte. Nothing is copied from the store but results and verdict, which were judged.

    Parameters
    ----------
    places
        Where results, members and candidate of this corpus and contract are kept.
    judgement
        From :func:`~fr_ensemble_assets.gate.verdict.authorise`, which let it through.
    predictors
        The files of codecs' predictors that pass, by name, with their report
        (:func:`~fr_ensemble_assets.predictors.published.predictors_at_hand`).

    Raises
    ------
    GateRefusal
        If stored members aren't those that fitting gives, or what was made doesn't verify.
    UnusableInput
        If members are missing, or something else lies where the candidate goes.
    """
    place, contract = places.candidate, places.contract
    require_place(place, corpus.sha256)
    carried = _judged_files(places, corpus, judgement)
    predicted = judged_predictions(places.results, corpus, contract, judgement)
    calibration = calibrate(corpus, predicted.raw, predicted.recentred)
    fitted = fits_of_this_process(corpus, contract, trainer)
    if fitted is None:
        fitted = fit_members(corpus, contract, trainer, report)
    made = make_members(corpus, contract, judgement, calibration, fitted)
    _require_stored(places.members, made)
    evidence = Evidence(
        made.facts, judgement, made.models, made.calibration, made.mean_sigma, carried
    )
    groups = judgement.decision.groups
    champion = champion_before(places.home.candidates, place, carried[VERDICT_FILE], groups)
    told, card = carried_files(
        corpus, predicted, evidence, champion.evidence, kept_note(places.corpus)
    )
    files = candidate_files(replace(evidence, carried={**carried, **told, **predictors}))
    problems = (
        *schema_problems(parse_json(files[REGISTRY_FILE], REGISTRY_FILE)),
        *verify_contents(Contents(str(place), files)).problems,
    )
    if problems:
        raise GateRefusal(
            f"{place.name}: expected a candidate that verifies, found "
            f"{listed(problems, separator='; ', limit=300)}; run again with --force."
        )
    unsigned = _publish(place, files, corpus.sha256)
    return Published(card, unsigned, champion.passed_over)


def _judged_files(places: Places, corpus: Corpus, judgement: Judgement) -> dict[str, bytes]:
    """Results and verdict, the very bytes that were judged and let through."""
    files = {results_file(score.seed): score.data for score in judgement.scores}
    files[VERDICT_FILE] = judgement.verdict_file
    told = parse_json(files[VERDICT_FILE], VERDICT_FILE)
    # A verdict may leave out what it is worth; what it tells of that must be so.
    caveats = (
        caveats_of(corpus, judgement.results, places.contract.plan) if told.get("caveats") else ()
    )
    given = verdict_document(judgement, corpus, places.results_from_home, caveats=caveats)
    if told != given | {"generated_at_utc": told.get("generated_at_utc")}:
        raise GateRefusal(
            f"{VERDICT_FILE}: expected the verdict that the results give, found another; "
            "materialise ensemble_verdict again."
        )
    return files


def _require_stored(folder: UPath, made: MadeMembers) -> None:
    """Stored members are not believed: they must be what fitting gives, to the byte."""
    for name, data in made.files.items():
        if not store.exists(folder / name):
            raise UnusableInput(
                f"{folder / name}: expected a member's file, found none; "
                "materialise ensemble_members."
            )
        if read_file(folder / name) != data:
            raise GateRefusal(
                f"{name}: expected the file that fitting the members again gives, found another: "
                "it was altered, or made by another machine or version; "
                "materialise ensemble_members again."
            )


def _publish(place: UPath, files: Mapping[str, bytes], corpus_sha256: str) -> bool:
    """Put the manifest last, and look once more: what lies there must be what was verified.

    A signature over these very bytes stays. Any other goes; returns whether one did.
    """
    require_place(place, corpus_sha256)
    signed = store.exists(versions.standing(place) / SIGNATURE_FILE)
    if _lies(place, files):
        return False
    versions.publish(place, files, MANIFEST_FILE)
    if not _lies(place, files):
        if store.is_local(place):  # elsewhere it is another publisher's, who came after us
            store.delete(place)
        raise GateRefusal(
            f"{place.name}: expected the candidate that was verified, found other files where it "
            "was published: somebody writes there; find out who, and run again."
        )
    return signed


def _lies(place: UPath, files: Mapping[str, bytes]) -> bool:
    """Whether exactly these files lie there, beside a signature."""
    if not store.is_folder(place):
        return False
    lying = read_contents(place)
    return lying.files == files and not lying.problems
