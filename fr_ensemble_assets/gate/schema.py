"""``PROMOTE.json`` and ``HOLD.json`` as a type (contracts section 4): what is fixed, then ours."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from fr_ensemble_assets.foundation.documents import Correlation, Count, Document, Finite, Sha256

Verdict = Literal["PROMOTE", "HOLD"]


class GateDocument(Document):
    """The gate's figures and what they were held against; ``null`` where one is undefined.

    Attributes
    ----------
    mean_plcc, plcc_spread
        Mean, and largest minus smallest, over the seeds judged.
    per_seed_plccs
        By seed, as text.
    failing_seeds
        Seeds under ``per_seed_min``, or without a PLCC.
    """

    passed: bool
    mean_plcc: Correlation
    mean_plcc_threshold: Finite
    mean_plcc_pass: bool
    plcc_spread: Finite | None
    plcc_spread_max: Finite
    plcc_spread_pass: bool
    per_seed_plccs: dict[str, Correlation]
    per_seed_min: Finite
    per_seed_pass: bool
    failing_seeds: tuple[int, ...]


class TwinsDocument(Document):
    """Pairs of sources that may be one: how many, and the first of them by name."""

    model_config = ConfigDict(extra="allow")

    count: Count
    named: tuple[str, ...]


class FitnessDocument(Document):
    """What was examined of the corpus and found; whoever judges again must find the same.

    Attributes
    ----------
    fit
        Whether nothing speaks against judging by it.
    problems, warnings
        What does, a sentence each; names of the checks that warn.
    twins, likely_twins
        Sources that are one, or look like it.
    likely_twins_searched
        Whether the latter were looked for among all sources.
    """

    # Compared as a whole with what is found now: nothing in it may be overlooked.
    model_config = ConfigDict(extra="allow")

    fit: bool
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    fewest_rows_of_a_source: Count
    min_rows_of_a_source: Count
    twins: TwinsDocument
    likely_twins: TwinsDocument
    likely_twins_searched: bool


class JudgedCorpusDocument(Document):
    """The corpus that the verdict is about.

    Attributes
    ----------
    sha256
        Of its content.
    fitness
        Missing in verdicts of versions that didn't ask.
    """

    present: bool
    sha256: Sha256
    n_rows: Count
    n_sources: Count | None = None
    fitness: FitnessDocument | None = None


class StudyDocument(Document):
    """The gate's figures over all seeds that have results, studied ones too; never judged by."""

    seeds: tuple[int, ...]
    mean_plcc: Correlation
    plcc_spread: Finite | None
    per_seed_plccs: dict[str, Correlation]


class VerdictDocument(Document):
    """The gate's verdict on one ensemble (contracts section 4; docs/trust.md).

    Attributes
    ----------
    generated_at_utc
        ISO 8601.
    loso_dir
        Where the results lie, from the home on.
    seeds
        Those that were judged.
    recommendation
        What a person does next; on HOLD it names each failing aspect with its numbers.
    dry_run
        Whether the results can't lead to a candidate whatever the figures.
    reasons
        Every failing aspect; none on PROMOTE.
    results
        The sha256 of each results file that was judged, by file name.
    fold_plan
        There where sources were held out in groups: plan, number, digest of the assignment.
    caveats
        Simpler models that do better on sources left out; the recommendation ends with them.
    study
        There where seeds beyond the ensemble's were trained.
    """

    model_config = ConfigDict(title="PROMOTE.json, HOLD.json")
    advice: ClassVar[str] = "the file was altered, materialise ensemble_verdict again"

    schema_version: Literal[1]
    verdict: Verdict
    generated_at_utc: str
    loso_dir: str
    seeds: tuple[int, ...]
    gate: GateDocument
    corpus: JudgedCorpusDocument
    recommendation: str
    adr: str
    parent_adr: str
    dry_run: bool | None = None
    reasons: tuple[str, ...] = ()
    results: dict[str, Sha256] = Field(default_factory=dict)
    fold_plan: dict[str, Any] | None = None
    caveats: tuple[str, ...] = ()
    study: StudyDocument | None = None

    @property
    def fitness(self) -> dict[str, Any] | None:
        """What it tells of its corpus' fitness, as JSON has it."""
        told = self.corpus.fitness
        return told.model_dump(mode="json") if told is not None else None
