"""Does a candidate folder hold what it says? Asked before it is published and before it is used.

One home for all who ask: whoever predicts, recommends, proposes, shows a status or runs a check.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from upath import UPath

from fr_ensemble_assets.candidate.contents import (
    CANDIDATE_FILES,
    DIGESTS_FILE,
    VERDICT_FILE,
    Contents,
    read_contents,
)
from fr_ensemble_assets.candidate.documents import (
    Evidence,
    candidate_files,
    evidence_of,
    scores_of,
    verdict_of,
)
from fr_ensemble_assets.candidate.registry import REGISTRY_FILE, schema_problems
from fr_ensemble_assets.candidate.signing import require_signature
from fr_ensemble_assets.candidate.told import told_problems
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.evidence.plans import variant_of
from fr_ensemble_assets.evidence.results import (
    SeedScore,
    recorded,
    results_file,
    training_record,
)
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import json_bytes, parse_json, sha256_of
from fr_ensemble_assets.foundation.wording import NAMED, listed, shown
from fr_ensemble_assets.gate.rule import decide
from fr_ensemble_assets.gate.verdict import Judgement, altered_since, derived_fields
from fr_ensemble_assets.members.names import MANIFEST_FILE, onnx_file
from fr_ensemble_assets.members.onnx_check import read_member
from fr_ensemble_assets.members.sidecars import members_of
from fr_ensemble_assets.predictors.told import predictor_problems

if TYPE_CHECKING:
    from fr_ensemble_assets.gate.schema import VerdictDocument

#: A problem is shortened to so many characters where several are told in one sentence.
_SENTENCE = 300

__all__ = ["CANDIDATE_FILES", "Verification", "verified", "verify_candidate", "verify_contents"]


@dataclass(frozen=True)
class Verification:
    """What is wrong with a candidate, by kind; nothing, if it can be proposed.

    Attributes
    ----------
    files
        Files that are missing, foreign, too large, or no regular files.
    digests
        Files that don't hang from the manifest's digest, are no members of ours, or are not what
        the evidence beside them gives.
    schema
        Where the registry departs from its schema.
    gate
        Why the results in the folder don't carry a PROMOTE.
    evidence
        What was read and proved; ``None`` where anything is wrong.
    """

    files: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    schema: tuple[str, ...] = ()
    gate: tuple[str, ...] = ()
    evidence: Evidence | None = None

    @property
    def problems(self) -> tuple[str, ...]:
        return (*self.files, *self.digests, *self.schema, *self.gate)


def verify_candidate(folder: UPath) -> Verification:
    """Check a candidate folder against itself, trusting none of its files alone.

    Raises
    ------
    UnusableInput
        If the folder doesn't exist or can't be listed.
    """
    return verify_contents(read_contents(folder))


def verified(folder: UPath) -> Evidence:
    """The evidence of a candidate that verifies; what is used is what was verified.

    Where a public key is configured (:mod:`.signing`), the very files that were read must be those
    that its owner signed.

    Raises
    ------
    UnusableInput
        If anything is wrong with it.
    """
    contents, evidence = _sound(folder)
    require_signature(folder, contents.files)
    return evidence


def require_verified(folder: UPath) -> None:
    """:func:`verified` without asking who signed it, for whoever is about to.

    Raises
    ------
    UnusableInput
        If anything is wrong with it.
    """
    _sound(folder)


def _sound(folder: UPath) -> tuple[Contents, Evidence]:
    contents = read_contents(folder)
    found = verify_contents(contents)
    if found.evidence is None:
        raise UnusableInput(
            f"{folder}: expected a candidate that verifies, found "
            f"{listed(found.problems, separator='; ', limit=_SENTENCE)}; "
            "make it again with 'fr-ensemble run'."
        )
    return contents, found.evidence


def verify_contents(contents: Contents) -> Verification:
    """The same for files that were read, or are about to be written."""
    if not contents.whole:
        return Verification(files=contents.problems)
    documents, unreadable = _documents(contents)
    if unreadable:
        return Verification(contents.problems, unreadable)
    digests = tuple(_root_problems(contents, documents) or _member_problems(contents))
    evidence: Evidence | None = None
    gate: tuple[str, ...] = ()
    given: Mapping[str, bytes] = {}
    try:
        scores = scores_of(contents)
        gate = tuple(_gate_problems(scores, verdict_of(contents), documents[VERDICT_FILE]))
        if not (digests or gate):
            evidence = evidence_of(contents)
            given = candidate_files(evidence)
        # A registry as we write it was held against its schema before it was published.
        as_given = contents.files[REGISTRY_FILE] == given.get(REGISTRY_FILE)
        schema = () if as_given else tuple(schema_problems(documents[REGISTRY_FILE]))
        if evidence is not None and not schema:
            digests = (
                *_departures(contents, documents, given),
                *told_problems(
                    contents.files,
                    evidence.judgement,
                    evidence.calibration,
                    {member.seed: member.sha256 for member in members_of(evidence.models)},
                ),
                *predictor_problems(contents.files),
            )
    except UnusableInput as error:
        digests = (*digests, str(error))
        schema = tuple(schema_problems(documents[REGISTRY_FILE]))
    sound = not (contents.problems or digests or schema or gate)
    return Verification(contents.problems, digests, schema, gate, evidence if sound else None)


def _documents(contents: Contents) -> tuple[dict[str, dict[str, Any]], tuple[str, ...]]:
    documents, unreadable = {}, []
    for name, data in contents.files.items():
        if not name.endswith(".json"):
            continue
        try:
            document = parse_json(data, name)
        except UnusableInput as error:
            unreadable.append(str(error))
            continue
        if isinstance(document, dict):
            documents[name] = document
        else:
            unreadable.append(f"{name}: expected a JSON object, found something else")
    return documents, tuple(unreadable)


def _root_problems(contents: Contents, documents: Mapping[str, dict[str, Any]]) -> list[str]:
    """The manifest names the list of digests, and the list every file, the manifest too."""
    from fr_ensemble_assets.candidate.schema import DigestsDocument
    from fr_ensemble_assets.foundation.documents import parse_document

    problems = []
    ensemble = dict(documents[MANIFEST_FILE])
    named, found = ensemble.pop("digests", None), sha256_of(contents.files[DIGESTS_FILE])
    if named != {"file": DIGESTS_FILE, "sha256": found}:
        told = named.get("sha256") if isinstance(named, dict) else None
        problems.append(
            f"{DIGESTS_FILE} has the sha256 {found}, {MANIFEST_FILE} says {shown(told)}"
        )
    try:
        digests = parse_document(DigestsDocument, contents.files[DIGESTS_FILE], DIGESTS_FILE)
    except UnusableInput as error:
        return [*problems, str(error)]
    given = {name: sha256_of(data) for name, data in contents.files.items()}
    given = {n: sha256 for n, sha256 in given.items() if n not in (DIGESTS_FILE, MANIFEST_FILE)}
    files = digests.files
    others = [name for name in sorted({*given, *files}) if files.get(name) != given.get(name)]
    problems += [
        f"{shown(name)} has the sha256 {given.get(name)}, {DIGESTS_FILE} says "
        f"{shown(files.get(name))}"
        for name in others[:NAMED]
    ]
    if len(others) > NAMED:
        problems.append(f"{len(others) - NAMED} more files have another sha256")
    try:
        manifest_sha256 = sha256_of(json_bytes(ensemble))
    except ValueError:  # NaN, which our JSON has no word for
        manifest_sha256 = ""
    if digests.manifest_without_digests != manifest_sha256:
        problems.append(f"{MANIFEST_FILE} is not the one that {DIGESTS_FILE} names")
    return problems


def _member_problems(contents: Contents) -> list[str]:
    """Files that aren't the graph that we export; and copies, which differ in their names alone."""
    problems, weights = [], set()
    for seed in ENSEMBLE.units:
        try:
            read = read_member(contents.files[onnx_file(seed)], seed)
        except UnusableInput as error:
            problems.append(str(error))
        else:
            weights.add(b"".join(tensor.tobytes() for tensor in (*read.weights, *read.biases)))
    if not problems and len(weights) < len(ENSEMBLE.units):
        problems.append("two members are the same network: an ensemble of copies never disagrees")
    return problems


def _gate_problems(
    scores: tuple[SeedScore, ...], verdict: VerdictDocument, told: Mapping[str, Any]
) -> list[str]:
    """Judge the results in the folder once more; the verdict beside them must say the same."""
    corpus_sha256 = verdict.corpus.sha256
    decision = decide(scores, variant_of(scores, ENSEMBLE), corpus_sha256)
    problems = [f"the gate says HOLD: {reason}" for reason in decision.reasons]
    for score in scores:
        if recorded(score, ENSEMBLE) != training_record(ENSEMBLE):
            problems.append(f"{results_file(score.seed)} does not record the contract's recipe")
        if score.n_rows != scores[0].n_rows or not score.n_rows:
            problems.append(f"{results_file(score.seed)} tells another number of rows")
    problems += altered_since(verdict, scores)
    judgement, n_sources = Judgement(decision, scores), len(scores[0].folds)
    given = derived_fields(
        judgement, corpus_sha256, scores[0].n_rows or 0, n_sources, verdict.caveats
    )
    del given["results"]
    # What a verdict holds beyond these hangs from the root alone: when it was judged, and what was
    # found in the rows, or by simpler models on them, which no candidate holds. But it must say
    # that the rows were fit.
    fitness = verdict.corpus.fitness
    if fitness is None or not fitness.fit:
        problems.append(f"{VERDICT_FILE} doesn't say that its corpus was fit to be judged")
    kept = _shared(told, given)
    if found := first_difference(kept, given):
        problems.append(f"{VERDICT_FILE} says {found} as the results give it")
    return problems


def _shared(told: Any, given: Any) -> Any:
    """``told`` without the keys that ``given`` doesn't have."""
    if not isinstance(told, dict) or not isinstance(given, dict):
        return told
    return {key: _shared(value, given[key]) for key, value in told.items() if key in given}


def _departures(
    contents: Contents, documents: Mapping[str, Any], given: Mapping[str, bytes]
) -> list[str]:
    """Files that aren't what the evidence gives, with the first value that differs."""
    problems = []
    for name, data in given.items():
        if contents.files[name] == data:
            continue
        wanted = parse_json(data, name) if name in documents else None
        found = first_difference(documents.get(name), wanted) or "other bytes"
        problems.append(f"{name} says {found} as the evidence in the folder gives it")
    return problems


def first_difference(value: Any, given: Any, at: str = "") -> str:
    """Where two JSON values differ first, and how; empty where they are the same."""
    if isinstance(value, dict) and isinstance(given, dict):
        steps = [(str(k), value.get(k), given.get(k)) for k in [*given, *(value.keys() - given)]]
    elif isinstance(value, list) and isinstance(given, list) and len(value) == len(given):
        steps = [(str(n), t, g) for n, (t, g) in enumerate(zip(value, given, strict=True))]
    else:
        # Python takes True for 1 and 1 for 1.0.
        if repr(value) == repr(given):
            return ""
        where = shown(at.lstrip("."))
        return f"{str(value)[:80]!a} at '{where}', not {str(given)[:80]!a}"
    return next((d for k, t, g in steps if (d := first_difference(t, g, f"{at}.{k}"))), "")
