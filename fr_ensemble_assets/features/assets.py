"""Door: ``fitted_scaler`` and ``codec_block``.

What trains reads them and holds them against the corpus, so that an altered file here can't change
a model (``features/stored.py``).
"""

import dagster as dg
import pyarrow as pa

from fr_ensemble_assets.corpus.assets import corpus
from fr_ensemble_assets.corpus.fitness import examine
from fr_ensemble_assets.corpus.identity import key_columns
from fr_ensemble_assets.corpus.in_use import corpus_in_use
from fr_ensemble_assets.doors.groups import CANDIDATE_GROUP, VERDICT_GROUP
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.doors.metadata import OWNERS, column_schema, table
from fr_ensemble_assets.doors.refusals import refusals_as_failures
from fr_ensemble_assets.features.codec_block import CODEC_BLOCK_LAYOUT, fit_codec_block
from fr_ensemble_assets.features.scaler import fit_scaler
from fr_ensemble_assets.features.stored import save_codec_block, save_scaler
from fr_ensemble_assets.foundation.schema import CANONICAL_6
from fr_ensemble_assets.foundation.tables import write_parquet
from fr_ensemble_assets.foundation.wording import listed


@dg.asset(
    group_name=CANDIDATE_GROUP,
    owners=OWNERS,
    kinds={"json"},
    tags={"domain": "video-quality"},
    code_version="1",
    deps=[corpus],
    metadata=column_schema(
        {
            "feature_order": ("string", "canonical-6"),
            "feature_mean": ("float", "Mean over the corpus"),
            "feature_std": ("float", "Deviation with ddof = 0; 1 where it is under 1e-8"),
        }
    ),
)
def fitted_scaler(
    context: dg.AssetExecutionContext, home: HomeResource
) -> dg.MaterializeResult[None]:
    """Corpus-wide mean and population deviation of the canonical-6 features, in float64.

    It ships with the members. Inside leave-one-source-out each fold fits its own, on its training
    rows only.
    """
    with refusals_as_failures():
        kept = home.open()
        used = corpus_in_use(context, kept)
        scaler = fit_scaler(used.features)
        path = save_scaler(kept.corpus_dir(used.sha256), used, scaler)
    return dg.MaterializeResult(
        metadata={
            "statistics": table(
                [
                    {"feature": name, "mean": float(mean), "deviation": float(std)}
                    for name, mean, std in zip(CANONICAL_6, scaler.mean, scaler.std, strict=True)
                ]
            ),
            "rows": scaler.n_rows,
            "corpus_sha256": used.sha256,
            "stored_at": dg.MetadataValue.path(str(path)),
        }
    )


@dg.asset(
    group_name=VERDICT_GROUP,
    owners=OWNERS,
    kinds={"parquet"},
    tags={"domain": "video-quality"},
    code_version="2",
    deps=[corpus],
    metadata=column_schema(
        dict.fromkeys(CODEC_BLOCK_LAYOUT[:-2], ("float", "1 for the row's encoder, else 0"))
        | {
            "preset_norm": (
                "float",
                "Place in the encoder's presets, 0 fastest, where one has two; else 0.5",
            ),
            "crf_norm": ("float", "cq scaled to 0..1 over the corpus"),
        }
    ),
)
def codec_block(
    context: dg.AssetExecutionContext, home: HomeResource
) -> dg.MaterializeResult[None]:
    """The 14 codec columns of every row: 12 encoder slots, ``preset_norm``, ``crf_norm``.

    Encoders outside the vocabulary share the slot ``unknown``; they are counted and listed.
    """
    with refusals_as_failures():
        kept = home.open()
        used = corpus_in_use(context, kept)
        block = fit_codec_block(used)
        folder = kept.corpus_dir(used.sha256)
        frame = used.frame[key_columns(used.frame)].copy()
        frame[list(CODEC_BLOCK_LAYOUT)] = block.encode(used)
        table_path = folder / "codec_block.parquet"
        write_parquet(table_path, pa.Table.from_pandas(frame, preserve_index=False))
        save_codec_block(folder, used, block)
    unknown = examine(used).summary.unknown_encoder_rows
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": used.n_rows,
            "layout": table([{"column": n, "name": c} for n, c in enumerate(CODEC_BLOCK_LAYOUT)]),
            "cq_min": block.cq_min,
            "cq_max": block.cq_max,
            "unknown_rows": sum(rows for _, rows in unknown),
            "unknown_encoders": listed(f"{name} ({rows})" for name, rows in unknown) or "none",
            "corpus_sha256": used.sha256,
            "stored_at": dg.MetadataValue.path(str(table_path)),
        }
    )
