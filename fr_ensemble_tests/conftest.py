"""Small real corpora, and homes in which the whole chain has run once."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from upath import UPath

from fr_ensemble_assets.candidate.build import build_candidate
from fr_ensemble_assets.clips.ffmpeg import Ffmpeg, find_ffmpeg
from fr_ensemble_assets.contract.agreed import ENSEMBLE, Contract
from fr_ensemble_assets.contract.places import Places
from fr_ensemble_assets.corpus.identity import Corpus
from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS, read_corpus
from fr_ensemble_assets.corpus.store import load_corpus
from fr_ensemble_assets.evidence.measure import SeedResult, measure_folds, rows_by_source
from fr_ensemble_assets.foundation.digests import is_digest
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.foundation.progress import Silent
from fr_ensemble_assets.gate.verdict import authorise
from fr_ensemble_assets.loso.evaluation import parts_of
from fr_ensemble_assets.loso.prepared import Fold, prepare
from fr_ensemble_assets.operations.run import Outcome, Plan, run_ensemble
from fr_ensemble_assets.predictors.published import predictors_at_hand
from fr_ensemble_assets.training.trainer import Trainer
from fr_ensemble_tests.video import FRAMES, MakeClip, call

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Row = dict[str, Any]
CPU = Trainer("cpu")


def write_rows(path: Path, rows: Sequence[Row]) -> UPath:
    """Write rows as JSON Lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return UPath(path)


@pytest.fixture(scope="session")
def bundled_rows() -> list[Row]:
    with gzip.open(str(BUNDLED_CORPUS), "rt") as handle:
        return [json.loads(line) for line in handle]


@pytest.fixture(scope="session")
def rows(bundled_rows: list[Row]) -> list[Row]:
    """600 real rows of six sources: the smallest slice that clearly promotes."""
    sources = {"bbb", "city", "dog", "ocean", "stream", "vtest"}
    return [r for r in bundled_rows if r["src"] in sources and r["frame_index"] % 9 == 0]


@pytest.fixture(scope="session")
def few_rows(rows: list[Row]) -> list[Row]:
    """120 real rows of three sources, for what needs no quality."""
    return [r for r in rows if r["src"] in {"bbb", "city", "dog"} and r["frame_index"] <= 9]


@pytest.fixture(scope="session")
def shuffled_rows(few_rows: list[Row]) -> list[Row]:
    """Real rows whose scores belong to other rows: nothing can be learnt from them."""
    scores = np.random.default_rng(0).permutation([row["vmaf"] for row in few_rows])
    return [{**row, "vmaf": float(vmaf)} for row, vmaf in zip(few_rows, scores, strict=True)]


@pytest.fixture
def few(tmp_path: Path, few_rows: list[Row]) -> Corpus:
    return read_corpus(write_rows(tmp_path / "few.jsonl", few_rows)).corpus


def without_times(path: Path) -> Any:
    """A file's content, without the figures that differ from run to run."""
    if path.suffix != ".json":
        return path.read_bytes()
    text = path.read_text()
    text = re.sub(r'"(wall_time_s|generated_at_utc)": [^\n]*', "", text)
    # The verdict and the list of digests name those of files that hold those times, and the
    # manifest names the list's.
    text = re.sub(r'"(loso_seed\d|PROMOTE|predictors).json": "[0-9a-f]{64}"', "", text)
    return re.sub(r'"file": "digests.json",\s+"sha256": "[0-9a-f]{64}"', "", text)


def run_chain(home: Path, corpus: UPath, epochs: int = 200, force: bool = False) -> Outcome:
    """What ``fr-ensemble run`` does, in this process."""
    plan = Plan(Home.at(home), str(corpus), ENSEMBLE.units, epochs, force)
    return run_ensemble(plan, Silent())


def evaluate_seed(corpus: Corpus, seed: int, contract: Contract) -> SeedResult:
    """Every source held out under one seed, a fold after the other, as in a notebook."""
    assignment = contract.plan.assign(rows_by_source(corpus))
    data, prediction = prepare(corpus), np.empty(corpus.n_rows)
    for part in parts_of(corpus.sha256, assignment, seed, contract.recipe, CPU):
        held_out = part.work(data)
        prediction[held_out.rows] = held_out.prediction
    folds = measure_folds(corpus, prediction, assignment)
    return SeedResult(seed, folds, prediction, wall_time_s=0.0)


def fold_without(corpus: Corpus, number: int, seed: int) -> Fold:
    """The fold that holds out the ``number``-th source in sorted order."""
    return prepare(corpus).fold([corpus.sources[number]], seed)


def snapshot(folder: Path) -> dict[str, bytes | str]:
    """Everything under a folder; what is no file by its kind."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        if path.is_file() and not path.is_symlink()
        else str(path.is_symlink())
        for path in sorted(folder.rglob("*"))
    }


def publish(home: Home) -> None:
    """What ``registry_candidate`` does."""
    (results,) = home.store.glob("*/loso-*")
    corpus = load_corpus(home, results.parent.name)
    places = Places(home, ENSEMBLE, corpus.sha256)
    judgement = authorise(places.results, corpus, ENSEMBLE)
    build_candidate(places, corpus, judgement, CPU, predictors=predictors_in(home))


def predictors_in(home: Home) -> Mapping[str, bytes]:
    """The codecs' predictors that the chain left in a home; none where it trained none."""
    cells = [folder.name for folder in home.planning.iterdir() if is_digest(folder.name)]
    return predictors_at_hand(home, cells[0]) if cells else {}


Chain = tuple[Path, Outcome]


@pytest.fixture(scope="session")
def promoted_once(tmp_path_factory: pytest.TempPathFactory, rows: list[Row]) -> Chain:
    folder = tmp_path_factory.mktemp("promoted")
    corpus = write_rows(folder / "corpus.jsonl", rows)
    return folder / "home", run_chain(folder / "home", corpus)


@pytest.fixture(scope="session")
def held_once(tmp_path_factory: pytest.TempPathFactory, shuffled_rows: list[Row]) -> Chain:
    folder = tmp_path_factory.mktemp("held")
    corpus = write_rows(folder / "corpus.jsonl", shuffled_rows)
    return folder / "home", run_chain(folder / "home", corpus)


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[Chain], Home]:
    """A copy of a home, for tests that spoil it."""

    def copy(chain: Chain) -> Home:
        shutil.copytree(chain[0], tmp_path / "home")
        return Home.at(tmp_path / "home")

    return copy


@pytest.fixture
def promoted(copied: Callable[[Chain], Home], promoted_once: Chain) -> Home:
    """A home in which the chain ran to a candidate."""
    return copied(promoted_once)


@pytest.fixture
def held(copied: Callable[[Chain], Home], held_once: Chain) -> Home:
    """A home in which the chain ran to a HOLD."""
    return copied(held_once)


@pytest.fixture(scope="module")
def browser(promoted_once: Chain, held_once: Chain) -> Iterator[Browser]:
    """Chromium, started after the chains: Playwright's event loop and Dagster's clash."""
    from playwright.sync_api import sync_playwright

    del promoted_once, held_once
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if found is None:
        pytest.fail("expected Chromium on PATH, found none; `apt-get install chromium`")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-gpu"]
        )
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def ffmpeg() -> Ffmpeg:
    return find_ffmpeg()


@pytest.fixture(scope="session")
def make_clip(ffmpeg: Ffmpeg) -> MakeClip:
    """Make a small moving clip by one of ffmpeg's own sources."""

    def make(path: Path, *arguments: str, source: str = "testsrc2", rate: str = "25") -> Path:
        drawn = f"{source}=size=160x120:rate={rate}"
        lossless = arguments or ("-c:v", "ffv1", "-pix_fmt", "yuv420p")
        call(ffmpeg, "-f", "lavfi", "-i", drawn, "-frames:v", str(FRAMES), *lossless, str(path))
        return path

    return make


@pytest.fixture
def clip_file(tmp_path: Path, make_clip: MakeClip) -> Path:
    return make_clip(tmp_path / "clip.mkv")
