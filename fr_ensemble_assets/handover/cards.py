"""The facts of a candidate's card: those in the candidate, else computed from the store."""

from __future__ import annotations

from upath import UPath

from fr_ensemble_assets.calibration.calibrate import calibrate
from fr_ensemble_assets.calibration.pooling import load_out_of_fold
from fr_ensemble_assets.candidate.signing import require_signature
from fr_ensemble_assets.candidate.verify import verify_candidate
from fr_ensemble_assets.card.compute import facts_of
from fr_ensemble_assets.card.facts import FACTS_FILE, Facts, read_facts
from fr_ensemble_assets.corpus.store import load_corpus
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.gate.verdict import authorise
from fr_ensemble_assets.handover.summary import summarise
from fr_ensemble_assets.loso.run import results_dir
from fr_ensemble_assets.training.recipe import CONTRACT_RECIPE


def verified(candidate: UPath, signed: bool = True) -> UPath:
    """The candidate, if it verifies; where a public key is configured, only if it is signed.

    Raises
    ------
    UnusableInput
        If it doesn't.
    """
    problems = verify_candidate(candidate).problems
    if problems:
        raise UnusableInput(
            f"{candidate}: expected a candidate that verifies, found {'; '.join(problems)}; "
            "build it again with 'fr-ensemble run'."
        )
    if signed:
        require_signature(candidate)
    return candidate


def facts_for(candidate: UPath, home: Home) -> Facts:
    """What the card of ``candidate`` says.

    Raises
    ------
    UnusableInput
        If the candidate doesn't verify, or has no facts and the home lacks what they come from.
    GateRefusal
        If what the home has of it doesn't carry a PROMOTE any more.
    """
    verified(candidate)
    if (candidate / FACTS_FILE).exists():
        return read_facts(candidate / FACTS_FILE)
    summary = summarise(candidate)
    corpus = load_corpus(home, summary.corpus_sha256)
    results = results_dir(home, corpus.sha256, CONTRACT_RECIPE)
    judgement = authorise(results, corpus, CONTRACT_RECIPE)
    frames = load_out_of_fold(results, corpus, judgement.scores)
    members = {int(member["seed"]): member["sha256"] for member in summary.manifest["members"]}
    calibration = calibrate(corpus, frames)
    return facts_of(corpus, CONTRACT_RECIPE, judgement, frames, calibration, members)
