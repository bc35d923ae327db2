"""Door: the checks on ``corpus``; each reads the stored corpus and judges it anew.

They show the figures. What is not fit, by the same rules, the asset itself refuses, and every step
that would work on it: see :mod:`~fr_ensemble_assets.corpus.fitness`.
"""

from collections.abc import Iterator

import dagster as dg

from fr_ensemble_assets.corpus.assets import corpus
from fr_ensemble_assets.corpus.fitness import examine
from fr_ensemble_assets.corpus.in_use import sha256_in_use
from fr_ensemble_assets.corpus.store import load_corpus
from fr_ensemble_assets.doors.findings import check_result
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.doors.refusals import refusals_as_failures

_BLOCKING = {
    "row_count": "At least 100 rows.",
    "schema": "Every column has its type, every value its range, every row a key of its own.",
    "sources": "At least two sources, each with 10 rows and a target that varies, none of them "
    "under two names.",
}
_WARNING = {
    "likely_twins": "No two sources look like one clip, re-encoded, cropped or shifted.",
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
        fitness = examine(load_corpus(home.open(), sha256_in_use(context)))
    for name, finding in {**fitness.required, **fitness.warnings}.items():
        yield check_result(corpus.key, name, finding, blocks=name in _BLOCKING)
