"""Recommendations as one JSON object."""

from __future__ import annotations

from typing import Any

from fr_ensemble_assets.prediction.recommendation import Recommendations, Rung


def recommendations_document(given: Recommendations) -> dict[str, Any]:
    """What ``fr-ensemble recommend --json`` prints."""
    return {
        "target": given.target,
        "rule": given.rule,
        "confidence_asked": given.answer.asked,
        "confidence": given.answer.level,
        "supported": given.answer.supported,
        "n_sources": given.n_sources,
        "explanation": given.explanation,
        "unknown_encoders": given.unknown_encoders,
        "assumed_presets": given.assumed_presets,
        "recommendations": [
            {
                "src": item.src,
                "encoder": item.encoder,
                "preset": item.preset,
                "choice": _rung_document(item.choice) if item.choice else None,
                "nearest": None if item.choice else _rung_document(item.nearest),
                "saved": item.saved,
                "next_probe": item.next_probe,
                "sentence": item.sentence,
                "qualities": [_rung_document(rung) for rung in item.measured],
            }
            for item in given.items
        ],
    }


def _rung_document(rung: Rung) -> dict[str, Any]:
    return {
        "quality": rung.quality,
        "interpolated": rung.interpolated,
        "mu": rung.mu,
        "lower": rung.lower,
        "upper": rung.upper,
        "frames": rung.frames,
        "extrapolates": rung.extrapolates,
        "enc_bytes": rung.size,
        "vmaf": rung.vmaf,
    }
