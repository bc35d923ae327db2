"""Door: the ``corpus`` asset."""

import dagster as dg

from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.corpus.plots import quality_curves
from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS, Reading, read_corpus
from fr_ensemble_assets.corpus.schema import DESCRIPTIONS, INTEGER, TEXT
from fr_ensemble_assets.corpus.store import CORPUS_FILE, save_corpus
from fr_ensemble_assets.corpus.summary import preset_rows, summarise
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.doors.metadata import OWNERS, Cell, column_schema, plot, table
from fr_ensemble_assets.doors.refusals import refusals_as_failures
from fr_ensemble_assets.foundation.files import parse_path

_TYPES = {c: "string" if c in TEXT else "int" if c in INTEGER else "float" for c in DESCRIPTIONS}
_PREVIEW_ROWS = 8


class CorpusConfig(dg.Config):
    """Where the corpus is read from: a file, or a folder of shards; empty means the bundled one."""

    path: str = ""


@dg.asset(
    group_name="corpus",
    owners=OWNERS,
    kinds={"parquet"},
    tags={"domain": "video-quality"},
    code_version="1",
    metadata=column_schema({c: (_TYPES[c], text) for c, text in DESCRIPTIONS.items()}),
)
def corpus(config: CorpusConfig, home: HomeResource) -> dg.MaterializeResult[None]:
    """Canonical-6 rows, one a frame: read, validated, and kept under the sha256 of their content.

    Reads JSON Lines, gzipped JSON Lines, Parquet, or a folder of such shards. The same rows in
    another file, order or format are the same corpus: the sha256 is the asset's data version, and
    everything downstream is kept under it.
    """
    with refusals_as_failures():
        path = parse_path(config.path) if config.path else BUNDLED_CORPUS
        reading = read_corpus(path)
        kept = home.open()
        save_corpus(kept, reading, config.path or "the bundled corpus")
        stored = kept.corpus_dir(reading.corpus.sha256) / CORPUS_FILE
    return dg.MaterializeResult(
        data_version=dg.DataVersion(reading.corpus.sha256),
        metadata=_describe(reading) | {"stored_at": dg.MetadataValue.path(str(stored))},
    )


def _describe(reading: Reading) -> dict[str, dg.MetadataValue]:
    summary = summarise(reading.corpus)
    by_source: list[dict[str, Cell]] = [
        {"source": s.source, "rows": s.rows, "vmaf_min": s.vmaf_min, "vmaf_max": s.vmaf_max}
        for s in summary.sources
    ]
    return {
        "quality_curves": plot(quality_curves(reading.corpus), "VMAF against quality by encoder"),
        "dagster/row_count": dg.MetadataValue.int(summary.rows),
        "sources": dg.MetadataValue.int(len(summary.sources)),
        "vmaf_min": dg.MetadataValue.float(summary.vmaf_min),
        "vmaf_max": dg.MetadataValue.float(summary.vmaf_max),
        "share_at_100": dg.MetadataValue.float(summary.share_at_100),
        "qualities": dg.MetadataValue.text(", ".join(f"{q:g}" for q in summary.qualities)),
        "encoders": table([{"encoder": e, "rows": n} for e, n in summary.encoder_rows]),
        "rows_a_source": table(by_source),
        "first_rows": table(_first_rows(reading.corpus)),
        "corpus_sha256": dg.MetadataValue.text(reading.corpus.sha256),
        "files": dg.MetadataValue.text(", ".join(reading.files)),
        "rows_read": dg.MetadataValue.int(reading.rows_read),
        "repeats_dropped": dg.MetadataValue.int(reading.repeats_dropped),
        "extra_keys": dg.MetadataValue.text(", ".join(reading.extra_keys) or "none"),
        "ignored_files": dg.MetadataValue.text(", ".join(reading.ignored) or "none"),
        "rows_with_preset": dg.MetadataValue.int(preset_rows(reading.corpus.frame)),
    }


def _first_rows(read: Corpus) -> list[dict[str, Cell]]:
    rows = read.frame.head(_PREVIEW_ROWS).to_dict("records")
    return [{str(k): v if isinstance(v, str) else float(v) for k, v in r.items()} for r in rows]
