"""The rule: what promotes, what holds, and how it is said."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.evidence.results import load_scores
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.gate.rule import decide

GOOD = [0.97, 0.971, 0.972, 0.973, 0.974]


def results(folder: Path, means: list[float | None], **changes: Any) -> UPath:
    """The fork's kind of folder: one file a seed, with what its trainer writes."""
    for seed, mean in enumerate(means):
        document = {
            "seed": seed,
            "corpus": "runs/full_features.parquet",
            "n_folds": 2,
            "folds": [
                {"held_out": "a", "n_train": 9, "n_val": 9, "plcc": mean, "srocc": 1, "rmse": 1},
                {"held_out": "b", "n_train": 9, "n_val": 9, "plcc": mean, "srocc": 1, "rmse": 1},
            ],
            "mean_plcc": mean,
            "epochs": 200,
            "batch_size": 32,
            "lr": 5e-4,
            "weight_decay": 1e-5,
            "num_codecs": 14,
            "encoder_vocab_version": 2,
            "wall_time_s": 1.0,
        } | changes
        (folder / f"loso_seed{seed}.json").write_text(json.dumps(document))
    return UPath(folder)


def test_good_ensemble_is_promoted(tmp_path: Path) -> None:
    decision = decide(load_scores(results(tmp_path, GOOD)), ENSEMBLE)
    assert decision.verdict == "PROMOTE"
    assert decision.reasons == ()
    assert decision.gate_fields() == {
        "passed": True,
        "mean_plcc": pytest.approx(0.972),
        "mean_plcc_threshold": 0.95,
        "mean_plcc_pass": True,
        "plcc_spread": pytest.approx(0.004),
        "plcc_spread_max": 0.005,
        "plcc_spread_pass": True,
        "per_seed_plccs": {str(seed): plcc for seed, plcc in enumerate(GOOD)},
        "per_seed_min": 0.95,
        "per_seed_pass": True,
        "failing_seeds": [],
    }


def test_comparisons_are_inclusive(tmp_path: Path) -> None:
    assert decide(load_scores(results(tmp_path, [0.95] * 5)), ENSEMBLE).promote
    assert decide(load_scores(results(tmp_path, [0.95, 0.955, 0.95, 0.95, 0.95])), ENSEMBLE).promote
    just_under = math.nextafter(0.95, 0)
    low = load_scores(results(tmp_path, [0.951, 0.951, 0.951, 0.951, just_under]))
    assert not decide(low, ENSEMBLE).promote
    just_wider = math.nextafter(0.955, 1)
    assert not decide(
        load_scores(results(tmp_path, [0.95, just_wider, 0.95, 0.95, 0.95])), ENSEMBLE
    ).promote


def test_hold_names_each_failing_aspect_with_its_numbers(tmp_path: Path) -> None:
    decision = decide(load_scores(results(tmp_path, [0.90, 0.96, 0.96, 0.94, 0.96])), ENSEMBLE)
    assert decision.failing_seeds == (0, 3)
    assert decision.reasons == (
        "seed 0: PLCC 0.900000 is 0.050000 below 0.95",
        "seed 3: PLCC 0.940000 is 0.010000 below 0.95",
        "mean PLCC 0.944000 is 0.006000 below 0.95",
        "PLCC spread 0.060000 is 0.055000 above 0.005",
    )


def test_spread_alone_holds(tmp_path: Path) -> None:
    decision = decide(load_scores(results(tmp_path, [0.96, 0.97, 0.97, 0.97, 0.97])), ENSEMBLE)
    assert decision.reasons == ("PLCC spread 0.010000 is 0.005000 above 0.005",)


@pytest.mark.parametrize("undefined", [None, math.nan])
def test_undefined_fold_fails_its_seed_whatever_the_mean(
    tmp_path: Path, undefined: float | None
) -> None:
    folder = results(tmp_path, GOOD)
    path = folder / "loso_seed2.json"
    document = json.loads(path.read_text())
    document["folds"][1]["plcc"] = undefined  # the fork's mean leaves such a fold out
    path.write_text(json.dumps(document))
    decision = decide(load_scores(folder), ENSEMBLE)
    assert decision.verdict == "HOLD"
    assert decision.failing_seeds == (2,)
    assert decision.mean_plcc is None
    assert decision.reasons == ("seed 2: PLCC is undefined in b",)


def test_missing_seed_holds(tmp_path: Path) -> None:
    decision = decide(load_scores(results(tmp_path, GOOD[:3])), ENSEMBLE)
    assert decision.reasons == ("no results for seeds 3, 4",)
    assert decision.dry_run


def test_seeds_beyond_the_ensemble_are_not_judged(tmp_path: Path) -> None:
    decision = decide(load_scores(results(tmp_path, [*GOOD, 0.1])), ENSEMBLE)
    assert decision.promote
    assert decision.seeds == (0, 1, 2, 3, 4)


def test_another_recipe_is_a_dry_run(tmp_path: Path) -> None:
    decision = decide(load_scores(results(tmp_path, GOOD, epochs=5)), ENSEMBLE)
    assert decision.verdict == "HOLD"
    assert decision.dry_run
    assert decision.reasons == ("dry run: epochs 5 instead of 200 (seeds 0, 1, 2, 3, 4)",)


def test_mean_that_is_not_its_folds_mean_holds(tmp_path: Path) -> None:
    folder = results(tmp_path, [0.96] * 5)
    path = folder / "loso_seed4.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"mean_plcc": 0.9605}))
    (reason,) = decide(load_scores(folder), ENSEMBLE).reasons
    assert reason == "seed 4: mean_plcc 0.960500 is not the mean of its folds, 0.960000"


def test_results_of_two_corpora_hold(tmp_path: Path) -> None:
    folder = results(tmp_path, GOOD, corpus_sha256="a" * 64)
    path = folder / "loso_seed1.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"corpus_sha256": "b" * 64}))
    assert "results belong to 2 corpora" in decide(load_scores(folder), ENSEMBLE).reasons[0]
    assert (
        "seed 1 belong to another corpus"
        in decide(load_scores(folder), ENSEMBLE, "a" * 64).reasons[0]
    )


def test_seeds_judged_over_other_sources_hold(tmp_path: Path) -> None:
    folder = results(tmp_path, GOOD)
    path = folder / "loso_seed3.json"
    path.write_text(path.read_text().replace('"held_out": "b"', '"held_out": "c"'))
    (reason,) = decide(load_scores(folder), ENSEMBLE).reasons
    assert reason == "seed 3 held out other sources than the first"


def test_a_hair_too_little_is_told_with_the_digits_that_show_it(tmp_path: Path) -> None:
    hair = math.nextafter(0.95, 0)
    (reason,) = decide(load_scores(results(tmp_path, [0.9501] * 4 + [hair])), ENSEMBLE).reasons
    assert reason == "seed 4: PLCC 0.950000 is 1.1e-16 below 0.95"


FOLD = '{"held_out": "a", "plcc": 1}'
UNUSABLE = {
    "out of range": ('{"seed": 0, "folds": [{"plcc": 1.5}], "mean_plcc": 1.5}', "between -1 and 1"),
    "too many digits": (
        f'{{"seed": 0, "folds": [{FOLD}], "mean_plcc": {"9" * 400}}}',
        "between -1 and 1",
    ),
    "a fold twice": (
        f'{{"seed": 0, "folds": [{FOLD}, {FOLD}], "mean_plcc": 1}}',
        "found 'a' more than once",
    ),
    "folds lost": (
        f'{{"seed": 0, "n_folds": 9, "folds": [{FOLD}], "mean_plcc": 1}}',
        "expected 9 fold in 'folds', found 1",
    ),
    "a key twice": ('{"seed": 0, "seed": 0}', "the key 'seed' twice"),
    "odd corpus": (
        f'{{"seed": 0, "folds": [{FOLD}], "mean_plcc": 1, "corpus_sha256": []}}',
        "'corpus_sha256' to be text",
    ),
    "cut off": ('{"seed": 0', "line 1 column"),
    "a list": ("[]", "expected a JSON object"),
    "another seed": ('{"seed": 1, "folds": [{"plcc": 1}], "mean_plcc": 1}', "'seed' to be 0"),
    "no folds": ('{"seed": 0, "mean_plcc": 1}', "expected 'folds', found no such"),
    "empty folds": ('{"seed": 0, "folds": [], "mean_plcc": 1}', "at least one fold"),
    "text": (
        '{"seed": 0, "folds": [{"plcc": "1"}], "mean_plcc": 1}',
        "'folds.0..plcc' to be a number",
    ),
    "no mean": ('{"seed": 0, "folds": [{"plcc": 1}]}', "'mean_plcc', found no such field"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable_results_are_named(tmp_path: Path, name: str) -> None:
    text, message = UNUSABLE[name]
    folder = results(tmp_path, GOOD)
    (folder / "loso_seed0.json").write_text(text)
    with pytest.raises(UnusableInput, match=message) as refusal:
        load_scores(folder)
    assert "loso_seed0.json" in str(refusal.value)


def test_folder_without_results_is_unusable(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match="found none"):
        load_scores(UPath(tmp_path))
    with pytest.raises(UnusableInput, match="no such folder"):
        load_scores(UPath(tmp_path / "nowhere"))


def test_pipes_devices_and_endless_files_are_not_read(tmp_path: Path) -> None:
    folder = results(tmp_path, GOOD)
    path = tmp_path / "loso_seed3.json"
    for place in (
        lambda: os.mkfifo(path),
        lambda: path.symlink_to("/dev/zero"),
        lambda: path.mkdir(),
    ):
        path.rmdir() if path.is_dir() else path.unlink()
        place()
        with pytest.raises(UnusableInput, match="found a folder, a pipe or a device"):
            load_scores(folder)
    path.rmdir()
    with path.open("wb") as handle:
        handle.truncate(1 << 30)
    with pytest.raises(UnusableInput, match="of at most 67,108,864 bytes, found"):
        load_scores(folder)


def test_so_many_folds_are_judged_and_named_in_short(tmp_path: Path) -> None:
    """50,000 of them took minutes when each name was looked for among all."""
    folds = [{"held_out": f"source {n}", "plcc": None} for n in range(50_000)]
    decision = decide(
        load_scores(results(tmp_path, GOOD, folds=folds, n_folds=len(folds))), ENSEMBLE
    )
    assert "and 49990 more" in decision.reasons[0]
    assert len(decision.reasons[0]) < 500
