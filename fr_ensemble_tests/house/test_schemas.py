"""What we write is what the models say, and what the JSON Schemas in docs/schemas/ say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from upath import UPath

from fr_ensemble_assets.clips.ffmpeg import Children, Ffmpeg
from fr_ensemble_assets.clips.inventory import Inventory
from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS
from fr_ensemble_assets.corpus.store import read_origin
from fr_ensemble_assets.encodes.generate import generate
from fr_ensemble_assets.encodes.grid import Grid
from fr_ensemble_assets.encodes.output import provenance_file, write_rows
from fr_ensemble_assets.foundation.documents import Document, parse_document
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.gate.verdict import read_verdict
from fr_ensemble_assets.members.names import MANIFEST_FILE
from fr_ensemble_assets.schemas import DOCUMENTS, FOLDER, schemas
from fr_ensemble_tests.conftest import Chain
from fr_ensemble_tests.video import X264, look

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / FOLDER


def kind_of(path: Path) -> str:
    """Which document a file of a candidate is."""
    if path.name in ("PROMOTE.json", "HOLD.json"):
        return "verdict"
    if path.name.startswith("loso_seed"):
        return "loso_seed"
    if "_seed" in path.name:
        return "sidecar"
    for ending in ("scored_probe", "calibration"):
        if path.name.startswith("predictor_") and path.stem.endswith(ending):
            return f"predictor_{ending}"
    return "manifest" if path.name == MANIFEST_FILE else path.stem


def require_known(kind: type[Document], name: str, path: Path) -> None:
    """The model takes the file, knows every key in it, and so does the published schema."""
    written: dict[str, Any] = json.loads(path.read_bytes())
    read = parse_document(kind, path.read_bytes(), str(path))
    assert json.loads(read.model_dump_json(exclude_unset=True)) == written
    schema = json.loads((PUBLISHED / f"{name}.schema.json").read_bytes())
    jsonschema.Draft202012Validator(schema).validate(written)


def test_published_schemas_are_those_of_the_code() -> None:
    """If not: ``python -m fr_ensemble_assets.schemas``."""
    assert {path.name: path.read_bytes() for path in PUBLISHED.glob("*.json")} == schemas()
    readme = (PUBLISHED / "README.md").read_text()
    assert [name for name in schemas() if f"]({name})" not in readme] == []


@pytest.mark.parametrize("name", [*DOCUMENTS, "registry"])
def test_schema_says_which_file_it_is_of(name: str) -> None:
    schema = json.loads((PUBLISHED / f"{name}.schema.json").read_bytes())
    jsonschema.Draft202012Validator.check_schema(schema)
    assert ".json" in schema["title"] or name == "registry"
    assert name == "registry" or schema["description"].endswith((".", ")"))


def test_every_document_of_a_candidate_is_known_to_its_model(promoted_once: Chain) -> None:
    folder = promoted_once[1].candidate_dir
    assert folder is not None
    known = set()
    for path in sorted(Path(str(folder)).glob("*.json")):
        name = kind_of(path)
        if name in DOCUMENTS:
            require_known(DOCUMENTS[name], name, path)
            known.add(name)
    assert known == {
        *("loso_seed", "verdict", "calibration", "sidecar", "manifest", "digests"),
        *("predictors", "predictor_scored_probe"),
    }


def test_verdict_that_holds_and_the_note_beside_a_corpus_are_known(held_once: Chain) -> None:
    home = Home.at(held_once[0])
    (verdict,) = Path(str(home.store)).glob("*/loso-*/HOLD.json")
    require_known(DOCUMENTS["verdict"], "verdict", verdict)
    (origin,) = Path(str(home.store)).glob("*/corpus.json")
    require_known(DOCUMENTS["corpus_origin"], "corpus_origin", origin)
    assert read_origin(home, origin.parent.name).read_from.endswith("corpus.jsonl")


def test_cells_and_the_note_beside_their_rows_are_known(
    ffmpeg: Ffmpeg, clip_file: Path, tmp_path: Path
) -> None:
    clip, grid = look(ffmpeg, clip_file), Grid({X264: (25.0,)})
    with Children() as children:
        made = generate(
            ffmpeg, children, [clip], grid, UPath(tmp_path / "cells"), tmp_path, workers=1
        )
    (cell,) = (tmp_path / "cells").glob("*/*.json")
    require_known(DOCUMENTS["cell"], "cell", cell)
    out = UPath(tmp_path / "rows.jsonl")
    write_rows(out, ffmpeg, Inventory((clip,), (), ()), grid, made)
    for note in (provenance_file(out), provenance_file(UPath(BUNDLED_CORPUS))):
        require_known(DOCUMENTS["provenance"], "provenance", Path(str(note)))


def test_older_verdict_without_what_was_added_since_is_still_read(
    held_once: Chain, tmp_path: Path
) -> None:
    (path,) = Path(held_once[0]).glob("store/*/loso-*/HOLD.json")
    verdict = json.loads(path.read_bytes())
    for added in ("dry_run", "reasons", "results"):
        del verdict[added]
    del verdict["corpus"]["fitness"]
    (tmp_path / "HOLD.json").write_text(json.dumps(verdict | {"newer": 1}))
    read = read_verdict(UPath(tmp_path))
    assert read is not None
    assert (read.verdict, read.dry_run, read.fitness) == ("HOLD", None, None)


SPOILED: dict[str, tuple[str, str, Any, str]] = {
    "no sha256": ("verdict", "corpus/sha256", "ab", "'corpus.sha256' to be text like"),
    "no correlation": ("verdict", "gate/mean_plcc", 1.5, "between -1 and 1, found 1.5"),
    "no verdict": ("verdict", "verdict", "MAYBE", "to be 'PROMOTE' or 'HOLD', found the text"),
    "no yes": ("verdict", "corpus/fitness/fit", 1, "'corpus.fitness.fit' to be true or false"),
    "no deviation": ("sidecar", "feature_std", [1, 1, 1, 1, 1, 0], "above 0, found 0"),
    "no six": ("sidecar", "feature_mean", [0.5], "'feature_mean' to be a list of 6 or more"),
    "seven": ("sidecar", "feature_mean", [0.5] * 7, "'feature_mean' to be a list of 6 or fewer"),
    "no range": ("sidecar", "corpus/cq_min", 99, "a quality range from 'cq_min' to 'cq_max'"),
    "an endless q": ("manifest", "confidence/conformal_q_residual", float("inf"), "a finite"),
    "no corpus": ("manifest", "eval/corpus_sha256", None, "'eval.corpus_sha256' to be text"),
    "another hash": ("digests", "algorithm", "md5", "'algorithm' to be 'sha256', found"),
}


@pytest.mark.parametrize("what", SPOILED)
def test_document_of_another_shape_is_refused_where_it_departs(
    promoted_once: Chain, what: str
) -> None:
    folder = promoted_once[1].candidate_dir
    assert folder is not None
    name, way, value, sentence = SPOILED[what]
    path = next(p for p in sorted(Path(str(folder)).glob("*.json")) if kind_of(p) == name)
    document = json.loads(path.read_bytes())
    *steps, last = way.split("/")
    part = document
    for step in steps:
        part = part[step]
    part[last] = value
    with pytest.raises(UnusableInput) as refused:
        parse_document(DOCUMENTS[name], json.dumps(document).encode(), path.name)
    assert str(refused.value).startswith(f"{path.name}: expected '")
    assert sentence in str(refused.value)
