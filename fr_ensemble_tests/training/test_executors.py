"""Where parts are worked on, and in how many folds: chosen, counted, refused in one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fr_ensemble_assets.cli.folds import settled_folds
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.machine import machine_record
from fr_ensemble_assets.training.cost import cost_of, cost_told
from fr_ensemble_assets.training.executors import EXECUTOR_VARIABLE, ExecutorChoice
from fr_ensemble_assets.training.resources import (
    ExecutorResource,
    RecipeResource,
    TrainerResource,
)

MANY = {f"s{number}": 200 for number in range(1000)}


@pytest.mark.parametrize(
    ("text", "kind", "address"),
    [
        ("threads", "threads", ""),
        ("ray", "ray", ""),
        ("ray://head", "ray", "ray://head:10001"),
        ("ray://10.0.0.1:7", "ray", "ray://10.0.0.1:7"),
        ("ray://[::1]:7", "ray", "ray://[::1]:7"),
    ],
)
def test_an_executor_is_named_by_kind_or_address(text: str, kind: str, address: str) -> None:
    choice = ExecutorChoice.parse(text)
    assert (choice.kind, choice.address, choice.remote) == (kind, address, kind == "ray")


@pytest.mark.parametrize("text", ["dask", "ray:", "ray://", "ray://a b", "http://head", "\x1b[2J"])
def test_another_executor_is_refused(text: str) -> None:
    with pytest.raises(UnusableInput, match="expected threads, ray or ray://HOST:10001, found"):
        ExecutorChoice.parse(text)


def test_the_uis_runs_take_the_executor_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not ExecutorResource().choice().remote
    monkeypatch.setenv(EXECUTOR_VARIABLE, "ray://head")
    assert ExecutorResource().choice().address == "ray://head:10001"
    assert ExecutorResource("ray", "ray://other:1").choice().address == "ray://other:1"
    assert not ExecutorResource.of(ExecutorChoice()).choice().remote, "the command line said so"
    monkeypatch.setenv(EXECUTOR_VARIABLE, "slurm")
    with pytest.raises(UnusableInput, match=EXECUTOR_VARIABLE):
        ExecutorResource().choice()


def test_without_the_extra_nothing_is_begun(tmp_path: Path) -> None:
    """Whether Ray is installed here or not: the command finds none."""
    (tmp_path / "ray.py").write_text("raise ImportError")
    search = os.pathsep.join([str(tmp_path), *sys.path])
    command = "from fr_ensemble_assets.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", command, "run", "--executor", "ray://127.0.0.1:1", "--home", "home"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": search},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 2
    assert "expected the extra fr-ensemble[cluster], found no module 'ray'" in done.stderr
    assert not (tmp_path / "home").exists()


def test_a_cluster_trains_on_processors() -> None:
    cluster = ExecutorChoice.parse("ray://head")
    assert TrainerResource().build_for(cluster).device == "cpu"
    assert TrainerResource(device="reference").build_for(ExecutorChoice()).device == "reference"
    with pytest.raises(UnusableInput, match="expected auto or cpu on a cluster, found 'cuda'"):
        TrainerResource(device="cuda").build_for(cluster)


def test_a_pinned_instruction_set_is_what_is_recorded() -> None:
    asked = (
        "from fr_ensemble_assets.foundation.machine import machine_record as m;"
        "print(m()['processor'], m()['vectors'], m()['features'])"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", asked],
            env={**os.environ, "NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": features},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for features in ("+avx2,+fma", "+fma, +avx2,-avx512f", "+sse2")
    ]
    assert told[0] == told[1]
    assert told[0][:2] == ["haswell", "256"]
    assert told[2][:2] == ["haswell", "128"]
    assert machine_record()["features"] not in (told[0][2], told[2][2])


# --- in how many folds ----------------------------------------------------------------------


def test_the_resource_takes_a_number_of_groups() -> None:
    assert RecipeResource().contract().plan.n_folds is None
    assert RecipeResource(folds=21).contract().plan.n_folds == 21
    with pytest.raises(UnusableInput, match="or 2 or more, found 1"):
        RecipeResource(folds=1).contract()


def test_a_thousand_sources_alone_cost_days() -> None:
    alone = cost_of(200_000, 1000, seeds=5, epochs=200)
    assert (alone.models, round(alone.cpu_hours)) == (5000, 39)
    told = cost_told(200_000, 1000, 5, 200)
    assert "5,000 models and up to 39 hours of a core, 21 groups 0.8 hours" in told


def test_many_sources_alone_must_be_meant() -> None:
    with pytest.raises(UnusableInput, match="type it again with --yes, or with --folds 21"):
        settled_folds(0, MANY, 5, 200, yes=False)
    assert settled_folds(0, MANY, 5, 200, yes=True) is None
    assert settled_folds(21, MANY, 5, 200, yes=False) == 21
    few = dict(list(MANY.items())[:199])
    assert settled_folds(0, few, 5, 200, yes=False) is None


def test_as_many_groups_as_sources_are_none() -> None:
    few = dict(list(MANY.items())[:21])
    assert settled_folds(21, few, 5, 200, yes=False) is None
    assert settled_folds(20, few, 5, 200, yes=False) == 20
    with pytest.raises(UnusableInput, match="expected 2 groups or more, found 1"):
        settled_folds(1, few, 5, 200, yes=False)
