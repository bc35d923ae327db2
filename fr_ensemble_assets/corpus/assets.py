"""Door: the ``corpus`` asset."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import dagster as dg

from fr_ensemble_assets.clips.inventory import inventory_file, load_inventory
from fr_ensemble_assets.corpus.arrivals import unchanged_arrival
from fr_ensemble_assets.corpus.fitness import require_fit
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.corpus.parsing import NOTHING_HELD, Held
from fr_ensemble_assets.corpus.plots import quality_curves
from fr_ensemble_assets.corpus.provenance import note_of, noted
from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS, Reading, read_corpus, read_shards
from fr_ensemble_assets.corpus.store import CORPUS_FILE, name_of, save_corpus
from fr_ensemble_assets.corpus.summary import CorpusSummary, preset_rows
from fr_ensemble_assets.doors.groups import CORPUS_GROUP
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.doors.metadata import (
    OWNERS,
    Cell,
    column_schema,
    four_digits,
    in_home,
    plot,
    table,
)
from fr_ensemble_assets.doors.refusals import refusals_as_failures
from fr_ensemble_assets.doors.workers import NAME_TAG
from fr_ensemble_assets.encodes.assets import corpus_shards
from fr_ensemble_assets.encodes.output import clip_note
from fr_ensemble_assets.encodes.shards import shards_of
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.digests import require_digest
from fr_ensemble_assets.foundation.files import parse_path
from fr_ensemble_assets.foundation.home import SHORT_SHA_LENGTH, Home
from fr_ensemble_assets.foundation.schema import DESCRIPTIONS, column_type
from fr_ensemble_assets.foundation.wording import listed, shown

_PREVIEW_ROWS = 8
_FILES_NAMED = 50
_SOURCES_LISTED = 64


class CorpusConfig(dg.Config):
    """Where the corpus is read from: a file, or a folder of shards.

    Empty means the shards of the clips in the home or, where there are none, the bundled corpus.
    ``arrival_sha256`` is set by the inbox' sensor: what was noticed is what must be read.
    """

    path: str = ""
    arrival_sha256: str = ""


@dg.asset(
    group_name=CORPUS_GROUP,
    owners=OWNERS,
    kinds={"parquet"},
    tags={"domain": "video-quality"},
    code_version="1",
    deps=[corpus_shards],
    metadata=column_schema({c: (column_type(c), text) for c, text in DESCRIPTIONS.items()}),
)
def corpus(
    context: dg.AssetExecutionContext, config: CorpusConfig, home: HomeResource
) -> dg.MaterializeResult[None]:
    """Canonical-6 rows, one a frame: read, validated, and kept under the sha256 of their content.

    Takes the shards of all clips, or a corpus that arrived ready-made: JSON Lines, gzipped JSON
    Lines, Parquet, or a folder of such shards. The same rows in
    another file, order or format are the same corpus: the sha256 is the asset's data version, and
    everything downstream is kept under it. What the blocking checks would refuse is refused here,
    before it is kept: a corpus that isn't fit never becomes the current one.
    """
    with refusals_as_failures():
        kept = home.open()
        arrived = config.arrival_sha256
        if arrived:
            require_digest(arrived, "arrival_sha256")
        noticed: AbstractContextManager[Held] = nullcontext(NOTHING_HELD)
        if arrived:
            noticed = unchanged_arrival(parse_path(config.path), arrived)
        with noticed as held:
            reading, origin, note = _read(config.path, kept, held)
        summary = require_fit(reading.corpus).summary
        save_corpus(kept, reading, origin, note)
        context.instance.add_run_tags(context.run.run_id, {NAME_TAG: name_of(origin)})
        stored = kept.corpus_dir(reading.corpus.sha256) / CORPUS_FILE
    return dg.MaterializeResult(
        data_version=dg.DataVersion(reading.corpus.sha256),
        metadata=_describe(reading, summary)
        | {
            "stored_at": dg.MetadataValue.text(in_home(kept, stored)),
            "read_from": dg.MetadataValue.text(shown(origin)),
        },
    )


def _read(path: str, home: Home, held: Held) -> tuple[Reading, str, Mapping[str, Any] | None]:
    """The corpus that was asked for, where it came from in words, and what is told of its clips."""
    if path:
        reading = read_corpus(parse_path(path), held)
        return reading, path, note_of(parse_path(path), reading)
    known = inventory_file(home)
    inventory = load_inventory(known) if store.exists(known) else None
    if inventory is not None and inventory.clips:
        shards = shards_of(home.shards, inventory)
        reading = read_shards(home.shards, shards)
        note = noted([clip_note(clip) for clip in inventory.clips], reading.corpus.sources)
        return reading, f"the shards of {len(shards)} clips", note
    reading = read_corpus(BUNDLED_CORPUS)
    return reading, "the bundled corpus", note_of(BUNDLED_CORPUS, reading)


def _describe(reading: Reading, summary: CorpusSummary) -> dict[str, dg.MetadataValue]:
    listed_sources = summary.sources
    if len(listed_sources) > _SOURCES_LISTED:  # a source with too few rows is what one looks for
        fewest = sorted(listed_sources, key=lambda s: (s.rows, s.source))
        listed_sources = tuple(fewest[:_SOURCES_LISTED])
    by_source: list[dict[str, Cell]] = [
        {"source": s.source, "rows": s.rows, "vmaf_min": s.vmaf_min, "vmaf_max": s.vmaf_max}
        for s in listed_sources
    ]
    return {
        "plot_of_vmaf": plot(quality_curves(reading.corpus), "VMAF against quality by encoder"),
        "dagster/row_count": dg.MetadataValue.int(summary.rows),
        "sources": dg.MetadataValue.int(len(summary.sources)),
        "vmaf_min": dg.MetadataValue.float(four_digits(summary.vmaf_min)),
        "vmaf_max": dg.MetadataValue.float(four_digits(summary.vmaf_max)),
        "share_at_100": dg.MetadataValue.float(four_digits(summary.share_at_100)),
        "qualities": dg.MetadataValue.text(listed(f"{q:g}" for q in summary.qualities)),
        "encoders": table([{"encoder": e, "rows": n} for e, n in summary.encoder_rows]),
        "rows_a_source": table(by_source),
        "first_rows": table(_first_rows(reading.corpus)),
        "corpus_sha256": dg.MetadataValue.text(reading.corpus.sha256[:SHORT_SHA_LENGTH]),
        "files": dg.MetadataValue.text(listed(reading.files, _FILES_NAMED)),
        "rows_read": dg.MetadataValue.int(reading.rows_read),
        "repeats_dropped": dg.MetadataValue.int(reading.repeats_dropped),
        "extra_keys": dg.MetadataValue.text(listed(reading.extra_keys) or "none"),
        "ignored_files": dg.MetadataValue.text(listed(reading.ignored) or "none"),
        "rows_with_preset": dg.MetadataValue.int(preset_rows(reading.corpus.frame)),
    }


def _first_rows(read: Corpus) -> list[dict[str, Cell]]:
    rows = read.frame.head(_PREVIEW_ROWS).to_dict("records")
    return [{str(k): v if isinstance(v, str) else float(v) for k, v in r.items()} for r in rows]
