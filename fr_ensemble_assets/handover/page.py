"""Our section of the page that their tree has for this model (ADR-0042's five points)."""

from __future__ import annotations

from collections.abc import Iterator

from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.schema import (
    CANONICAL_6,
    ENCODER_VOCAB_VERSION,
    ENCODER_VOCABULARY,
    UNKNOWN_ENCODER,
)
from fr_ensemble_assets.handover.names import MODELS, PAGE
from fr_ensemble_assets.handover.summary import Summary
from fr_ensemble_assets.members.consumers import CALIBRATION_IN_TREE, LICENSE, VERDICT_IN_TREE
from fr_ensemble_assets.members.names import ENSEMBLE_ID, MANIFEST_FILE, sidecar_file

BEGIN, END = f"<!-- {ENSEMBLE_ID}: begin -->", f"<!-- {ENSEMBLE_ID}: end -->"


def with_section(page: bytes | None, section: str) -> bytes:
    """Their page with our section replaced or, where there is none, at its end.

    Every byte outside the markers stays; lines end as theirs do.

    Raises
    ------
    UnusableInput
        If the markers are there, and not once each in their order.
    """
    if page is None:
        return f"# `{ENSEMBLE_ID}`\n\n{section}".encode()
    newline = b"\r\n" if b"\r\n" in page else b"\n"
    made = section.encode().replace(b"\n", newline)
    begin, end = BEGIN.encode(), END.encode()
    if begin not in page and end not in page:
        gap = b"" if page.endswith(b"\n") or not page else newline
        return page + gap + newline + made
    start, stop = page.find(begin), page.find(end)
    if page.count(begin) != 1 or page.count(end) != 1 or stop < start:
        raise UnusableInput(
            f"{PAGE}: expected '{BEGIN}' and then '{END}' once each, found {page.count(begin)} and "
            f"{page.count(end)}, or in another order; mend the page first."
        )
    stop += len(end)
    stop += len(newline) if page[stop:].startswith(newline) else 0
    return page[:start] + made + page[stop:]


def section(summary: Summary) -> str:
    """The section, in Markdown, between its markers."""
    gate = summary.verdict["gate"]
    lines = [
        BEGIN,
        "",
        f"## The checkpoint on corpus `{summary.corpus_sha256[:12]}`",
        "",
        "What this section says holds for the files beside the registry today; where the text "
        "above differs, it is older.",
        "",
        "### What it does",
        "",
        "Five networks predict the VMAF (`vmaf_v0.6.1`) of a frame from six libvmaf features and "
        "14 columns that tell encoder, preset and quality. Their mean is the score, their "
        "deviation says how much they disagree.",
        "",
        "### Output",
        "",
        "Each member gives `score`, a VMAF; it is not brought into 0 to 100. `mu` is their mean, "
        "`sigma` their sample deviation (ddof = 1), the interval `mu ± q·sigma` with "
        "`confidence.conformal_q_residual` of the manifest. What that covers: "
        f"{_covers(summary)}",
        "",
        "### Example",
        "",
        "```python",
        *_EXAMPLE.splitlines(),
        "```",
        "",
        "### Provenance",
        "",
        f"Trained on {summary.n_rows} frames of {len(summary.calibration.sources)} sources, corpus "
        f"sha256 `{summary.corpus_sha256}`. PLCC, {summary.protocol}: mean "
        f"{summary.mean_plcc:.6f}, spread over the seeds {summary.plcc_spread:.6f} (gate ADR-0303: "
        f"at least {gate['mean_plcc_threshold']:g}, at most {gate['plcc_spread_max']:g}); verdict "
        f"`{VERDICT_IN_TREE}`, intervals `{CALIBRATION_IN_TREE}`. Licence: {LICENSE}.",
        "",
        "| file | sha256 |",
        "| --- | --- |",
        *(f"| `{name}` | `{sha256}` |" for name, sha256 in summary.members.items()),
        "",
        "### Known limitations",
        "",
        *(f"- {told}" for told in _limits(summary)),
        "",
        END,
        "",
    ]
    return "\n".join(lines)


def _covers(summary: Summary) -> str:
    told = summary.manifest.get("conformal_q_covers")
    return str(told) if told else "see `per_frame_plain` of the calibration."


def _limits(summary: Summary) -> Iterator[str]:
    seen = summary.calibration.trained_on
    never = [
        name
        for name in ENCODER_VOCABULARY
        if name not in seen.qualities and name != UNKNOWN_ENCODER
    ]
    yield f"Trained on {', '.join(summary.encoders)}; other qualities are extrapolated."
    if never:
        yield f"Slots that no row ever set: {', '.join(f'`{name}`' for name in never)}."
    motion = seen.features[CANONICAL_6[-1]]
    yield f"`{CANONICAL_6[-1]}` was at most {motion.high:.2f}; faster motion is extrapolated."
    worst = summary.coverage("frame", "source")
    if worst is not None:
        yield (
            "Intervals of rule `source` at 95 %, of members recentred as the calibration has it, "
            f"covered {worst.coverage:.1%} of the frames of a source left out on average, and "
            f"{worst.lowest.coverage:.1%} of `{worst.lowest.name}`."
        )
    yield (
        f"Columns are those of encoder vocabulary version {ENCODER_VOCAB_VERSION} in the order of "
        "the manifest; another order gives wrong scores and no error."
    )


_EXAMPLE = f"""\
import json, numpy as np, onnxruntime as ort

folder = "{MODELS}/"
manifest = json.load(open(folder + "{MANIFEST_FILE}"))
corpus = json.load(open(folder + "{sidecar_file(0)}"))["corpus"]

def columns(encoder, cq, preset=None):
    known = manifest["codec_vocab"]
    block = [float(name == (encoder if encoder in known else "unknown")) for name in known]
    block.append(corpus["presets"].get(encoder, {{}}).get(preset, 0.5))
    low, high = corpus["cq_min"], corpus["cq_max"]
    return [*block, 0.5 if low == high else (cq - low) / (high - low)]

raw = np.array([[0.98, 0.75, 0.97, 0.98, 0.99, 3.0]])  # in the order of manifest["feature_order"]
x = (raw - manifest["feature_mean"]) / manifest["feature_std"]
feed = {{
    "features": x.astype(np.float32),
    "codec_onehot": np.array([columns("libx264", 25)], np.float32),
}}
scores = np.stack([
    ort.InferenceSession(folder + m["onnx"], providers=["CPUExecutionProvider"]).run(None, feed)[0]
    for m in manifest["members"]
])
mu, sigma = scores.mean(axis=0), scores.std(axis=0, ddof=1)
q = manifest["confidence"]["conformal_q_residual"] or manifest["confidence"]["gaussian_z"]
print(mu, mu - q * sigma, mu + q * sigma)
"""
