"""Frames: what ``predict`` and ``recommend`` are given."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from upath import UPath

from fr_ensemble_assets.prediction.frames import read_frames
from fr_ensemble_assets.prediction.output import write_predictions
from fr_ensemble_assets.prediction.predict import Predictions, predict
from fr_ensemble_assets.prediction.recommend import recommend
from fr_ensemble_assets.prediction.recommend_document import recommendations_document
from fr_ensemble_assets.prediction.recommendation import Recommendations
from fr_ensemble_tests.attack import parquets, tables
from fr_ensemble_tests.attack.case import Case, Flawed, Kind, Maker
from fr_ensemble_tests.attack.material import Material
from fr_ensemble_tests.attack.product import candidate_at
from fr_ensemble_tests.attack.rows import FEATURES, FRAMES
from fr_ensemble_tests.attack.tables import base, jsonl, judged


class Answer(NamedTuple):
    """What the product says of a file of frames."""

    predictions: Predictions
    recommendations: Recommendations


def _rows_of(answer: Answer) -> list[dict[str, Any]]:
    frame = answer.predictions.frames.frame
    return frame.astype(object).to_dict("records")  # type: ignore[no-any-return]


def _attempt(case: Case, out: Path, material: Material) -> Answer:
    import json

    candidate = candidate_at(material.candidate)
    frames = read_frames(UPath(case.target))
    found = predict(candidate, frames, 0.8)
    _require_sound(found)
    write_predictions(UPath(out / "predictions.jsonl"), found)
    lines = (out / "predictions.jsonl").read_text().split("\n")
    if len([json.loads(line) for line in lines if line]) != frames.n_rows:
        raise Flawed("the predictions have other rows than the frames")
    recommended = recommend(candidate, frames, 90.0, 0.8)
    json.dumps(recommendations_document(recommended), allow_nan=False)
    return Answer(found, recommended)


def _require_sound(found: Predictions) -> None:
    figures = np.stack([found.mu, found.sigma, found.lower, found.upper])
    if not np.isfinite(figures).all():
        raise Flawed("a prediction is not finite")
    if (found.lower > found.mu).any() or (found.mu > found.upper).any():
        raise Flawed("an interval doesn't hold its own centre")
    if found.lower.min() < 0 or found.upper.max() > 100:
        raise Flawed("an interval leaves 0..100")


def _far(chance: random.Random, folder: Path, material: Material) -> Case:
    """Features at the end of what is allowed: scored and flagged, or refused, never silent."""
    rows = base(FRAMES, material)
    value = chance.choice((1e6, -1e6, 9.9e5, 1e5, 1e3, -5.0, 1e7, 1e30))
    names = chance.choice((FEATURES, (chance.choice(FEATURES),)))
    for row in rows:
        row.update(dict.fromkeys(names, value))
    made = judged(FRAMES, _rows_of, folder / "x.jsonl", jsonl(rows))
    asked = made.oracle

    def flagged(answer: Answer) -> str:
        if not answer.predictions.extrapolates.all():
            return "rows far beyond training are not flagged"
        return asked(answer) if asked else ""

    return Case(made.target, made.must, made.why, flagged if asked else None)


def _foreign_encoder(chance: random.Random, folder: Path, material: Material) -> Case:
    """An encoder that the corpus doesn't have, or a preset: flagged."""
    rows = base(FRAMES, material)
    names = ("h264_nvenc", "unknown", "LIBX264", "libx264 ", "x" * 3000, "\x1b[2J", "é", "[b]x[/b]")
    column = chance.choice(("encoder", "preset"))
    for row in rows:
        row[column] = chance.choice(names[:1] if column == "encoder" else names)
        row["encoder"] = chance.choice(names) if column == "encoder" else row["encoder"]
        row["src"] = f"{row['src']} {row['cq']}"
    frame = pd.DataFrame(rows).drop_duplicates(["src", "encoder", "cq", "frame_index", "preset"])
    kept = frame.to_dict("records")
    made = judged(FRAMES, _rows_of, folder / "x.jsonl", jsonl(kept))
    asked = made.oracle

    def flagged(answer: Answer) -> str:
        if not answer.predictions.extrapolates.all():
            return "rows of a foreign encoder or preset are not flagged"
        return asked(answer) if asked else ""

    return Case(made.target, made.must, made.why, flagged if asked else None)


def _one_row(chance: random.Random, folder: Path, material: Material) -> Case:
    rows = base(FRAMES, material)[: chance.choice((1, 2))]
    return judged(FRAMES, _rows_of, folder / "x.jsonl", jsonl(rows), "accept")


def _command(case: Case, out: Path, material: Material) -> list[str]:
    words = ["predict", "--frames", str(case.target), "--out", str(out / "outside.jsonl")]
    return [*words, "--candidate", str(material.candidate), "--confidence", "0.8"]


_MAKERS: list[tuple[str, Maker]] = [
    *tables.makers(FRAMES, _rows_of),
    *parquets.makers(FRAMES, _rows_of),
    ("far features", _far),
    ("foreign encoder", _foreign_encoder),
    ("one row", _one_row),
]

KIND = Kind("frames", _MAKERS, _attempt, _command)
