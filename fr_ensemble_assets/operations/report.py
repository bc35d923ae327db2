"""The evidence of a home, gathered for its report."""

from __future__ import annotations

from upath import UPath

from fr_ensemble_assets.assurance.assess import worth_of
from fr_ensemble_assets.calibration.coverage import Coverage
from fr_ensemble_assets.calibration.document import CALIBRATION_FILE, read_calibration
from fr_ensemble_assets.card.render import card_address
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.contract.places import Places
from fr_ensemble_assets.corpus.store import name_of
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.gate.previous import previous_verdict
from fr_ensemble_assets.operations.serving.lock import verdict_page
from fr_ensemble_assets.operations.status import Status, status_of
from fr_ensemble_assets.report.evidence import Evidence, Link


def evidence_of(home: Home) -> Evidence:
    """What stands for the current corpus.

    Raises
    ------
    UnusableInput
        If there is no corpus yet, no seed has results, or they can't be used.
    """
    status = status_of(home)
    corpus, judgement = status.corpus, status.judgement
    if status.damage:
        raise UnusableInput(status.damage)
    if corpus is None or judgement is None or not judgement.scores:
        raise UnusableInput(
            f"{home.root}: expected a home with the results of a corpus, found none; type "
            "fr-ensemble run, or name another home with --home."
        )
    results = Places(home, ENSEMBLE, corpus.sha256).results
    return Evidence(
        corpus=name_of(status.read_from),
        corpus_sha256=corpus.sha256,
        n_rows=corpus.n_rows,
        n_sources=len(corpus.sources),
        judgement=judgement,
        previous=previous_verdict(home, corpus.sha256, ENSEMBLE),
        coverages=_coverages(results) if judgement.decision.promote else (),
        codecs=tuple(one.scored for one in status.codecs.verdicts),
        links=tuple(_links(status, results)),
        worth=worth_of(corpus, judgement.results, ENSEMBLE.plan) if judgement.results else (),
    )


def _coverages(results: UPath) -> tuple[Coverage, ...]:
    path = results / CALIBRATION_FILE
    return read_calibration(path).coverages if path.exists() else ()


def _links(status: Status, results: UPath) -> list[Link]:
    found = []
    if status.served_at:
        page = verdict_page(status.served_at)
        found.append(Link("the verdict in Dagster", page, page))
    for candidate in status.candidates:
        if candidate.current:
            state = "; ".join(candidate.problems) or "verified"
            found.append(Link(f"candidate ({state})", str(candidate.folder)))
            if status.served_at:
                card = f"{status.served_at}{card_address(candidate.folder.name)}"
                found.append(Link("its model card", card, card))
    found.append(Link("corpus", f"{status.corpus_sha256}, from {status.read_from}"))
    return [*found, Link("results", str(results))]
