"""Every way round the gate that blocking checks alone left open, and then some.

A check shows; it never authorises. What only a PROMOTE may build judges the results itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import dagster as dg
import pytest
from upath import UPath

from fr_ensemble_assets.candidate.assets import registry_candidate
from fr_ensemble_assets.candidate.contents import read_contents
from fr_ensemble_assets.candidate.documents import sealed
from fr_ensemble_assets.candidate.drift import drift_of
from fr_ensemble_assets.candidate.verify import verify_candidate
from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.corpus.assets import corpus
from fr_ensemble_assets.corpus.in_use import CORPUS_TAG
from fr_ensemble_assets.corpus.reader import read_corpus
from fr_ensemble_assets.corpus.store import load_corpus, save_corpus
from fr_ensemble_assets.definitions import defs
from fr_ensemble_assets.doors.home import HomeResource
from fr_ensemble_assets.doors.progress import LogProgress
from fr_ensemble_assets.doors.refusals import refusals_as_failures
from fr_ensemble_assets.features.assets import codec_block, fitted_scaler
from fr_ensemble_assets.foundation.errors import GateRefusal
from fr_ensemble_assets.foundation.files import sha256_of
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.gate.assets import ensemble_verdict
from fr_ensemble_assets.loso.assets import loso_results
from fr_ensemble_assets.members.assets import ensemble_members
from fr_ensemble_assets.members.fit import (
    fit_identity,
    forget_fits,
    load_parameters,
    save_parameters,
)
from fr_ensemble_assets.members.names import (
    MANIFEST_FILE,
    member_id,
    onnx_file,
    parameters_file,
    sidecar_file,
)
from fr_ensemble_assets.members.onnx_export import export_onnx
from fr_ensemble_assets.operations.instance import open_instance
from fr_ensemble_assets.training.model import initial_parameters
from fr_ensemble_assets.training.resources import ExecutorResource, RecipeResource, TrainerResource
from fr_ensemble_tests.conftest import Chain, Row, write_rows

ALL = [corpus, fitted_scaler, codec_block, loso_results, ensemble_verdict]
GATED = [ensemble_members, registry_candidate]


def settings(home: Home, epochs: int = 200) -> dict[str, object]:
    return {
        "home": HomeResource(path=str(home.root)),
        "recipe": RecipeResource(epochs=epochs),
        "trainer": TrainerResource(),
        "executor": ExecutorResource(),
        "watch": LogProgress,
    }


def attempt(
    home: Home,
    *selection: dg.AssetsDefinition,
    epochs: int = 200,
    tags: dict[str, str] | None = None,
    assets: Sequence[dg.AssetsDefinition] = (*ALL, *GATED),
) -> str:
    """Materialise ``selection`` in a run of its own, without any check; why it failed, or ''."""
    with open_instance(home) as instance:
        result = dg.materialize(
            list(assets),
            selection=list(selection),
            instance=instance,
            raise_on_error=False,
            tags=tags,
            resources=settings(home, epochs),
        )
    for event in result.all_events:
        if event.event_type_value == "STEP_FAILURE":
            told = event.step_failure_data.user_failure_data
            assert told is not None, event.step_failure_data.error
            return str(told.description)
    assert result.success
    return ""


def results_of(home: Home) -> UPath:
    (folder,) = home.store.glob("*/loso-200epochs-*")
    return folder


def no_candidate(home: Home) -> bool:
    return list(home.candidates.iterdir()) == []


def edit(path: UPath, change: Callable[[dict[str, object]], object]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


@pytest.mark.parametrize("asset", GATED, ids=["members", "candidate"])
def test_gated_asset_alone_in_a_later_run_fails_on_hold(
    held: Home, asset: dg.AssetsDefinition
) -> None:
    assert "HOLD for the corpus" in attempt(held, asset)
    assert no_candidate(held)


def test_selection_that_skips_the_verdict_between_fails_on_hold(held: Home) -> None:
    assert "HOLD for the corpus" in attempt(held, fitted_scaler, *GATED)
    assert no_candidate(held)


@pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
def test_eager_automation_reaches_the_candidate_and_fails_on_hold(held: Home) -> None:
    eager = registry_candidate.map_asset_specs(
        lambda spec: spec.replace_attributes(automation_condition=dg.AutomationCondition.eager())
    )
    automated = [*ALL, ensemble_members, eager]
    definitions = dg.Definitions(assets=automated, resources=settings(held))
    with open_instance(held) as instance:
        before = dg.evaluate_automation_conditions(definitions, instance)
        for parent in ("ensemble_verdict", "interval_calibration", "ensemble_members"):
            instance.report_runless_asset_event(dg.AssetMaterialization(parent))
        after = dg.evaluate_automation_conditions(definitions, instance, cursor=before.cursor)
    assert after.total_requested == 1
    assert "HOLD for the corpus" in attempt(held, eager, assets=automated)
    assert no_candidate(held)


def test_forged_green_checks_open_nothing(held: Home) -> None:
    with open_instance(held) as instance:
        for key in defs.resolve_asset_graph().asset_check_keys:
            instance.report_runless_asset_event(
                dg.AssetCheckEvaluation(
                    asset_key=key.asset_key, check_name=key.name, passed=True, metadata={}
                )
            )
    assert "HOLD for the corpus" in attempt(held, registry_candidate)
    assert no_candidate(held)


def test_check_that_only_warns_opens_nothing(held: Home) -> None:
    @dg.asset_check(asset=ensemble_verdict, blocking=True)
    def soft() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN)

    told = attempt(
        held,
        ensemble_verdict,
        *GATED,
        assets=[*ALL, *GATED, soft],  # type: ignore[list-item]
    )
    assert "HOLD for the corpus" in told
    assert no_candidate(held)


def test_forged_verdict_file_opens_nothing(held: Home) -> None:
    folder = results_of(held)
    verdict = json.loads((folder / "HOLD.json").read_text()) | {"verdict": "PROMOTE"}
    verdict["gate"] |= {"passed": True, "mean_plcc": 0.99}
    (folder / "PROMOTE.json").write_text(json.dumps(verdict))
    (folder / "HOLD.json").unlink()
    assert "mean PLCC" in attempt(held, registry_candidate)
    assert no_candidate(held)


def test_forged_results_with_a_fitting_verdict_open_nothing(held: Home) -> None:
    folder = results_of(held)
    for seed in range(5):

        def boast(document: dict[str, object]) -> None:
            folds = document["folds"]
            assert isinstance(folds, list)
            document["mean_plcc"] = 0.99
            document["folds"] = [{**fold, "plcc": 0.99} for fold in folds]

        edit(folder / f"loso_seed{seed}.json", boast)
    told = attempt(held, ensemble_verdict, *GATED)  # the verdict is made anew from the forgeries
    assert "gives PLCC" in told
    assert "the results tell 0.99" in told
    assert (folder / "HOLD.json").exists()
    assert no_candidate(held)


def test_folds_that_are_not_there_raise_no_mean(held: Home) -> None:
    folder = results_of(held)
    for seed in range(5):

        def pad(document: dict[str, object]) -> None:
            folds = document["folds"]
            assert isinstance(folds, list)
            document["folds"] = [{**folds[0], "held_out": f"x{n}", "plcc": 1.0} for n in range(400)]
            document["folds"] += folds
            document["n_folds"] = 403
            document["mean_plcc"] = sum(f["plcc"] for f in document["folds"]) / 403

        edit(folder / f"loso_seed{seed}.json", pad)
    assert "holds out" in attempt(held, ensemble_verdict, *GATED)
    assert no_candidate(held)


def test_mean_nudged_by_a_millionth_is_refused(promoted: Home) -> None:
    drop_candidate(promoted)

    def nudge(document: dict[str, object]) -> None:
        assert isinstance(document["mean_plcc"], float)
        document["mean_plcc"] += 5e-7

    edit(results_of(promoted) / "loso_seed1.json", nudge)
    assert "PLCC" in attempt(promoted, ensemble_verdict, registry_candidate)
    assert no_candidate(promoted)


def test_results_of_ours_that_hide_their_recipe_are_refused(promoted: Home) -> None:
    drop_candidate(promoted)

    def hide(document: dict[str, object]) -> None:
        del document["epochs"], document["recipe"]

    edit(results_of(promoted) / "loso_seed1.json", hide)
    told = attempt(promoted, ensemble_verdict, registry_candidate)
    assert "seed 1: its file does not record this run's recipe" in told
    assert no_candidate(promoted)


def test_damaged_verdict_is_replaced(held: Home) -> None:
    (results_of(held) / "HOLD.json").write_text("{")
    assert attempt(held, ensemble_verdict) == ""
    assert json.loads((results_of(held) / "HOLD.json").read_text())["verdict"] == "HOLD"


def drop_candidate(home: Home) -> None:
    for entry in home.candidates.iterdir():
        for file in entry.iterdir():
            file.unlink()
        entry.rmdir()


@pytest.mark.parametrize("asset", GATED, ids=["members", "candidate"])
def test_results_altered_after_the_verdict_are_refused(
    promoted: Home, asset: dg.AssetsDefinition
) -> None:
    drop_candidate(promoted)
    path = results_of(promoted) / "loso_seed3.json"
    path.write_text(path.read_text() + " ")
    assert "loso_seed3.json was altered after the verdict" in attempt(promoted, asset)
    assert no_candidate(promoted)


@pytest.mark.parametrize("asset", GATED, ids=["members", "candidate"])
def test_missing_seed_is_refused(promoted: Home, asset: dg.AssetsDefinition) -> None:
    drop_candidate(promoted)
    (results_of(promoted) / "loso_seed2.json").unlink()
    assert "no results for seed 2" in attempt(promoted, asset)
    assert no_candidate(promoted)


def test_missing_verdict_is_refused(promoted: Home) -> None:
    drop_candidate(promoted)
    (results_of(promoted) / "PROMOTE.json").unlink()
    assert "there is no verdict" in attempt(promoted, registry_candidate)


def test_verdict_of_another_shape_is_refused(promoted: Home) -> None:
    drop_candidate(promoted)
    edit(results_of(promoted) / "PROMOTE.json", lambda verdict: verdict.update(corpus=[]))
    assert "expected 'corpus' to be an object" in attempt(promoted, registry_candidate)
    assert no_candidate(promoted)


def test_results_of_another_corpus_are_refused(
    promoted: Home, tmp_path: Path, few_rows: list[Row]
) -> None:
    drop_candidate(promoted)
    other = read_corpus(write_rows(tmp_path / "other.jsonl", few_rows))
    save_corpus(promoted, other, "a test")
    source = results_of(promoted)
    copied = promoted.corpus_dir(other.corpus.sha256) / source.name
    copied.mkdir()
    for entry in source.iterdir():
        if entry.is_file():
            (copied / entry.name).write_bytes(entry.read_bytes())
    told = attempt(promoted, registry_candidate, tags={CORPUS_TAG: other.corpus.sha256})
    assert "belong to another corpus" in told
    assert "the verdict belongs to another corpus" in told
    assert no_candidate(promoted)


def test_newer_corpus_leaves_the_older_verdict_without_power(
    promoted: Home, tmp_path: Path, few_rows: list[Row]
) -> None:
    drop_candidate(promoted)
    newer = write_rows(tmp_path / "newer.jsonl", few_rows)
    with open_instance(promoted) as instance:
        dg.materialize(
            [corpus],
            instance=instance,
            resources=settings(promoted),
            run_config={"ops": {"corpus": {"config": {"path": str(newer)}}}},
        )
    assert "no results for seeds 0, 1, 2, 3, 4" in attempt(promoted, registry_candidate)
    assert no_candidate(promoted)


def test_corpus_altered_in_the_store_is_refused(promoted: Home) -> None:
    drop_candidate(promoted)
    (path,) = promoted.store.glob("*/corpus.parquet")
    path.write_bytes(path.read_bytes()[:-100])
    assert "corpus.parquet: expected a stored corpus" in attempt(promoted, registry_candidate)
    assert no_candidate(promoted)


@pytest.mark.parametrize("asset", GATED, ids=["members", "candidate"])
def test_dry_run_is_refused_whatever_the_figures(
    promoted: Home, asset: dg.AssetsDefinition
) -> None:
    drop_candidate(promoted)
    good = results_of(promoted)
    dry = RecipeResource(epochs=5).contract().folder
    good.rename(good.parent / dry)
    told = attempt(promoted, ensemble_verdict, asset, epochs=5)
    assert "dry run: epochs 5 instead of 200" in told
    assert no_candidate(promoted)


def test_contract_recipe_does_not_take_the_results_of_a_dry_run(promoted: Home) -> None:
    drop_candidate(promoted)
    folder = results_of(promoted)
    for seed in range(5):
        path = folder / f"loso_seed{seed}.json"
        path.write_text(path.read_text().replace('"epochs": 200', '"epochs": 5'))
    told = attempt(promoted, ensemble_verdict, registry_candidate)
    assert "dry run: epochs 5 instead of 200" in told
    assert no_candidate(promoted)


def test_results_that_tell_two_recipes_are_refused(promoted: Home) -> None:
    drop_candidate(promoted)
    edit(results_of(promoted) / "loso_seed1.json", lambda document: document.update(epochs=5))
    assert "found 5 at the top and 200 in 'recipe'" in attempt(promoted, registry_candidate)
    assert no_candidate(promoted)


def test_refusal_is_never_retried(held: Home) -> None:
    with pytest.raises(dg.Failure) as failure, refusals_as_failures():
        raise GateRefusal("HOLD")
    assert failure.value.allow_retries is False
    with open_instance(held) as instance:
        retries = instance.get_settings("run_retries")
    assert retries["retry_on_asset_or_op_failure"] is False


def test_good_results_do_pass_alone(promoted: Home) -> None:
    drop_candidate(promoted)
    assert attempt(promoted, registry_candidate) == ""
    assert not no_candidate(promoted)


# --- stored members are not believed -----------------------------------------------------------


def constant_member(seed: int, value: float) -> bytes:
    """A network of our own shape that scores every frame alike."""
    parameters = initial_parameters(seed, ENSEMBLE.recipe)
    parameters.weights[2][:] = 0
    parameters.biases[2][:] = value
    return export_onnx(parameters, member_id(seed))


def put_member(members: UPath, seed: int, model: bytes) -> None:
    """Replace a stored ONNX file, and adjust every digest that names it."""
    path = members / onnx_file(seed)
    before, after = sha256_of(path.read_bytes()), sha256_of(model)
    path.write_bytes(model)
    for name in (sidecar_file(seed), MANIFEST_FILE):
        document = members / name
        document.write_text(document.read_text().replace(before, after))


def shift_stored_fits(members: UPath) -> None:
    """+15 on an output bias, in the fit and in the ONNX file."""
    corpus_sha256 = members.parent.parent.name
    used = load_corpus(Home.at(members.parent.parent.parent.parent), corpus_sha256)
    for seed in range(5):
        identity = fit_identity(used, ENSEMBLE, seed)
        path = members / parameters_file(seed)
        parameters = load_parameters(path, identity)
        parameters.biases[2][0] += 15
        save_parameters(path, parameters, identity)
        put_member(members, seed, export_onnx(parameters, member_id(seed)))


@pytest.mark.parametrize("fitted_here", [True, False], ids=["same process", "another process"])
def test_constants_in_the_store_with_digests_adjusted_are_not_published(
    promoted: Home, fitted_here: bool
) -> None:
    drop_candidate(promoted)
    for seed in range(5):
        put_member(results_of(promoted) / "members", seed, constant_member(seed, 60 + seed))
    if not fitted_here:
        forget_fits()
    told = attempt(promoted, registry_candidate)
    assert "seed0.onnx: expected the file that fitting the members again gives" in told
    assert no_candidate(promoted)


def test_shifted_fits_in_the_store_are_neither_published_nor_used_again(
    promoted: Home, promoted_once: Chain
) -> None:
    drop_candidate(promoted)
    shift_stored_fits(results_of(promoted) / "members")
    assert "fitting the members again gives" in attempt(promoted, registry_candidate)
    assert no_candidate(promoted)
    assert attempt(promoted, *GATED) == ""  # a plain run makes them again
    (made,) = promoted.candidates.iterdir()
    assert promoted_once[1].candidate_dir is not None
    for seed in range(5):
        genuine = promoted_once[1].candidate_dir / onnx_file(seed)
        assert (made / onnx_file(seed)).read_bytes() == genuine.read_bytes()


@pytest.mark.parametrize("name", [sidecar_file(2), MANIFEST_FILE])
def test_altered_documents_of_members_are_not_published(promoted: Home, name: str) -> None:
    drop_candidate(promoted)

    def shift(document: dict[str, object]) -> None:
        assert isinstance(document["feature_mean"], list)
        document["feature_mean"][0] += 0.1

    edit(results_of(promoted) / "members" / name, shift)
    assert f"{name}: expected the file that fitting" in attempt(promoted, registry_candidate)
    assert no_candidate(promoted)


def test_verdict_that_tells_more_than_the_results_give_is_not_published(promoted: Home) -> None:
    drop_candidate(promoted)
    edit(results_of(promoted) / "PROMOTE.json", lambda verdict: verdict.update(adr="ADR-0000"))
    told = attempt(promoted, registry_candidate)
    assert "PROMOTE.json: expected the verdict that the results give" in told
    assert no_candidate(promoted)


def test_scaler_altered_everywhere_in_a_candidate_is_drift(promoted: Home) -> None:
    """Nothing inside the folder can tell; the corpus can."""
    (folder,) = promoted.candidates.iterdir()
    files = dict(read_contents(folder).files)
    ensemble = json.loads(files.pop(MANIFEST_FILE))
    told = repr(ensemble["feature_std"][0]).encode()
    files = {name: data.replace(told, b"0.5") for name, data in files.items()}
    ensemble["feature_std"][0] = 0.5
    del ensemble["digests"], files["digests.json"]
    for name, data in sealed(files, ensemble).items():
        (folder / name).write_bytes(data)
    assert verify_candidate(folder).problems == ()
    sha256 = results_of(promoted).parent.name
    altered = drift_of(promoted, sha256, sha256, ENSEMBLE).altered
    assert "scaler, quality range or presets are not those of its corpus" in altered
    assert f"{sidecar_file(0)} is not the one in the store" in altered
