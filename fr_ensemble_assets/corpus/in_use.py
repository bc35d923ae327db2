"""Door: which corpus a run works on, resolved once a step and then used by its sha256 alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg

from fr_ensemble_assets.corpus.fitness import require_fit
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.corpus.store import corpus_name, load_corpus
from fr_ensemble_assets.doors.workers import NAME_TAG
from fr_ensemble_assets.foundation.digests import is_digest, require_digest
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home

CORPUS_KEY = dg.AssetKey("corpus")
#: A run with this tag works on the corpus of that sha256, whatever arrived in the meantime.
CORPUS_TAG = "fr_ensemble/corpus_sha256"
_DATA_VERSION_TAG = "dagster/data_version"
_BACKFILL_TAG = "dagster/backfill"
_PAGE = 50


@dataclass(frozen=True)
class Kind:
    """What a run may work on: the asset that brings it, and the tag that names one of them."""

    key: dg.AssetKey
    tag: str


CORPUS = Kind(CORPUS_KEY, CORPUS_TAG)
#: The cells of encodes on which the codecs' predictors are judged.
CELLS = Kind(dg.AssetKey("planning_corpus"), "fr_ensemble/cells_sha256")


def corpus_in_use(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, home: Home
) -> Corpus:
    """Load the corpus of this run.

    In this order: the one that this run materialised; the one that its tag names; the one that a
    run materialised of which this is a retry, or that belongs to the same backfill; the one that
    was the newest when the run, the first attempt or the backfill was asked for. So a corpus that
    arrives in the meantime changes nothing for work under way.

    Raises
    ------
    UnusableInput
        If no corpus was ever materialised, or the stored one is missing, altered or not fit.
    """
    used = load_corpus(home, sha256_in_use(context))
    require_fit(used)
    if NAME_TAG not in context.run.tags:
        named = {NAME_TAG: corpus_name(home, used.sha256)}
        context.instance.add_run_tags(context.run.run_id, named)
    return used


def sha256_in_use(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, kind: Kind = CORPUS
) -> str:
    """The same, without loading it; or what of another ``kind`` the run works on."""
    return _sha256_in_use(context.instance, context.run, kind)


def newest_corpus(
    instance: dg.DagsterInstance, before: float | None = None, kind: Kind = CORPUS
) -> str | None:
    """The sha256 of the corpus that was materialised last (before that many seconds since 1970)."""
    return _newest(instance, before, kind)[0]


def skipped_reports(instance: dg.DagsterInstance) -> int:
    """How many materialisations newer than the current corpus' were passed over."""
    return _newest(instance, None, CORPUS)[1]


def _newest(
    instance: dg.DagsterInstance, before: float | None, kind: Kind
) -> tuple[str | None, int]:
    """The newest that a run made, by its sha256; how many newer ones were only reported.

    Anybody may report a materialisation to Dagster, of any version; a corpus comes from a run.
    """
    chosen = dg.AssetRecordsFilter(kind.key, before_timestamp=before)
    skipped, cursor = 0, None
    while True:
        page = instance.fetch_materializations(chosen, limit=_PAGE, cursor=cursor)
        for record in page.records:
            version = _version(record.asset_materialization)
            if record.run_id and version is not None:
                return version, skipped
            skipped += 1
        if not page.has_more:
            return None, skipped
        cursor = page.cursor


def _sha256_in_use(instance: dg.DagsterInstance, run: dg.DagsterRun, kind: Kind) -> str:
    own = _materialised_by(instance, run.run_id, kind)
    if own is not None:
        return own
    if kind.tag in run.tags:
        return require_digest(run.tags[kind.tag], f"tag {kind.tag}")
    asked_for = []
    for relative in _relatives(instance, run):
        found = _materialised_by(instance, relative.dagster_run.run_id, kind)
        if found is not None:
            return found
        asked_for.append(relative.create_timestamp.timestamp())
    backfill = instance.get_backfill(run.tags.get(_BACKFILL_TAG, ""))
    if backfill is not None:
        asked_for.append(backfill.backfill_timestamp)
    found = _newest(instance, min(asked_for, default=None), kind)[0]
    found = found or _newest(instance, None, kind)[0]
    if found is None:
        name = kind.key.to_user_string()
        raise UnusableInput(
            f"{name}: expected a materialised corpus, found none; materialise '{name}' first."
        )
    return found


def _relatives(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[dg.RunRecord]:
    """The run itself, the attempts that it repeats, the other runs of its backfill."""
    family = [one for one in (run.run_id, run.parent_run_id, run.root_run_id) if one]
    yield from instance.get_run_records(dg.RunsFilter(run_ids=family))
    if _BACKFILL_TAG in run.tags:
        same = {_BACKFILL_TAG: run.tags[_BACKFILL_TAG]}
        yield from instance.get_run_records(dg.RunsFilter(tags=same))


def _materialised_by(instance: dg.DagsterInstance, run_id: str, kind: Kind) -> str | None:
    records = instance.get_records_for_run(
        run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
    ).records
    for record in reversed(records):
        event = record.event_log_entry.asset_materialization
        if event is not None and event.asset_key == kind.key:
            return _version(event)
    return None


def _version(event: dg.AssetMaterialization | None) -> str | None:
    version = (event.tags or {}).get(_DATA_VERSION_TAG) if event is not None else None
    return version if version is not None and is_digest(version) else None
