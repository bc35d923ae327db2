"""``PROMOTE.json`` and ``HOLD.json`` (contracts section 4), and who may act on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from upath import UPath

from fr_ensemble_assets.contract.agreed import Contract
from fr_ensemble_assets.corpus.fitness import examine
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.evidence.audit import audit_results
from fr_ensemble_assets.evidence.measure import SeedResult
from fr_ensemble_assets.evidence.results import (
    SeedScore,
    is_results_file,
    load_scores,
    results_file,
)
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import GateRefusal, UnusableInput
from fr_ensemble_assets.foundation.files import parse_json
from fr_ensemble_assets.gate.advice import advice
from fr_ensemble_assets.gate.rule import Decision, decide, mean_and_spread, seed_plcc

if TYPE_CHECKING:
    from fr_ensemble_assets.gate.schema import VerdictDocument

VERDICT_FILES = {"PROMOTE": "PROMOTE.json", "HOLD": "HOLD.json"}


@dataclass(frozen=True)
class Judgement:
    """A decision and the results that it rests on.

    Attributes
    ----------
    scores
        Of the seeds that were judged.
    studied
        Of seeds beyond the ensemble: told beside the verdict, no part of it.
    results
        The same seeds' results as recomputed from their predictions, for whoever goes on with
        them: they need not be read again. Incomplete where a reason of the decision says so.
    fitness
        What was examined of the corpus and found, for the verdict.
    verdict_file
        The bytes of the verdict that was held against all this; empty unless it was authorised.
    """

    decision: Decision
    scores: tuple[SeedScore, ...]
    studied: tuple[SeedScore, ...] = ()
    results: tuple[SeedResult, ...] = ()
    fitness: Mapping[str, Any] = field(default_factory=dict)
    verdict_file: bytes = field(default=b"", repr=False)

    @property
    def study_fields(self) -> dict[str, Any]:
        """The gate's figures over all seeds that have results; empty without studied ones."""
        if not self.studied:
            return {}
        plcc = {score.seed: seed_plcc(score) for score in (*self.scores, *self.studied)}
        mean, spread = mean_and_spread(list(plcc.values()))
        return {
            "seeds": list(plcc),
            "mean_plcc": mean,
            "plcc_spread": spread,
            "per_seed_plccs": {str(seed): value for seed, value in plcc.items()},
        }


def judge(folder: UPath, corpus: Corpus, contract: Contract) -> Judgement:
    """Judge our own results for ``corpus``: is it fit, the rule, and the figures recomputed.

    Raises
    ------
    UnusableInput
        If a results file can't be read.
    """
    try:
        scores = load_scores(folder)
    except UnusableInput:
        if any(map(is_results_file, store.names(folder))):
            raise
        scores = []  # nothing was trained yet: every seed is missing
    fitness = examine(corpus)
    decision = decide(scores, contract, corpus.sha256)
    judged = [score for score in scores if score.seed in decision.seeds]
    studied = [score for score in scores if score.seed not in decision.seeds]
    off_recipe = [f"dry run: {what}" for what in contract.departures]
    told = decision.objections
    audit = audit_results(folder, corpus, contract, judged)
    objections = (
        *fitness.problems,
        *told,
        *(what for what in off_recipe if not any(t.startswith(what) for t in told)),
        *audit.problems,
    )
    dry_run = decision.dry_run or bool(off_recipe)
    decision = replace(decision, objections=objections, dry_run=dry_run)
    return Judgement(decision, tuple(judged), tuple(studied), audit.results, fitness.evidence())


def verdict_document(
    judgement: Judgement,
    corpus: Corpus,
    loso_dir: str,
    now: datetime | None = None,
    caveats: Sequence[str] = (),
) -> dict[str, Any]:
    """The verdict file; our own additions follow the contract's fields.

    ``caveats`` are simpler models that do better, a sentence's part each: they decide nothing, and
    the recommendation ends with them.
    """
    derived = derived_fields(judgement, corpus.sha256, corpus.n_rows, len(corpus.sources), caveats)
    return {
        "schema_version": 1,
        "verdict": judgement.decision.verdict,
        "generated_at_utc": (now or datetime.now(UTC)).isoformat(timespec="seconds"),
        "loso_dir": loso_dir,
        **derived,
        "corpus": {**derived["corpus"], "fitness": dict(judgement.fitness)},
        **({"study": judgement.study_fields} if judgement.studied else {}),
    }


def derived_fields(
    judgement: Judgement,
    corpus_sha256: str,
    n_rows: int,
    n_sources: int,
    caveats: Sequence[str] = (),
) -> dict[str, Any]:
    """What of a verdict follows from results and caveats: whoever has them can write it again."""
    decision = judgement.decision
    return {
        "schema_version": 1,
        "verdict": decision.verdict,
        "seeds": list(decision.seeds),
        "gate": decision.gate_fields(),
        "corpus": {
            "present": True,
            "sha256": corpus_sha256,
            "n_rows": n_rows,
            "n_sources": n_sources,
        },
        "recommendation": recommendation(decision, caveats),
        "adr": "ADR-0309",
        "parent_adr": "ADR-0303",
        "dry_run": decision.dry_run,
        "reasons": list(decision.reasons),
        "results": results_digests(judgement.scores),
        **_grouped_fields(judgement),
        **({"caveats": list(caveats)} if caveats else {}),
    }


def _grouped_fields(judgement: Judgement) -> dict[str, Any]:
    """The plan, where it isn't the one that every verdict has unless it says so."""
    if judgement.decision.groups is None:
        return {}
    return {"fold_plan": dict(judgement.scores[0].fold_plan or {})}


def results_digests(scores: Sequence[SeedScore]) -> dict[str, str]:
    """The sha256 of each results file that was judged, by file name."""
    return {results_file(score.seed): score.sha256 for score in scores}


def recommendation(decision: Decision, caveats: Sequence[str] = ()) -> str:
    """What a person does next; on HOLD it names each failing aspect with its numbers."""
    told = (
        "Materialise ensemble_members and registry_candidate, then propose the candidate's "
        "rows to the registry; flipping smoke to false there is a person's separate change "
        "(ADR-0309)."
        if decision.promote
        else f"Keep smoke true. Failing: {'; '.join(decision.reasons)}. {advice(decision)}."
    )
    return " ".join((told, *(f"But {caveat}." for caveat in caveats)))


def write_verdict(folder: UPath, document: Mapping[str, Any]) -> UPath:
    """Write the verdict's file; the other one, of an earlier verdict, goes first.

    A verdict that says the same as the one that stands, but for the time, leaves it as it is: the
    same input gives the same bytes.
    """
    verdict = document["verdict"]
    if _says_the_same(_standing(folder), document):
        return folder / VERDICT_FILES[verdict]
    for other, name in VERDICT_FILES.items():
        if other != verdict:
            store.delete(folder / name)
    path = folder / VERDICT_FILES[verdict]
    store.put_json(path, document)
    return path


def _says_the_same(standing: tuple[UPath, bytes] | None, document: Mapping[str, Any]) -> bool:
    if standing is None:
        return False
    _, data = standing
    try:
        told = parse_json(data, "the verdict that stands")
    except UnusableInput:
        return False  # damaged: another takes its place
    if not isinstance(told, dict):
        return False
    return told == {**document, "generated_at_utc": told.get("generated_at_utc")}


def _standing(folder: UPath) -> tuple[UPath, bytes] | None:
    for name in VERDICT_FILES.values():
        if store.exists(folder / name):
            return folder / name, store.read(folder / name, "a verdict")
    return None


def read_verdict(folder: UPath) -> VerdictDocument | None:
    """The verdict that stands in ``folder``, if any.

    Raises
    ------
    UnusableInput
        If it is no verdict of ours.
    """
    standing = _standing(folder)
    return parse_verdict(standing[1], str(standing[0])) if standing is not None else None


def parse_verdict(data: bytes, where: str) -> VerdictDocument:
    """The verdict in ``data``, which was read from ``where``; raises as :func:`read_verdict`."""
    from fr_ensemble_assets.foundation.documents import parse_document
    from fr_ensemble_assets.gate.schema import VerdictDocument

    return parse_document(VerdictDocument, data, where)


def authorise(folder: UPath, corpus: Corpus, contract: Contract) -> Judgement:
    """Let only a PROMOTE through that holds now, on this corpus, from these very files.

    Judges again from the results and trusts no stored light: what a check or a verdict file says
    can be forged, or be older than the results beside it. Hands on the bytes that it verified, so
    that nobody need read them again.

    Raises
    ------
    GateRefusal
        If the corpus is not fit, the verdict is HOLD or missing, a seed is missing, results or
        verdict belong to another corpus, a results file changed after the verdict, or the recipe
        is not the contract's.
    UnusableInput
        If a results file or the verdict can't be read.
    """
    judgement, standing = judge(folder, corpus, contract), _standing(folder)
    problems = list(judgement.decision.reasons)
    if standing is None:
        problems.append("there is no verdict; materialise ensemble_verdict")
    else:
        document = parse_verdict(standing[1], str(standing[0]))
        problems += _verdict_problems(document, standing[0].name, judgement, corpus)
        judgement = replace(judgement, verdict_file=standing[1])
    if problems:
        raise GateRefusal(f"HOLD for the corpus {corpus.sha256}: {'; '.join(problems)}.")
    return judgement


def _verdict_problems(
    document: VerdictDocument, name: str, judgement: Judgement, corpus: Corpus
) -> list[str]:
    problems = []
    if document.verdict != "PROMOTE" or name != VERDICT_FILES["PROMOTE"]:
        problems.append("the verdict file says HOLD; materialise ensemble_verdict again")
    if document.corpus.sha256 != corpus.sha256:
        problems.append(f"the verdict belongs to another corpus ({document.corpus.sha256})")
    elif document.fitness != judgement.fitness:
        problems.append(
            "the verdict tells something else of its corpus than is found now; materialise "
            "ensemble_verdict again"
        )
    return problems + altered_since(document, judgement.scores)


def altered_since(document: VerdictDocument, scores: Sequence[SeedScore]) -> list[str]:
    """Results that aren't those that the verdict names, a sentence each."""
    return [
        f"{name} was altered after the verdict"
        for name, sha256 in results_digests(scores).items()
        if document.results.get(name) != sha256
    ]
