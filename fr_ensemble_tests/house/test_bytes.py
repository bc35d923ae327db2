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
}
#: The sha256 of each member's ONNX file, in seed order.
MEMBERS = (
    "b6a25172c66d76f2719f92c21ef671728645a861333cfe84c73863a03391f45a",
    "ab5e6ea3a947bff791d0c724614f677bb49e88f2e73e9930e627fcbeb3751403",
    "08b8a7bb460e9f0d47f168244916bcf9b7a7205be349d3b50f4b40fab01a5d6f",
    "5bdcaf9e9ae56831fe136e3130c09d35f9e934b6532bb9cabe5647c65ceb82fa",
    "fab6ab873c1e79bd813f346067ec8eba6ac4aba2ee0c737f7fc682a9e8266f4b",
)
#: Over the out-of-fold predictions' files of all seeds.
PREDICTIONS = "80245b1e9f0630f01c5b69d36bdba6fbcaa4f081ea7f797f9689808a3efd5b83"
#: Over what their results files tell of folds and means.
FIGURES = "4c70cc2f13e2a2486416aac5006b3532a2f261bdd577484db0f1ea74bd16f4a4"

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
