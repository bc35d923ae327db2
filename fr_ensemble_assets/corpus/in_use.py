"""Door: which corpus a run works on, resolved once a step and then used by its sha256 alone."""

from __future__ import annotations

import dagster as dg

from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.corpus.store import load_corpus
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home

CORPUS_KEY = dg.AssetKey("corpus")
#: A run with this tag works on the corpus of that sha256, whatever arrived in the meantime.
CORPUS_TAG = "fr_ensemble/corpus_sha256"
_DATA_VERSION_TAG = "dagster/data_version"


def corpus_in_use(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, home: Home
) -> Corpus:
    """Load the corpus of this run.

    In this order: the one that this run materialised; the one that its tag names; the one that the
    run materialised of which this is a retry; the newest one.

    Raises
    ------
    UnusableInput
        If no corpus was ever materialised, or the stored one is missing or altered.
    """
    return load_corpus(home, _sha256_in_use(context.instance, context.run))


def _sha256_in_use(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    own = _materialised_by(instance, run.run_id)
    if own is not None:
        return own
    if CORPUS_TAG in run.tags:
        return run.tags[CORPUS_TAG]
    for earlier in (run.parent_run_id, run.root_run_id):
        found = _materialised_by(instance, earlier) if earlier else None
        if found is not None:
            return found
    newest = instance.get_latest_materialization_event(CORPUS_KEY)
    found = _version(newest.asset_materialization) if newest is not None else None
    if found is None:
        raise UnusableInput(
            "corpus: expected a materialised corpus, found none; materialise 'corpus' first."
        )
    return found


def _materialised_by(instance: dg.DagsterInstance, run_id: str) -> str | None:
    records = instance.get_records_for_run(
        run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
    ).records
    for record in reversed(records):
        event = record.event_log_entry.asset_materialization
        if event is not None and event.asset_key == CORPUS_KEY:
            return _version(event)
    return None


def _version(event: dg.AssetMaterialization | None) -> str | None:
    return (event.tags or {}).get(_DATA_VERSION_TAG) if event is not None else None
