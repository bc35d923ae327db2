"""What the ensemble recommends for a clip that it never saw, and what that clip really scored.

``.venv/bin/python -m benchmarks.unseen [SOURCE] [TARGET]`` takes a minute on two cores: it leaves
the source out of the bundled corpus, trains an ensemble on the others, and asks it for the largest
quality of each encoder whose lower bound at 95 % reaches the target.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from upath import UPath

from fr_ensemble_assets.cli.printing.progress import watched
from fr_ensemble_assets.cli.printing.recommending import print_recommendations
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS, read_corpus
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.operations.run import Plan, run_ensemble
from fr_ensemble_assets.prediction.candidate import load_candidate
from fr_ensemble_assets.prediction.frames import frames_of
from fr_ensemble_assets.prediction.recommend import recommend


def ensemble_without(corpus: Corpus, source: str, folder: Path) -> UPath:
    """The candidate of an ensemble that never saw ``source``."""
    others = corpus.frame[corpus.frame["src"] != source]
    path = folder / "others.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in others.to_dict("records")))
    plan = Plan(Home.at(folder / "home"), str(path), ENSEMBLE.units, epochs=200, force=False)
    with watched() as progress:
        outcome = run_ensemble(plan, progress)
    assert outcome.candidate_dir is not None, outcome.judgement.decision.reasons
    return outcome.candidate_dir


def main() -> None:
    source = sys.argv[1] if len(sys.argv) > 1 else "city"
    target = float(sys.argv[2]) if len(sys.argv) > 2 else 92.0
    corpus = read_corpus(BUNDLED_CORPUS).corpus
    unseen = corpus.frame[corpus.frame["src"] == source].reset_index(drop=True)
    with tempfile.TemporaryDirectory() as folder:
        candidate = load_candidate(ensemble_without(corpus, source, Path(folder)))
    found = recommend(candidate, frames_of(unseen.drop(columns="vmaf")), target)
    print_recommendations(found, to_stderr=False)
    measured = unseen.groupby(["encoder", "cq"])["vmaf"].mean()
    held = [
        rung.lower <= measured[item.encoder, rung.quality] <= rung.upper
        for item in found.items
        for rung in item.measured
    ]
    print(f"measured: {sum(held)} of {len(held)} encodes have their mean VMAF in the interval")


if __name__ == "__main__":
    main()
