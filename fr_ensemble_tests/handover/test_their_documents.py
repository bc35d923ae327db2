"""What consumers look for beyond sidecar and manifest of today: keys are added, none goes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from upath import UPath

from fr_ensemble_assets.features.codec_block import CodecBlock
from fr_ensemble_assets.handover.rules import broken_rules
from fr_ensemble_assets.members.consumers import (
    SIDECAR_MAX_BYTES,
    manifest_additions,
)
from fr_ensemble_assets.prediction.candidate import Candidate, load_candidate
from fr_ensemble_tests.conftest import Chain

ENSEMBLE = "fr_regressor_v2_ensemble_v1"


@pytest.fixture(scope="module")
def folder(promoted_once: Chain) -> UPath:
    found = promoted_once[1].candidate_dir
    assert found is not None
    return found


@pytest.fixture(scope="module")
def candidate(folder: UPath) -> Candidate:
    return load_candidate(folder)


def sidecar_of(folder: UPath, seed: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{ENSEMBLE}_seed{seed}.json").read_text())
    return found


def test_sidecar_has_what_the_reader_in_c_searches_for(folder: UPath) -> None:
    data = (folder / f"{ENSEMBLE}_seed2.json").read_bytes()
    told = json.loads(data)
    assert (told["name"], told["input_name"]) == (f"{ENSEMBLE}_seed2", "features")
    assert (told["output_name"], told["onnx_opset"]) == ("score", 17)
    assert "ADR-0321" in told["parent_adrs"]
    assert data.index(b'"kind"') == data.index(b'"kind": "fr"')
    assert len(data) < SIDECAR_MAX_BYTES


def test_mean_of_a_sidecar_is_the_ensembles_and_the_seeds_own_stays(folder: UPath) -> None:
    verdict = json.loads((folder / "PROMOTE.json").read_text())["gate"]
    for seed in range(5):
        told = sidecar_of(folder, seed)
        assert told["loso_mean_plcc"] == verdict["mean_plcc"]
        assert told["gate"]["this_seed_loso_plcc"] == verdict["per_seed_plccs"][str(seed)]


def test_nothing_of_section_5_goes(folder: UPath, candidate: Candidate) -> None:
    keys = "id ensemble_id seed kind codec_aware codec_block_layout encoder_vocab"
    keys += " encoder_vocab_version feature_order feature_mean feature_std input_names"
    keys += " output_names onnx opset sha256 corpus training_recipe gate loso_mean_plcc notes"
    assert {*keys.split(), "parent_adrs"} <= set(sidecar_of(folder, 0))
    manifest = json.loads((folder / f"{ENSEMBLE}.json").read_text())
    added = manifest_additions(candidate.codec, candidate.calibration, 0.95)
    assert manifest.items() >= json.loads(json.dumps(added)).items()
    keys = "id kind ensemble_size members feature_order feature_mean feature_std codec_vocab"
    assert {*keys.split(), "codec_vocab_version", "confidence", "smoke", "eval"} <= set(manifest)


def test_codec_block_can_be_built_from_the_manifest_alone(candidate: Candidate) -> None:
    manifest = json.loads(
        json.dumps(manifest_additions(candidate.codec, candidate.calibration, 0.95))
    )
    assert len(manifest["codec_block_layout"]) == 14
    span = manifest["encoder_cq_range"]
    built = CodecBlock(span["min"], span["max"], manifest["presets"])
    rows = pd.DataFrame(
        {"encoder": ["libx264", "odd"], "cq": [25.0, 31.0], "preset": ["medium", None]}
    )
    assert np.array_equal(built.encode_rows(rows), candidate.codec.encode_rows(rows))


def test_manifest_says_what_its_quantile_covers(candidate: Candidate) -> None:
    told = manifest_additions(candidate.codec, candidate.calibration, 0.95)["conformal_q_covers"]
    assert f"{len(candidate.calibration.sources)} sources" in told
    assert "of a new source's it may cover far fewer" in told


def test_registry_that_is_none_breaks_a_rule() -> None:
    (problem,) = broken_rules({"model/tiny/registry.json": b"[]"})
    assert problem.ours
