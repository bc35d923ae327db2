"""What one asks of a corpus before one trusts it, and the rules that its checks apply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.corpus.twins import Twin, Twins, find_twins
from fr_ensemble_assets.foundation.findings import Finding
from fr_ensemble_assets.foundation.schema import (
    ENCODER_VOCABULARY,
    MIN_ROWS,
    MIN_ROWS_A_SOURCE,
    MIN_SOURCES,
    TARGET,
    UNKNOWN_ENCODER,
    VMAF_MAX,
)
from fr_ensemble_assets.foundation.wording import listed

#: The reference corpora have 9 Netflix sources; fewer say little about the next unseen one.
REFERENCE_SOURCES = 9
#: Above this share of rows at exactly 100 the qualities are too mild to teach much.
SATURATION_MAX = 0.25
#: Room for a sentence that names two sources.
_SENTENCE = 320


@dataclass(frozen=True)
class SourceSummary:
    """One source: its rows, and the range of its target (VMAF, 0..100)."""

    source: str
    rows: int
    vmaf_min: float
    vmaf_max: float

    @property
    def varies(self) -> bool:
        """Whether the target takes more than one value; else its correlation is undefined."""
        return self.vmaf_min < self.vmaf_max


@dataclass(frozen=True)
class CorpusSummary:
    """Counts and ranges over a whole corpus, and which of its sources are one clip."""

    rows: int
    sources: tuple[SourceSummary, ...]
    encoder_rows: tuple[tuple[str, int], ...]
    qualities: tuple[float, ...]
    vmaf_min: float
    vmaf_max: float
    share_at_100: float
    twins: Twins

    @property
    def unknown_encoder_rows(self) -> tuple[tuple[str, int], ...]:
        """Encoders outside the vocabulary, which share the slot ``unknown``, with their rows."""
        known = set(ENCODER_VOCABULARY) - {UNKNOWN_ENCODER}
        return tuple((name, rows) for name, rows in self.encoder_rows if name not in known)

    @property
    def constant_sources(self) -> tuple[str, ...]:
        """Sources whose target never varies."""
        return tuple(s.source for s in self.sources if not s.varies)

    @property
    def short_sources(self) -> tuple[str, ...]:
        """Sources with fewer rows than a correlation needs, with their number."""
        short = [s for s in self.sources if s.rows < MIN_ROWS_A_SOURCE]
        return tuple(f"{s.source} ({s.rows})" for s in short)


def summarise(corpus: Corpus) -> CorpusSummary:
    """Count and range everything that the metadata and the checks of ``corpus`` show."""
    frame = corpus.frame
    target = frame.groupby("src", observed=True)[TARGET]
    sizes, lows, highs = target.size(), target.min(), target.max()
    encoders = frame["encoder"].value_counts().sort_index()
    return CorpusSummary(
        rows=len(frame),
        sources=tuple(
            SourceSummary(
                source,
                int(sizes[source]),
                float(lows[source]),
                float(highs[source]),
            )
            for source in corpus.sources
        ),
        encoder_rows=tuple((str(name), int(rows)) for name, rows in encoders.items()),
        qualities=tuple(float(q) for q in sorted(frame["cq"].unique())),
        vmaf_min=float(frame[TARGET].min()),
        vmaf_max=float(frame[TARGET].max()),
        share_at_100=float((frame[TARGET] == VMAF_MAX).mean()),
        twins=find_twins(frame, corpus.sources, corpus.source_index),
    )


def rule_row_count(summary: CorpusSummary) -> Finding:
    """At least 100 rows (contracts, section 1)."""
    passed = summary.rows >= MIN_ROWS
    return Finding(
        passed,
        f"{summary.rows} rows",
        f">= {MIN_ROWS} rows",
        "nothing to do" if passed else "score more frames, sources or qualities",
    )


def rule_sources(summary: CorpusSummary) -> Finding:
    """At least two sources, each with rows enough, a target that varies, and no twin.

    A correlation over few rows is chance: with 2 rows it is always 1 or -1, and of predictions that
    know nothing one in 150 reaches 0.95 over 5 rows, one in 78,000 over 10.
    """
    short, constant, twins = summary.short_sources, summary.constant_sources, summary.twins.certain
    passed = not (short or constant or twins) and len(summary.sources) >= MIN_SOURCES
    found = f"{len(summary.sources)} sources"
    if short:
        found += f", too few rows in {listed(short)}"
    if constant:
        found += f", the target never varies in {listed(constant)}"
    if twins:
        found += f", {_told(twins)}"
    return Finding(
        passed,
        found,
        f">= {MIN_SOURCES} sources, each with >= {MIN_ROWS_A_SOURCE} rows, a varying target and "
        "rows of its own",
        "nothing to do"
        if passed
        else "drop the named sources, score more of their frames, or encode them at harsher "
        "qualities: a constant target has no correlation, and a source under two names is trained "
        "on while it is held out",
    )


def rule_likely_twins(summary: CorpusSummary) -> Finding:
    """No two sources that look like one clip: re-encoded, cropped, shifted."""
    likely, searched = summary.twins.likely, summary.twins.searched
    found = _told(likely) if likely else "none looks like another"
    return Finding(
        searched and not likely,
        found if searched else f"not searched among {len(summary.sources)} sources",
        "no two sources of one clip",
        "nothing to do"
        if searched and not likely
        else "look at the named clips: where two show the same, keep one, or give both one name",
    )


def _told(twins: Sequence[Twin]) -> str:
    return listed((twin.describe() for twin in twins), limit=_SENTENCE)


def rule_reference_sources(summary: CorpusSummary) -> Finding:
    """As many sources as the reference corpora have."""
    passed = len(summary.sources) >= REFERENCE_SOURCES
    return Finding(
        passed,
        f"{len(summary.sources)} sources",
        f">= {REFERENCE_SOURCES} sources",
        "nothing to do" if passed else "add clips: sources count, not neighbouring frames",
    )


def rule_unknown_encoders(summary: CorpusSummary) -> Finding:
    """Every encoder has a slot of its own."""
    unknown = summary.unknown_encoder_rows
    return Finding(
        not unknown,
        listed(f"{name}: {rows} rows" for name, rows in unknown) or "all in the vocabulary",
        "every encoder in the vocabulary",
        "nothing to do"
        if not unknown
        else f"these share the slot '{UNKNOWN_ENCODER}'; mind the spelling of ffmpeg's names",
    )


def rule_saturation(summary: CorpusSummary) -> Finding:
    """No more than a quarter of the rows at exactly VMAF 100."""
    passed = summary.share_at_100 <= SATURATION_MAX
    return Finding(
        passed,
        f"{summary.share_at_100:.1%} of the rows at exactly {VMAF_MAX:g}",
        f"<= {SATURATION_MAX:.0%}",
        "nothing to do" if passed else "encode at harsher qualities; AV1 and VP9 need 31 to 63",
    )


def preset_rows(frame: pd.DataFrame) -> int:
    """Rows that record a preset."""
    return int(frame["preset"].notna().sum()) if "preset" in frame else 0
