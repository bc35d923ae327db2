"""A candidate's files from the evidence behind them: published by this, and verified by this.

Whoever verifies reads the evidence back out of a folder, writes every file again and compares the
bytes. So there is one description of each document, and no list of what to look at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from upath import UPath

from fr_ensemble_assets.calibration.calibrate import Calibration
from fr_ensemble_assets.calibration.document import (
    CALIBRATION_FILE,
    calibration_bytes,
    parse_calibration,
)
from fr_ensemble_assets.calibration.rules import SIGMA_FLOOR
from fr_ensemble_assets.candidate.contents import DIGESTS_FILE, VERDICT_FILE, Contents
from fr_ensemble_assets.candidate.registry import (
    REGISTRY_FILE,
    REGISTRY_SCHEMA,
    SCHEMA_FILE,
    registry_document,
    registry_row,
)
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.evidence.plans import variant_of
from fr_ensemble_assets.evidence.results import SeedScore, parse_seed, results_file
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import json_bytes, sha256_of
from fr_ensemble_assets.gate.rule import decide
from fr_ensemble_assets.gate.verdict import Judgement, parse_verdict
from fr_ensemble_assets.members.names import MANIFEST_FILE, onnx_file, sidecar_file
from fr_ensemble_assets.members.sidecars import (
    CorpusFacts,
    described_models,
    facts_told,
    manifest,
    members_of,
)

if TYPE_CHECKING:
    from fr_ensemble_assets.gate.schema import VerdictDocument

#: Written from evidence; whatever else a candidate holds is carried into it as it is.
_WRITTEN = frozenset(
    {
        *(onnx_file(seed) for seed in ENSEMBLE.units),
        *(sidecar_file(seed) for seed in ENSEMBLE.units),
        *(MANIFEST_FILE, CALIBRATION_FILE, REGISTRY_FILE, SCHEMA_FILE, DIGESTS_FILE),
    }
)


@dataclass(frozen=True)
class Evidence:
    """What a candidate rests on.

    Attributes
    ----------
    facts
        What the documents tell of the corpus.
    judgement
        The gate's decision, and the results behind it.
    models
        The members' ONNX bytes, in seed order.
    calibration
        From deviation to interval.
    mean_sigma
        The members' mean deviation over the corpus, in VMAF.
    carried
        Files that are taken over as they are: results, verdict, and what is optional.
    """

    facts: CorpusFacts
    judgement: Judgement
    models: tuple[bytes, ...]
    calibration: Calibration
    mean_sigma: float
    carried: Mapping[str, bytes]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The registry's rows."""
        decision, sha256 = self.judgement.decision, self.facts.sha256
        return [registry_row(member, decision, sha256) for member in members_of(self.models)]


def candidate_files(evidence: Evidence) -> dict[str, bytes]:
    """Every file of a candidate, by name; the evidence's decision is a PROMOTE."""
    facts, judgement, members = evidence.facts, evidence.judgement, members_of(evidence.models)
    files = {
        **evidence.carried,
        **described_models(facts, ENSEMBLE, judgement, evidence.models),
    }
    files[CALIBRATION_FILE] = calibration_bytes(evidence.calibration)
    files[REGISTRY_FILE] = json_bytes(registry_document(evidence.rows))
    files[SCHEMA_FILE] = json_bytes(REGISTRY_SCHEMA)
    ensemble = manifest(facts, judgement, members, evidence.calibration, evidence.mean_sigma)
    return sealed(files, ensemble)


def sealed(files: Mapping[str, bytes], ensemble: Mapping[str, Any]) -> dict[str, bytes]:
    """Add the list of digests and the manifest that names the list's own: the root of all.

    The list holds the manifest's digest too, as it is without naming the list.
    """
    listed = json_bytes(
        {
            "schema_version": 1,
            "algorithm": "sha256",
            "manifest_without_digests": sha256_of(json_bytes(ensemble)),
            "files": {name: sha256_of(files[name]) for name in sorted(files)},
        }
    )
    named = {**ensemble, "digests": {"file": DIGESTS_FILE, "sha256": sha256_of(listed)}}
    return {**files, DIGESTS_FILE: listed, MANIFEST_FILE: json_bytes(named)}


def scores_of(contents: Contents) -> tuple[SeedScore, ...]:
    """The results in a candidate.

    Raises
    ------
    UnusableInput
        If one can't be read.
    """
    names = {seed: results_file(seed) for seed in ENSEMBLE.units}
    return tuple(
        parse_seed(contents.files[name], UPath(contents.where) / name, seed)
        for seed, name in names.items()
    )


def verdict_of(contents: Contents) -> VerdictDocument:
    """The verdict in a candidate; raises as :func:`scores_of`."""
    return parse_verdict(contents.files[VERDICT_FILE], VERDICT_FILE)


def evidence_of(contents: Contents) -> Evidence:
    """Read the evidence back out of a candidate.

    Raises
    ------
    UnusableInput
        If a part of it can't be read, or parts contradict each other.
    """
    from fr_ensemble_assets.foundation.documents import parse_document
    from fr_ensemble_assets.members.schema import ManifestDocument, SidecarDocument

    verdict, scores = verdict_of(contents), scores_of(contents)
    corpus_sha256 = verdict.corpus.sha256
    calibration_path = f"{contents.where}/{CALIBRATION_FILE}"
    calibration = parse_calibration(contents.files[CALIBRATION_FILE], calibration_path)
    if calibration.corpus_sha256 != corpus_sha256:
        raise UnusableInput(f"{CALIBRATION_FILE} belongs to another corpus than the verdict")
    held_out = [fold.held_out for fold in scores[0].folds]
    if list(calibration.sources) != held_out:
        raise UnusableInput(f"{CALIBRATION_FILE} tells other sources than {results_file(0)}")
    first = sidecar_file(ENSEMBLE.units[0])
    described = parse_document(SidecarDocument, contents.files[first], first)
    if described.corpus.sha256 != corpus_sha256:
        raise UnusableInput(f"{first} belongs to another corpus than the verdict")
    facts = facts_told(described, scores[0].n_rows or 0, len(held_out))
    _require_ranges(facts, calibration)
    _require_corrections(calibration)
    ensemble = parse_document(ManifestDocument, contents.files[MANIFEST_FILE], MANIFEST_FILE)
    mean_sigma = ensemble.eval.mean_sigma
    if mean_sigma is None:
        raise UnusableInput(f"{MANIFEST_FILE} tells no mean_sigma")
    decision = decide(scores, variant_of(scores, ENSEMBLE), corpus_sha256)
    return Evidence(
        facts=facts,
        judgement=Judgement(decision, scores),
        models=tuple(contents.files[onnx_file(seed)] for seed in ENSEMBLE.units),
        calibration=calibration,
        mean_sigma=mean_sigma,
        carried={name: data for name, data in contents.files.items() if name not in _WRITTEN},
    )


def _require_corrections(calibration: Calibration) -> None:
    """A correction a member, where intervals are those of recentred ones."""
    found = calibration.corrections
    if found is None and calibration.floor != SIGMA_FLOOR:
        raise UnusableInput(f"{CALIBRATION_FILE} has no 'recentring', but its members' floor")
    if found is not None and len(found) != len(ENSEMBLE.units):
        raise UnusableInput(
            f"{CALIBRATION_FILE} recentres {len(found)} members, not {len(ENSEMBLE.units)}"
        )


def _require_ranges(facts: CorpusFacts, calibration: Calibration) -> None:
    """The quality range, rows and means are those of the ranges that the calibration records."""
    qualities = calibration.trained_on.qualities.values()
    features = calibration.trained_on.features.values()
    codec = facts.codec
    seen = (min(q.low for q in qualities), max(q.high for q in qualities)) if qualities else ()
    if (codec.cq_min, codec.cq_max) != seen:
        raise UnusableInput(f"{CALIBRATION_FILE} tells another quality range than the sidecars")
    if calibration.n_frames != facts.n_rows:
        raise UnusableInput(f"{CALIBRATION_FILE} tells another number of rows than the results")
    means = zip(features, facts.scaler.mean.tolist(), strict=True)
    if any(not _within(mean, seen.low, seen.high) for seen, mean in means):
        raise UnusableInput("the scaler's means lie outside what the members were trained on")


def _within(value: float, low: float, high: float) -> bool:
    slack = 1e-9 * max(abs(low), abs(high))  # a mean of equal numbers may be off in its last digit
    return low - slack <= value <= high + slack
