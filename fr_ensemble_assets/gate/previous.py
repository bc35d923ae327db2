"""The verdict on the corpus before this one: what changed?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from upath import UPath

from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import SHORT_SHA_LENGTH, Home
from fr_ensemble_assets.gate.verdict import read_verdict
from fr_ensemble_assets.training.recipe import Recipe


@dataclass(frozen=True)
class Previous:
    """What an earlier verdict said; to be shown, never to be judged by."""

    corpus_sha256: str
    verdict: str
    mean_plcc: float | None
    per_seed_plcc: dict[int, float | None]

    @property
    def short_sha(self) -> str:
        return self.corpus_sha256[:SHORT_SHA_LENGTH]


def previous_verdict(home: Home, corpus_sha256: str, recipe: Recipe) -> Previous | None:
    """The newest verdict, no dry run, on any other corpus under the same recipe."""
    documents = [
        document
        for folder in home.store.iterdir()
        if folder.name != corpus_sha256
        for document in _verdicts(folder / recipe.folder)
    ]
    if not documents:
        return None
    newest = max(documents, key=lambda document: str(document["generated_at_utc"]))
    gate = newest["gate"]
    return Previous(
        corpus_sha256=newest["corpus"]["sha256"],
        verdict=newest["verdict"],
        mean_plcc=gate["mean_plcc"],
        per_seed_plcc={int(seed): plcc for seed, plcc in gate["per_seed_plccs"].items()},
    )


def _verdicts(results: UPath) -> Iterator[dict[str, Any]]:
    """At most one; none where it is damaged, was altered beyond use, or is a dry run."""
    try:
        document = read_verdict(results) if results.is_dir() else None
        if document is None or document["dry_run"]:
            return
        gate = document["gate"]
        defined = (gate["mean_plcc"], *gate["per_seed_plccs"].values())
        {str(int(seed)) for seed in gate["per_seed_plccs"]}
        if all(value is None or isinstance(value, float | int) for value in defined) and isinstance(
            document["corpus"]["sha256"], str
        ):
            document["generated_at_utc"], document["verdict"]
            yield document
    except (UnusableInput, KeyError, TypeError, ValueError, AttributeError):
        return
