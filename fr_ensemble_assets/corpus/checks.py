"""Door: the checks on ``corpus``; each reads the stored corpus and judges it anew."""

from collections.abc import Iterator

import dagster as dg

from fr_ensemble_assets.corpus.assets import corpus
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.corpus.in_use import corpus_in_use
from fr_ensemble_assets.corpus.reader import first_invalid_value
from fr_ensemble_assets.corpus.summary import (
    Finding,
    rule_reference_sources,
    rule_row_count,
    rule_saturation,
    rule_sources,
    rule_unknown_encoders,
    summarise,
)
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.doors.refusals import refusals_as_failures

_BLOCKING = {
    "row_count": "At least 100 rows.",
    "schema": "Every column has its type and every value its range.",
    "sources": "At least two sources, each with a target that varies, none under two names.",
}
_WARNING = {
    "reference_sources": "At least 9 sources, as the reference corpora have.",
    "unknown_encoders": "Every encoder is in the vocabulary.",
    "saturation": "At most a quarter of the rows sit at exactly VMAF 100.",
}


@dg.multi_asset_check(
    specs=[
        *(
            dg.AssetCheckSpec(name, asset=corpus, description=text, blocking=True)
            for name, text in _BLOCKING.items()
        ),
        *(
            dg.AssetCheckSpec(name, asset=corpus, description=text)
            for name, text in _WARNING.items()
        ),
    ]
)
def corpus_checks(
    context: dg.AssetCheckExecutionContext, home: HomeResource
) -> Iterator[dg.AssetCheckResult]:
    """Hold the stored corpus against the prerequisites of training."""
    with refusals_as_failures():
        stored = corpus_in_use(context, home.open())
    summary = summarise(stored)
    yield _result("row_count", rule_row_count(summary))
    yield _result("schema", _schema_finding(stored))
    yield _result("sources", rule_sources(summary))
    yield _result("reference_sources", rule_reference_sources(summary))
    yield _result("unknown_encoders", rule_unknown_encoders(summary))
    yield _result("saturation", rule_saturation(summary))


def _schema_finding(stored: Corpus) -> Finding:
    problem = first_invalid_value(stored.frame)
    return Finding(
        passed=problem is None,
        found=problem.told() if problem else "every value fits",
        threshold="contracts section 1",
        next_step="mend the row at its origin" if problem else "nothing to do",
    )


def _result(name: str, finding: Finding) -> dg.AssetCheckResult:
    severity = dg.AssetCheckSeverity.ERROR if name in _BLOCKING else dg.AssetCheckSeverity.WARN
    return dg.AssetCheckResult(
        asset_key=corpus.key,
        check_name=name,
        passed=finding.passed,
        severity=severity,
        description=f"{finding.found} (expected {finding.threshold})",
        metadata={
            "found": finding.found,
            "threshold": finding.threshold,
            "next_step": finding.next_step,
        },
    )
