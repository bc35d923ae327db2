"""The shape of the code: which way imports run, what starts fast, what ships."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_imports_run_one_way_and_only_doors_know_dagster() -> None:
    linted = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert linted.returncode == 0, linted.stdout
    assert "3 kept, 0 broken" in linted.stdout


@pytest.mark.parametrize(
    ("module", "spared"),
    [
        (
            "fr_ensemble_assets.cli.main",
            ("dagster", "torch", "pandas", "scipy", "matplotlib", "pydantic"),
        ),
        ("fr_ensemble_assets.definitions", ("torch", "scipy", "matplotlib", "onnx", "pandera")),
        ("fr_ensemble_assets.members.build", ("dagster",)),
    ],
)
def test_import_spares_what_it_does_not_need(module: str, spared: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print([m for m in {spared!r} if m in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout == "[]\n"


def test_definitions_load_without_a_warning() -> None:
    code = "import fr_ensemble_assets.definitions"
    loaded = subprocess.run(
        [sys.executable, "-W", "default", "-c", code], capture_output=True, text=True, check=True
    )
    ours = [line for line in loaded.stderr.splitlines() if "fr_ensemble_assets" in line]
    assert ours == []
    assert "BetaWarning" not in loaded.stderr


def test_package_is_linted_formatted_and_typed() -> None:
    tools = Path(sys.executable).parent
    for command in (["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]):
        ran = subprocess.run(
            [tools / command[0], *command[1:]],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_command_line_speaks_through_the_terminal_that_prints_what_prints() -> None:
    """A name from outside may hold what moves a cursor; one class takes that out."""
    cli = ROOT / "fr_ensemble_assets" / "cli"
    with_consoles = [path.name for path in cli.rglob("*.py") if "rich.console" in path.read_text()]
    assert with_consoles == ["terminal.py"]


def test_one_module_imports_what_dagster_keeps_private() -> None:
    package = ROOT / "fr_ensemble_assets"
    private = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        for module in imported(path)
        if module.startswith("dagster") and "._" in module
    }
    assert private == {"doors/dagster_internals.py"}


def test_tests_lie_in_the_rooms_of_the_package() -> None:
    rooms = {path.stem for path in (ROOT / "fr_ensemble_assets").iterdir()}
    tests = {path.parent.name for path in (ROOT / "fr_ensemble_tests").rglob("test_*.py")}
    # What is about no single room, and the two suites that have a command of their own.
    assert tests - rooms == {"house", "attack", "mutants"}


def imported(path: Path) -> list[str]:
    """Every module that a file imports, wherever in it; of ``from a import b`` also ``a.b``."""
    modules = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules += [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules += [node.module, *(f"{node.module}.{name.name}" for name in node.names)]
    return modules
