"""Same input, same bytes: what the bundled corpus gives on a machine that we know."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from upath import UPath

from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS, read_corpus
from fr_ensemble_assets.evidence.results import predictions_file, results_file
from fr_ensemble_assets.foundation.files import sha256_of
from fr_ensemble_assets.foundation.machine import machine_record
from fr_ensemble_assets.foundation.progress import Silent
from fr_ensemble_assets.loso.run import evaluate_seeds
from fr_ensemble_assets.members.fit import fit_members
from fr_ensemble_assets.members.names import member_id
from fr_ensemble_assets.members.onnx_export import export_onnx
from fr_ensemble_tests.conftest import CPU

#: On what the digests below were taken: they are promised for an equal record alone.
MACHINE = {
    "processor": "znver4",
    "vectors": 512,
    "blas": ["openblas 0.3.30 SkylakeX", "openblas 0.3.31.188.0 SkylakeX"],
    "numpy": "2.4.6",
    "features": "235280d5",
}
#: The sha256 of each member's ONNX file, in seed order.
MEMBERS = (
    "09726ffd62f5245e04fa62fa1cc30bf89457a2d88ae2a63d15871d45530486bb",
    "f34c1af82d847aeffb6f7959b5a5fe00547a46b830559eddbeed7fb30cc4c7cf",
    "0e79b6c8863daa9e7e5cb8f3b1777eec557efe9fa624d62b34d18b5ef346c6ee",
    "e1f1b81332df20e42ae3fc825a77d4e07d97866b7667d076f8baead2e8c1bb2f",
    "ffb367a7a4084f565d7782b2339057999737560f59fbc2e52190f1a3e8bbc454",
)
#: Over the out-of-fold predictions' files of all seeds.
PREDICTIONS = "65365b3692214f198d6525c9c098397b6766de98873a03e4d603323df7ed82bd"
#: Over what their results files tell of folds and means.
FIGURES = "f8b2afc2f7482766b04a0473b6f82a50988ba75ae02ebcae2324dca6e6205519"

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _on_a_known_machine() -> None:
    if (here := machine_record()) != MACHINE:
        pytest.skip(f"digests are known for {MACHINE}, this is {here}")


def test_members_of_the_bundled_corpus_have_these_bytes() -> None:
    corpus = read_corpus(BUNDLED_CORPUS).corpus
    fitted = fit_members(corpus, ENSEMBLE, CPU)
    models = [export_onnx(p, member_id(s)) for s, p in zip(ENSEMBLE.units, fitted, strict=True)]
    assert tuple(map(sha256_of, models)) == MEMBERS


def test_results_of_the_bundled_corpus_have_these_figures(tmp_path: Path) -> None:
    corpus = read_corpus(BUNDLED_CORPUS).corpus
    list(evaluate_seeds(UPath(tmp_path), corpus, ENSEMBLE.units, ENSEMBLE, CPU, Silent()))
    assert (digest_of_predictions(tmp_path), digest_of_figures(tmp_path)) == (PREDICTIONS, FIGURES)


def digest_of_predictions(folder: Path) -> str:
    """Over the bytes of each seed's predictions, in the order of the seeds."""
    files = [(folder / predictions_file(seed)).read_bytes() for seed in ENSEMBLE.units]
    return hashlib.sha256(b"".join(files)).hexdigest()


def digest_of_figures(folder: Path) -> str:
    """Over each seed's folds and its means and deviations, in the order of the seeds."""
    told = []
    for seed in ENSEMBLE.units:
        document = json.loads((folder / results_file(seed)).read_text())
        figures = {name: value for name, value in document.items() if name.endswith(_FIGURES)}
        told.append([document["folds"], figures])
    return sha256_of(json.dumps(told, sort_keys=True).encode())


_FIGURES = ("_plcc", "_srocc", "_rmse")
